//! How a program finds the database it is to work on: in its environment.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::percent::encode;
use crate::event::Ctx;
use crate::model::{Endpoint, Host, SslMode};
use crate::postgres::application;
use crate::secret::Secret;

/// The variable that gets the URL, where a spec says nothing else.
pub(crate) const URL_VARIABLE: &str = "DATABASE_URL";
const URL_PREFIX: &str = "postgresql://";

/// Variables that name one database: libpq's
/// (<https://www.postgresql.org/docs/current/libpq-envars.html>), a URL, and ours.
#[derive(Debug)]
pub(crate) struct TargetEnv {
    /// Those that may show.
    pub(crate) plain: Vec<(String, String)>,
    /// Those that must not.
    pub(crate) secret: Vec<(String, Secret)>,
}

impl TargetEnv {
    /// The variables for `endpoint`'s database, with its URL in `url_variable`, or the usual one.
    pub(crate) fn new(
        ctx: &Ctx,
        endpoint: &Endpoint,
        url_variable: Option<&str>,
        url_prefix: Option<&str>,
    ) -> Self {
        let url_variable = url_variable.unwrap_or(URL_VARIABLE);
        let url_prefix = url_prefix.unwrap_or(URL_PREFIX);
        let mut plain: Vec<(&str, String)> = endpoint
            .parameters()
            .into_iter()
            .map(|(keyword, value)| (variable(keyword), value))
            .collect();
        plain.extend([
            // By it a later process finds and ends what a killed run left behind.
            ("PGAPPNAME", application(ctx)),
            ("REBUILD_RUN", ctx.run.to_string()),
            ("REBUILD_DATABASE", endpoint.database.clone()),
        ]);
        let mut env = Self {
            plain: plain
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            secret: Vec::new(),
        };
        let url = url(endpoint, url_prefix);
        match endpoint.password() {
            Some(password) => {
                env.secret.push(("PGPASSWORD".to_owned(), password));
                env.secret.push((url_variable.to_owned(), Secret::new(url)));
            }
            None => env.plain.push((url_variable.to_owned(), url)),
        }
        env
    }
}

/// The variable for one of libpq's keywords.
fn variable(keyword: &'static str) -> &'static str {
    match keyword {
        "host" => "PGHOST",
        "hostaddr" => "PGHOSTADDR",
        "port" => "PGPORT",
        "user" => "PGUSER",
        "dbname" => "PGDATABASE",
        "sslmode" => "PGSSLMODE",
        "sslrootcert" => "PGSSLROOTCERT",
        "sslcert" => "PGSSLCERT",
        "sslkey" => "PGSSLKEY",
        "channel_binding" => "PGCHANNELBINDING",
        other => other,
    }
}

/// The database as a URL that libpq and its kin read. TLS is left to PGSSLMODE: some drivers
/// refuse a URL with parameters they do not know.
fn url(endpoint: &Endpoint, prefix: &str) -> String {
    let user = encode(&endpoint.user);
    let password = endpoint
        .password()
        .map(|password| format!(":{}", encode(password.expose())))
        .unwrap_or_default();
    let database = encode(&endpoint.database);
    let port = endpoint.port;
    match &endpoint.host {
        Host::Socket(dir) => {
            let dir = encode(&dir.display().to_string());
            format!("{prefix}{user}{password}@/{database}?host={dir}&port={port}")
        }
        Host::Tcp(name) if name.contains(':') => {
            format!("{prefix}{user}{password}@[{name}]:{port}/{database}")
        }
        Host::Tcp(name) => format!("{prefix}{user}{password}@{name}:{port}/{database}"),
    }
}

/// As [`url`], with the address and with what the connection asks of TLS.
pub(crate) fn url_with_tls(endpoint: &Endpoint, prefix: &str) -> String {
    let mut url = url(endpoint, prefix);
    if matches!(endpoint.host, Host::Socket(_)) {
        return url;
    }
    let file = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    let asked = endpoint.sslmode != SslMode::VerifyFull;
    let keywords = [
        ("hostaddr", endpoint.hostaddr.map(|a| a.to_string())),
        (
            "sslmode",
            asked.then(|| endpoint.sslmode.as_str().to_owned()),
        ),
        ("sslrootcert", file(&endpoint.sslrootcert)),
        ("sslcert", file(&endpoint.sslcert)),
        ("sslkey", file(&endpoint.sslkey)),
        (
            "channel_binding",
            endpoint
                .require_channel_binding
                .then(|| "require".to_owned()),
        ),
    ];
    let given = keywords
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    for (n, (name, value)) in given.enumerate() {
        let sign = if n == 0 { '?' } else { '&' };
        let _ = write!(url, "{sign}{name}={}", encode(&value));
    }
    url
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn endpoint(host: Host, password: Option<&str>) -> Endpoint {
        Endpoint {
            host,
            hostaddr: Some([10, 0, 0, 1].into()),
            port: 6432,
            database: "my app".to_owned(),
            user: "o'neil@corp".to_owned(),
            password: password.map(Secret::new),
            renewed: None,
            sslmode: SslMode::VerifyFull,
            insecure_tls: false,
            sslrootcert: Some("/etc/ca.pem".into()),
            sslcert: None,
            sslkey: None,
            require_channel_binding: true,
            logins: None,
            require_peer: None,
            via: None,
            ended: None,
            connect_timeout: Duration::from_secs(1),
            settings: Vec::new(),
            hidden_settings: Vec::new(),
        }
    }

    #[test]
    fn urls_are_encoded_part_by_part() {
        let tcp = Host::Tcp("db.example".to_owned());
        assert_eq!(
            url(&endpoint(tcp, Some("p@ss/w")), "postgresql+psycopg://"),
            "postgresql+psycopg://o%27neil%40corp:p%40ss%2Fw@db.example:6432/my%20app"
        );
        let six = Host::Tcp("::1".to_owned());
        assert_eq!(
            url(&endpoint(six, None), "postgres://"),
            "postgres://o%27neil%40corp@[::1]:6432/my%20app"
        );
        let socket = Host::Socket("/run/postgres ql".into());
        assert_eq!(
            url(&endpoint(socket, None), "postgres://"),
            "postgres://o%27neil%40corp@/my%20app?host=%2Frun%2Fpostgres%20ql&port=6432"
        );
    }

    #[test]
    fn what_is_asked_of_tls_is_in_a_url_that_is_kept() {
        let tcp = Host::Tcp("db.example".to_owned());
        let mut tcp = endpoint(tcp, None);
        tcp.sslmode = SslMode::VerifyCa;
        tcp.sslkey = Some("/k&y".into());
        assert_eq!(
            url_with_tls(&tcp, "postgresql://"),
            "postgresql://o%27neil%40corp@db.example:6432/my%20app?hostaddr=10.0.0.1&sslmode=verify-ca\
             &sslrootcert=%2Fetc%2Fca.pem&sslkey=%2Fk%26y&channel_binding=require"
        );
        let socket = endpoint(Host::Socket("/run".into()), None);
        let of_socket = url(&socket, "postgresql://");
        assert_eq!(url_with_tls(&socket, "postgresql://"), of_socket);
    }

    #[test]
    fn the_password_is_in_secret_variables_only() {
        let tcp = Host::Tcp("db.example".to_owned());
        let ctx = Ctx::quiet();
        let env = TargetEnv::new(
            &ctx,
            &endpoint(tcp, Some("hunter2")),
            Some("DB_URL"),
            Some("postgres://"),
        );
        let shown = format!("{env:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let names: Vec<&str> = env.secret.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PGPASSWORD", "DB_URL"]);
        for (name, value) in [
            ("PGHOST", "db.example"),
            ("PGHOSTADDR", "10.0.0.1"),
            ("PGCHANNELBINDING", "require"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/etc/ca.pem"),
            ("PGDATABASE", "my app"),
            ("REBUILD_DATABASE", "my app"),
        ] {
            assert!(
                env.plain.contains(&(name.to_owned(), value.to_owned())),
                "{name}: {shown}"
            );
        }
    }
}
