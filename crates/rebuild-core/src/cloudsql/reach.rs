//! The ways to the database of an instance
//! (<https://cloud.google.com/sql/docs/postgres/connect-overview>).

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use google_cloud_sql_v1::model::ip_configuration::{CaMode, SslMode as Demanded};
use google_cloud_sql_v1::model::{DatabaseInstance, SqlIpAddressType};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::CloudSql;
use super::proxy::Proxy;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::google::Account;
use crate::model::{Endpoint, Host, SslMode};
use crate::secret::Secret;

/// A token is good for an hour; one that is used is never older than this.
const RENEWED_EVERY: Duration = Duration::from_secs(20 * 60);
/// How soon a token is asked for again that was not to be had.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How one gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Through the socket that Cloud Run or a proxy has put below this folder.
    Socket(PathBuf),
    /// Through a proxy that is started for it: the program, and more arguments.
    Proxy(String, Vec<String>),
    /// Straight to its address, with the instance's own authority for TLS; to the private one, or the
    /// public.
    Direct {
        /// Whether it is the private one.
        private: bool,
    },
}

impl Entry {
    /// Through a proxy, which asks for the instance by the account of `credentials` and at the address
    /// `api`, as far as these are given and `arguments` do not say it.
    pub fn proxy(
        program: &str,
        arguments: &[String],
        credentials: Option<&Path>,
        api: Option<&str>,
    ) -> Self {
        let arguments = super::proxy::arguments(arguments, credentials, api);
        Self::Proxy(program.to_owned(), arguments)
    }
}

/// A way that is open. It closes when this is dropped.
pub struct Way {
    _proxy: Option<Proxy>,
    _authority: Option<tempfile::NamedTempFile>,
    renewing: Option<AbortHandle>,
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}

impl Way {
    /// Opens a way to the instance, which `endpoint` then leads along. With `iam_login`, the password is a
    /// token of this account, and is renewed as long as the way is open
    /// (<https://cloud.google.com/sql/docs/postgres/iam-logins>).
    ///
    /// # Errors
    /// The instance has no such address, or asks for more than this way has; the proxy did not start; there
    /// is no token.
    pub async fn open(
        sql: &CloudSql,
        ctx: &Ctx,
        entry: &Entry,
        iam_login: bool,
        endpoint: &mut Endpoint,
    ) -> Result<Self> {
        let mut way = Self {
            _proxy: None,
            _authority: None,
            renewing: None,
        };
        let name = sql.name();
        match entry {
            Entry::Socket(folder) => lead_to_socket(endpoint, folder.join(name.to_string())),
            Entry::Proxy(program, arguments) => {
                let proxy = Proxy::start(ctx, program, arguments, name).await?;
                lead_to_socket(endpoint, proxy.socket(name));
                endpoint.ended = Some(proxy.ended());
                way._proxy = Some(proxy);
            }
            Entry::Direct { private } => {
                let instance = sql.describe(ctx).await?;
                way._authority = Some(lead_to_address(sql, &instance, *private, endpoint)?);
            }
        }
        endpoint.via = Some(format!("instance {name}"));
        if iam_login {
            way.renewing =
                Some(log_in_by_token(sql.google().account(), endpoint, RENEWED_EVERY).await?);
        }
        Ok(way)
    }
}

fn lead_to_socket(endpoint: &mut Endpoint, folder: PathBuf) {
    endpoint.host = Host::Socket(folder);
    endpoint.hostaddr = None;
    endpoint.port = 5432;
    endpoint.sslmode = SslMode::Prefer;
}

/// Leads to the instance's address. What its certificate is signed by is known from the API, and from
/// nowhere else.
fn lead_to_address(
    sql: &CloudSql,
    instance: &DatabaseInstance,
    private: bool,
    endpoint: &mut Endpoint,
) -> Result<tempfile::NamedTempFile> {
    let name = sql.name();
    let wanted = match private {
        true => SqlIpAddressType::Private,
        false => SqlIpAddressType::Primary,
    };
    let found = instance.ip_addresses.iter().find(|a| a.r#type == wanted);
    let address = found.and_then(|a| a.ip_address.parse::<IpAddr>().ok());
    let Some(address) = address else {
        let kind = if private { "private" } else { "public" };
        return Err(
            Error::usage(format!("instance {name} has no {kind} address"))
                .hint("see target.cloudsql.connect: private, public, proxy or socket"),
        );
    };
    let ip = instance
        .settings
        .as_ref()
        .and_then(|s| s.ip_configuration.as_ref());
    let demanded = ip.map(|ip| ip.ssl_mode.clone()).unwrap_or_default();
    if demanded == Demanded::TrustedClientCertificateRequired && endpoint.sslcert.is_none() {
        return Err(Error::usage(format!(
            "instance {name} lets nobody in without a client certificate"
        ))
        .hint(
            "give sslcert and sslkey in target.url, or set target.cloudsql.connect = \"proxy\"",
        ));
    }
    let certificate = instance.server_ca_cert.as_ref().map(|c| &*c.cert);
    let Some(certificate) = certificate.filter(|pem| !pem.is_empty()) else {
        return Err(Error::usage(format!(
            "the API does not say what signs the certificate of instance {name}"
        ))
        .hint("set target.cloudsql.connect = \"proxy\""));
    };
    let mut authority = tempfile::NamedTempFile::new()?;
    authority.write_all(certificate.as_bytes())?;
    authority.flush()?;
    endpoint.sslrootcert = Some(authority.path().to_owned());
    endpoint.hostaddr = Some(address);
    let mode = ip.and_then(|ip| ip.server_ca_mode.clone());
    let shared =
        mode.is_some_and(|m| !matches!(m, CaMode::GoogleManagedInternalCa | CaMode::Unspecified));
    if shared {
        // An authority that signs for many instances proves which one by the name alone.
        let dns = instance.dns_name.clone().filter(|dns| !dns.is_empty());
        let dns = dns.ok_or_else(|| {
            Error::usage(format!(
                "the API does not say the DNS name of instance {name}"
            ))
        })?;
        endpoint.host = Host::Tcp(dns.trim_end_matches('.').to_owned());
        endpoint.sslmode = SslMode::VerifyFull;
    } else {
        // An authority of its own signs for this instance and for no other.
        endpoint.host = Host::Tcp(address.to_string());
        endpoint.sslmode = SslMode::VerifyCa;
    }
    endpoint.insecure_tls = false;
    Ok(authority)
}

/// The password is a token, and always a fresh one.
async fn log_in_by_token(
    account: &Account,
    endpoint: &mut Endpoint,
    every: Duration,
) -> Result<AbortHandle> {
    let (give, take) = watch::channel(account.database_password().await?);
    endpoint.password = None;
    endpoint.renewed = Some(take);
    let account = account.clone();
    let renewing = tokio::spawn(async move {
        let mut pause = every;
        loop {
            tokio::time::sleep(pause).await;
            pause = match renew(&account, &give).await {
                Ok(()) => every,
                Err(e) => {
                    tracing::warn!(error = e.chain(), "no new token for the database's login");
                    AGAIN_AFTER
                }
            };
        }
    });
    Ok(renewing.abort_handle())
}

async fn renew(account: &Account, give: &watch::Sender<Secret>) -> Result<()> {
    give.send_replace(account.database_password().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::postgres::Session;
    use crate::testing::google::World;

    #[tokio::test]
    async fn a_session_that_is_opened_later_has_a_fresh_token() {
        let world = World::new().await;
        let role = world.iam_user("CLOUD_IAM_USER").await;
        let file = world.google.credentials_file().expect("credentials");
        let account = Account::find(Some(&file), &Environment::default()).expect("an account");
        let mut endpoint = world.endpoint_of(&world.instance, "app");
        endpoint.user = role;
        let every = Duration::from_millis(200);
        let renewing = log_in_by_token(&account, &mut endpoint, every).await;
        let renewing = renewing.expect("a token");
        let mut stale = endpoint.clone();
        stale.password = endpoint.password();
        stale.renewed = None;
        let opened = Session::open(&stale, "test").await.expect("let in");
        world.google.expire_tokens();
        // Who is in stays in.
        opened.query_one("select 1", &[]).await.expect("an answer");
        let e = Session::open(&stale, "test").await.err();
        let e = e.expect("the token has expired");
        assert!(e.chain().contains("authentication failed"), "{e:?}");

        let mut renewed = endpoint.renewed.clone().expect("it is renewed");
        // One may have been on its way when all of them expired.
        for _ in 0..2 {
            renewed.mark_unchanged();
            let changed = tokio::time::timeout(Duration::from_secs(30), renewed.changed());
            changed.await.expect("in time").expect("it is renewed");
        }
        Session::open(&endpoint, "test").await.expect("let in");
        renewing.abort();
        world.google.assert_clean();
    }
}
