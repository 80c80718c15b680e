//! How to reach a PostgreSQL server.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Logins;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What TLS must prove. The six values of libpq's `sslmode`, parsed by us because
/// tokio-postgres knows only three of them
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS. Accepted for Unix sockets and loopback addresses only.
    Disable,
    /// libpq's `allow`; accepted for Unix sockets and loopback addresses only.
    Allow,
    /// libpq's `prefer`; accepted for Unix sockets and loopback addresses only.
    Prefer,
    /// TLS; the server's certificate is verified all the same, unless the spec says
    /// `insecure_tls`.
    Require,
    /// TLS with a certificate signed by a trusted authority.
    VerifyCa,
    /// TLS with a trusted certificate that names the host. The default.
    VerifyFull,
}

impl SslMode {
    /// libpq's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [
            Self::Disable,
            Self::Allow,
            Self::Prefer,
            Self::Require,
            Self::VerifyCa,
            Self::VerifyFull,
        ]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| {
            Error::usage(format!("{text:?} is no sslmode"))
                .hint("disable, allow, prefer, require, verify-ca or verify-full")
        })
    }
}

/// One place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A directory that holds the server's Unix socket.
    Socket(PathBuf),
    /// A host name or address.
    Tcp(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(dir) => dir.display().fmt(f),
            Self::Tcp(name) => name.fmt(f),
        }
    }
}

/// A server, a database on it, and who asks. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the server listens.
    pub host: Host,
    /// The address to connect to in place of the one that the host's name has; the certificate
    /// must still name the host.
    pub hostaddr: Option<IpAddr>,
    /// The port (for a socket: the number in its file name).
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// The password, if one is known.
    pub password: Option<Secret>,
    /// A password that changes as time goes by, in the place of the other: a token that runs out.
    pub renewed: Option<tokio::sync::watch::Receiver<Secret>>,
    /// What TLS must prove.
    pub sslmode: SslMode,
    /// With [`SslMode::Require`]: do not verify the certificate. Recorded in the report.
    pub insecure_tls: bool,
    /// A PEM file of trusted authorities; without it the system's.
    pub sslrootcert: Option<PathBuf>,
    /// A PEM file with the client's certificate.
    pub sslcert: Option<PathBuf>,
    /// A PEM file with the client's key.
    pub sslkey: Option<PathBuf>,
    /// Refuse to log in without SCRAM's channel binding, which proves that the server that knows
    /// the password is the one at the other end of the TLS connection.
    pub require_channel_binding: bool,
    /// The ways to log in that are taken from the server; without it, those that tell the password
    /// to nobody who may not have it.
    pub logins: Option<Logins>,
    /// The user whose process must listen on the Unix socket, by name or number.
    pub require_peer: Option<String>,
    /// What the connection goes through, for people; the port is then one that is forwarded.
    pub via: Option<String>,
    /// Whether what it goes through has ended, and how: a proxy that was started for it.
    pub ended: Option<tokio::sync::watch::Receiver<Option<String>>>,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// What every session is set to from its beginning, for example `role`.
    pub settings: Vec<(String, String)>,
    /// The same, for sessions of this process alone, and shown to nobody: neither programs nor
    /// the server's log, which may have every statement, are told.
    pub hidden_settings: Vec<(String, Secret)>,
}

/// One setting, with the white space in it escaped.
fn option(name: &str, value: &str) -> String {
    let mut option = String::from("-c ");
    for c in name.chars().chain(['=']).chain(value.chars()) {
        if c == '\\' || c.is_ascii_whitespace() || c == '\x0b' {
            option.push('\\');
        }
        option.push(c);
    }
    option
}

impl Endpoint {
    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..self.clone()
        }
    }

    /// The password to log in with now.
    pub fn password(&self) -> Option<Secret> {
        match &self.renewed {
            Some(renewed) => Some(renewed.borrow().clone()),
            None => self.password.clone(),
        }
    }

    /// The same, for sessions that read and cannot write, as `role` if one is given.
    #[must_use]
    pub fn only_reading(mut self, role: Option<&str>) -> Self {
        let mut set = |name: &str, value: &str| {
            self.settings.push((name.to_owned(), value.to_owned()));
        };
        // https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY
        set("default_transaction_read_only", "on");
        if let Some(role) = role {
            set("role", role);
        }
        self
    }

    /// The settings as libpq's `options` gives them to the server, if there are any
    /// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>).
    pub fn options(&self) -> Option<String> {
        let options: Vec<String> = (self.settings.iter())
            .map(|(name, value)| option(name, value))
            .collect();
        (!options.is_empty()).then(|| options.join(" "))
    }

    /// The secret settings in the same form.
    pub fn hidden_options(&self) -> Option<Secret> {
        let options: Vec<String> = (self.hidden_settings.iter())
            .map(|(name, value)| option(name, value.expose()))
            .collect();
        (!options.is_empty()).then(|| Secret::new(options.join(" ")))
    }

    /// True if what is sent stays on this machine: a Unix socket or a loopback address.
    pub fn is_local(&self) -> bool {
        match (&self.host, self.hostaddr) {
            (Host::Socket(_), _) => true,
            (Host::Tcp(_), Some(address)) => address.is_loopback(),
            (Host::Tcp(host), None) => host
                .parse::<IpAddr>()
                .map_or(host == "localhost", |address| address.is_loopback()),
        }
    }

    /// The connection parameters as libpq names them
    /// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>), without
    /// the password.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("host", self.host.to_string()),
            ("port", self.port.to_string()),
            ("user", self.user.clone()),
            ("dbname", self.database.clone()),
            ("sslmode", self.sslmode.as_str().to_owned()),
        ];
        let address = self.hostaddr.iter();
        parameters.extend(address.map(|address| ("hostaddr", address.to_string())));
        if self.require_channel_binding {
            parameters.push(("channel_binding", "require".to_owned()));
        }
        for (keyword, file) in [
            ("sslrootcert", &self.sslrootcert),
            ("sslcert", &self.sslcert),
            ("sslkey", &self.sslkey),
        ] {
            parameters.extend(file.iter().map(|f| (keyword, f.display().to_string())));
        }
        parameters
    }

    /// `role@host:port/database`, for people and logs, or what the connection goes through; it never
    /// shows a password.
    pub fn describe(&self) -> String {
        let (user, host, database) = (&self.user, &self.host, &self.database);
        match &self.via {
            Some(via) => format!("{user}@{database} at {via}"),
            None => format!("{user}@{host}:{}/{database}", self.port),
        }
    }
}
