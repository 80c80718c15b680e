//! What a server is made of before its first start: its folder, data directory and settings.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::account::Account;
use super::programs::run;
use super::{ClusterOptions, LocalCluster, options};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The longest path of a Unix socket, in bytes: `sun_path` has 108, the last of them NUL.
const MAX_SOCKET_PATH: usize = 107;

impl LocalCluster {
    /// Makes the data directory.
    pub(super) async fn init(&mut self, options: &ClusterOptions) -> Result<()> {
        let mut command = self.program("initdb");
        command.arg("--pgdata").arg(self.data_dir());
        command.args(options::initdb_args(options, self.major())?);
        let file = self.dir.path().join("password");
        if options.tcp_port.is_some() {
            let password = random_password()?;
            self.append(&file, password.expose()).await?;
            command.arg("--pwfile").arg(&file);
            self.password = Some(password);
        }
        run(&mut command, self.timeout).await.map_err(|e| {
            e.context(format!(
                "could not make a PostgreSQL {} server in {}",
                self.major(),
                self.dir.path().display()
            ))
        })?;
        let conf = self.data_dir().join("postgresql.conf");
        self.append(&conf, "\ninclude 'rebuild.conf'\n").await?;
        let script = "rm -f -- \"$1\"";
        self.as_account(script, &file, "").await
    }

    /// Writes the settings, with the port that this start is to have.
    pub(super) async fn configure(&mut self, options: &ClusterOptions) -> Result<()> {
        self.port = match options.tcp_port {
            None => 5432,
            Some(0) => std::net::TcpListener::bind(("127.0.0.1", 0))?
                .local_addr()?
                .port(),
            Some(port) => port,
        };
        let text = options::conf(options, self.socket_dir(), self.port)?;
        let path = self.data_dir().join("rebuild.conf");
        self.append(&path, &text).await
    }
}

/// A new folder for a server, that only `account` (or this user) can enter. Sockets have short
/// names, so a folder for temporary files with a long one gives way to `/tmp`.
pub(super) fn make_folder(options: &ClusterOptions, account: Option<&Account>) -> Result<TempDir> {
    let parents = match &options.parent_dir {
        Some(parent) => vec![parent.clone()],
        None => vec![std::env::temp_dir(), PathBuf::from("/tmp")],
    };
    for parent in &parents {
        let dir = tempfile::Builder::new()
            .prefix("rebuild-pg-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|e| {
                Error::new(
                    ErrorKind::Io,
                    format!("could not make a folder in {}", parent.display()),
                )
                .caused_by(e)
            })?;
        let socket = dir.path().join(".s.PGSQL.65535");
        if socket.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH {
            if let Some(account) = account {
                account.own(dir.path())?;
            }
            return Ok(dir);
        }
    }
    Err(Error::usage(format!(
        "{} has too long a name: the path of a server's socket is at most {MAX_SOCKET_PATH} bytes",
        parents[0].display()
    ))
    .hint("name a folder with a shorter path"))
}

/// 192 bits from the system's source, as hexadecimal digits.
fn random_password() -> Result<Secret> {
    let mut bytes = [0_u8; 24];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(digits))
}
