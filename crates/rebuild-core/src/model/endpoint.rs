//! How to reach a PostgreSQL server.

use std::path::PathBuf;
use std::time::Duration;

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

/// One place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A directory that holds the server's Unix socket.
    Socket(PathBuf),
    /// A host name or address.
    Tcp(String),
}

/// A server, a database on it, and who asks. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the server listens.
    pub host: Host,
    /// The port (for a socket: the number in its file name).
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// The password, if one is known.
    pub password: Option<Secret>,
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
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
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

    /// `role@host:port/database`, for people and logs; it never shows a password.
    pub fn describe(&self) -> String {
        let host = match &self.host {
            Host::Socket(dir) => dir.display().to_string(),
            Host::Tcp(name) => name.clone(),
        };
        format!("{}@{}:{}/{}", self.user, host, self.port, self.database)
    }
}
