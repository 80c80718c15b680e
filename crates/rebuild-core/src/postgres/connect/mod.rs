//! How a server is reached: what the caller says, what the environment says, and the rest.
//!
//! The order is libpq's: the connection string, then the service that it or `PGSERVICE` names,
//! then the `PG...` variables, then defaults
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>). Two rules are stricter: one
//! host, and verified TLS wherever the connection leaves the machine.

mod account;
mod conninfo;
mod dial;
mod failure;
mod keywords;
mod passfile;
mod peer;
mod service;
mod tls;
mod watch;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::model::{Endpoint, Host, SslMode};
use crate::secret::Secret;
use conninfo::Pair;
use keywords::{KEYWORDS, Keyword};

#[cfg(any(test, feature = "testing"))]
pub(crate) use conninfo::parse as connection_pairs;
pub(super) use dial::{Wire, dial};
pub(super) use failure::{connect_error, connect_timeout, with_end_of_way};
pub(super) use tls::{Proof, Protection, system_certificates};
pub(super) use watch::{Watch, Watched, WatchedTls, logins};

/// How long an attempt to connect may take when nothing else is said.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Where builds of PostgreSQL put the socket when nothing else is said: packages, the sources.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// True if a password stands in the connection string `text`, or may do so: one that cannot be
/// understood is not known to have none.
pub(crate) fn says_password(text: &str) -> bool {
    let said = conninfo::parse(text);
    said.map_or(true, |pairs| {
        pairs.iter().any(|(name, _)| name.contains("password"))
    })
}

impl Environment {
    /// The server, database and role that `text` means in this environment.
    ///
    /// `text` is a URL (`postgres://user@host:port/database?sslmode=...`), libpq's
    /// `keyword=value` form, or empty. What it does not say comes from the service file, the
    /// `PG...` variables and the defaults, in this order. The defaults are libpq's, but for:
    ///
    /// - `sslmode` is `verify-full`, and `prefer` for a Unix socket or a loopback address;
    ///   `disable`, `allow` and `prefer` are refused elsewhere;
    /// - `connect_timeout` is 15 seconds;
    /// - `require_auth` rules out `password` and `md5` over TCP to a server whose certificate is
    ///   not verified;
    /// - `requirepeer`, which may be a number, is this user, root or `postgres` for a socket in a
    ///   folder that everybody may write to;
    /// - without a host, the socket that is there in `/var/run/postgresql` or `/tmp`, otherwise
    ///   `localhost`.
    ///
    /// With `insecure_tls` the server's certificate is not verified under `require`, which is
    /// then the default, and the refused modes are allowed.
    ///
    /// Accepted without effect, because a session's own values are always set:
    /// `application_name`, `client_encoding`, the keepalives and `tcp_user_timeout`; and
    /// `load_balance_hosts`, which says nothing about one host. Every other parameter that libpq
    /// knows and this crate does not support is refused, wherever it comes from.
    ///
    /// *Repeats:* reads the files again. *Destroys:* nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for an unknown or unsupported parameter or
    /// value, a missing service, a password file that others may read, or TLS that would prove
    /// nothing. No message holds the password.
    pub fn endpoint(&self, text: &str, insecure_tls: bool) -> Result<Endpoint> {
        let said = Parameters::gather(self, text)?;
        let port = said.port()?;
        let (host, hostaddr) = said.host(port)?;
        let user = match said.get("user") {
            Some(user) => user.to_owned(),
            None => self.os_user().ok_or_else(|| {
                Error::usage("no role is named, and this process's user has no name")
                    .hint("name the role: user=... or PGUSER")
            })?,
        };
        let mut endpoint = Endpoint {
            host,
            hostaddr,
            port,
            database: said.get("dbname").unwrap_or(&user).to_owned(),
            user,
            password: None,
            renewed: None,
            sslmode: SslMode::VerifyFull,
            insecure_tls,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            require_channel_binding: said.channel_binding()?,
            logins: said.get("require_auth").map(str::parse).transpose()?,
            require_peer: said.get("requirepeer").map(str::to_owned),
            via: None,
            ended: None,
            connect_timeout: said.connect_timeout()?,
            settings: Vec::new(),
            hidden_settings: Vec::new(),
        };
        said.tls(self, &mut endpoint)?;
        endpoint.password = said.password(self, &endpoint)?;
        Ok(endpoint)
    }
}

/// The parameters that were given, from wherever they came.
struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    fn gather(env: &Environment, text: &str) -> Result<Self> {
        let mut said = Self(BTreeMap::new());
        // The last one counts within a string, and the first source that has one.
        for (name, value) in conninfo::parse(text)?.into_iter().rev() {
            said.offer(keywords::find(&name)?, value)?;
        }
        let variable = |name| env.get(name).map(str::to_owned);
        for (name, keyword) in [("PGSERVICE", "service"), ("PGSERVICEFILE", "servicefile")] {
            if let Some(value) = variable(name) {
                said.offer(keywords::find(keyword)?, value)?;
            }
        }
        if let Some(name) = said.get("service") {
            let pairs: Vec<Pair> = service::find(env, name, said.get("servicefile"))?;
            let within = format!("in the service {name:?}");
            for (name, value) in pairs {
                said.offer(keywords::find(&name)?, value)
                    .map_err(|e| e.context(within.clone()))?;
            }
        }
        for keyword in KEYWORDS {
            let Some(name) = keyword.variable else {
                continue;
            };
            if let Some(value) = variable(name) {
                said.offer(keyword, value)
                    .map_err(|e| e.context(format!("in the environment variable {name}")))?;
            }
        }
        Ok(said)
    }

    /// Takes a value unless an earlier source had one, be it empty: that means the default.
    fn offer(&mut self, keyword: &'static Keyword, value: String) -> Result<()> {
        if self.0.contains_key(keyword.name) {
            return Ok(());
        }
        keyword.check(&value)?;
        self.0.insert(keyword.name, value);
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn port(&self) -> Result<u16> {
        match self.get("port") {
            None => Ok(5432),
            Some(text) if text.contains(',') => Err(conninfo::several_hosts()),
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| Error::usage(format!("{text:?} is no port from 1 to 65535"))),
        }
    }

    fn host(&self, port: u16) -> Result<(Host, Option<IpAddr>)> {
        let host = self.get("host");
        let hostaddr = self.get("hostaddr");
        if [host, hostaddr]
            .into_iter()
            .flatten()
            .any(|h| h.contains(','))
        {
            return Err(conninfo::several_hosts());
        }
        let address = match hostaddr.map(|text| (text, text.parse::<IpAddr>())) {
            None => None,
            Some((_, Ok(address))) => Some(address),
            Some((text, Err(_))) => {
                return Err(Error::usage(format!("hostaddr={text:?} is no IP address"))
                    .hint("a name goes into host"));
            }
        };
        let host = match (host, address) {
            (Some(dir), Some(_)) if dir.starts_with('/') => {
                return Err(Error::usage(format!(
                    "hostaddr is given for the socket directory {dir:?}"
                )));
            }
            (Some(name), _) if name.starts_with('@') => {
                return Err(Error::usage("an abstract socket as host is not supported"));
            }
            (Some(dir), None) if dir.starts_with('/') => Host::Socket(PathBuf::from(dir)),
            (Some(name), _) => Host::Tcp(name.to_owned()),
            (None, Some(address)) => Host::Tcp(address.to_string()),
            (None, None) => SOCKET_DIRS
                .iter()
                .map(Path::new)
                .find(|dir| dir.join(format!(".s.PGSQL.{port}")).exists())
                .map_or_else(
                    || Host::Tcp("localhost".to_owned()),
                    |dir| Host::Socket(dir.to_owned()),
                ),
        };
        Ok((host, address))
    }

    fn channel_binding(&self) -> Result<bool> {
        match self.get("channel_binding") {
            None | Some("prefer" | "disable") => Ok(false),
            Some("require") => Ok(true),
            Some(other) => Err(Error::usage(format!("{other:?} is no channel_binding"))
                .hint("prefer, require or disable")),
        }
    }

    fn connect_timeout(&self) -> Result<Duration> {
        let Some(text) = self.get("connect_timeout") else {
            return Ok(CONNECT_WITHIN);
        };
        match text.trim().parse::<u32>() {
            Ok(0) => Err(Error::usage("connect_timeout=0 would wait for ever")
                .hint("name a number of seconds")),
            Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
            Err(_) => Err(Error::usage(format!(
                "connect_timeout={text:?} is no whole number of seconds"
            ))),
        }
    }

    fn tls(&self, env: &Environment, endpoint: &mut Endpoint) -> Result<()> {
        let mode = self.get("sslmode").map(str::parse).transpose()?;
        let system = self.get("sslrootcert") == Some("system");
        let mode =
            mode.or_else(|| (system && !endpoint.insecure_tls).then_some(SslMode::VerifyFull));
        endpoint.sslmode = mode.unwrap_or_else(|| usual_mode(endpoint));
        if let Host::Socket(_) = endpoint.host {
            // Sockets carry no TLS; libpq ignores the certificates, too.
            return Ok(());
        }
        let usual = |file: &str| {
            env.home()
                .map(|home| home.join(".postgresql").join(file))
                .filter(|path| path.exists())
        };
        endpoint.sslrootcert = match self.get("sslrootcert") {
            Some("system") => None,
            Some(file) => Some(PathBuf::from(file)),
            None => usual("root.crt"),
        };
        let file = |name, default| self.get(name).map(PathBuf::from).or_else(|| usual(default));
        let cert = file("sslcert", "postgresql.crt");
        let key = file("sslkey", "postgresql.key");
        match (cert, key) {
            (Some(cert), Some(key)) => {
                endpoint.sslcert = Some(cert);
                endpoint.sslkey = Some(key);
            }
            (None, None) => {}
            (Some(cert), None) => {
                return Err(Error::usage(format!(
                    "there is no key for the client certificate {}",
                    cert.display()
                ))
                .hint("name it with sslkey"));
            }
            (None, Some(_)) if self.get("sslkey").is_none() => {}
            (None, Some(key)) => {
                return Err(Error::usage(format!(
                    "there is no client certificate for the key {}",
                    key.display()
                ))
                .hint("name it with sslcert"));
            }
        }
        tls::check_mode(endpoint)
    }

    fn password(&self, env: &Environment, endpoint: &Endpoint) -> Result<Option<Secret>> {
        if let Some(password) = self.get("password") {
            return Ok(Some(Secret::new(password)));
        }
        let file = match self.get("passfile") {
            Some(file) => Some(PathBuf::from(file)),
            None => env.home().map(|home| home.join(".pgpass")),
        };
        let Some(file) = file else { return Ok(None) };
        passfile::find(
            &file,
            &passfile::Login {
                hosts: &listed_as(&endpoint.host),
                port: endpoint.port,
                database: &endpoint.database,
                user: &endpoint.user,
            },
        )
    }
}

/// The mode where none was asked for.
fn usual_mode(endpoint: &Endpoint) -> SslMode {
    if endpoint.is_local() {
        SslMode::Prefer
    } else if endpoint.insecure_tls {
        SslMode::Require
    } else {
        SslMode::VerifyFull
    }
}

/// The names of a server in the password file. A default socket directory is `localhost` there.
fn listed_as(host: &Host) -> Vec<String> {
    match host {
        Host::Tcp(name) => vec![name.clone()],
        Host::Socket(dir) => {
            let mut names = vec![dir.display().to_string()];
            if SOCKET_DIRS.iter().any(|usual| Path::new(usual) == dir) {
                names.push("localhost".to_owned());
            }
            names
        }
    }
}

#[cfg(test)]
mod tests;
