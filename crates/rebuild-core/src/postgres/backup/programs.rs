//! pg_dump and pg_restore, run as children whose output is read piece by piece.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Host, SslMode};
use crate::store::{Name, Store};

const PIECE: usize = 256 * 1024;
/// What is kept of a program's complaints.
const COMPLAINTS: u64 = 64 * 1024;

/// A program that was found, and its version.
#[derive(Clone, Debug)]
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// As the program gives it, for example `15.14`.
    pub(super) version: String,
}

impl Program {
    /// Finds `name` in `folder`, otherwise the newest one that is installed. It must not be older
    /// than the server, whose catalogs it would not understand.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub(super) async fn find(
        name: &'static str,
        folder: Option<&Path>,
        server_major: u32,
    ) -> Result<Self> {
        let path = match folder {
            Some(folder) => folder.join(name),
            None => installed(name),
        };
        let output = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| {
                Error::new(
                    ErrorKind::Program,
                    format!("could not run {}", path.display()),
                )
                .caused_by(e)
                .hint("install the PostgreSQL client programs, or name their folder")
            })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .to_owned();
        let major: u32 = version
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Program,
                    format!("{} does not say its version: {text:?}", path.display()),
                )
            })?;
        if major < server_major {
            return Err(Error::refused(format!(
                "{} has version {version}, older than the server's {server_major}",
                path.display()
            ))
            .hint(format!(
                "install the PostgreSQL {server_major} client programs, or a newer major version"
            )));
        }
        Ok(Self {
            name,
            path,
            version,
        })
    }

    /// A run of it with nothing of this process's environment that could bend it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear();
        for kept in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs([("LC_ALL", "C"), ("TZ", "UTC"), ("PGTZ", "UTC")]);
        command.kill_on_drop(true);
        command
    }

    /// Starts `command`, a run of this program.
    ///
    /// # Errors
    /// It could not be started.
    pub(super) fn start(&self, mut command: Command, input: Input) -> Result<Running> {
        command
            .stdin(match input {
                Input::None => Stdio::null(),
                Input::Object(..) => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            Error::new(ErrorKind::Program, format!("could not run {}", self.name)).caused_by(e)
        })?;
        let piped = || Error::internal("a child without the pipes it was started with");
        let feed = match input {
            Input::None => None,
            Input::Object(store, name) => {
                let stdin = child.stdin.take().ok_or_else(piped)?;
                Some(tokio::spawn(feed(store, name, stdin)))
            }
        };
        let stdout = child.stdout.take().ok_or_else(piped)?;
        let stderr = child.stderr.take().ok_or_else(piped)?;
        let complaints = tokio::spawn(async move {
            let mut kept = Vec::new();
            let mut stderr = stderr;
            // What cannot be read of the complaints is no reason to lose the rest.
            let _ = (&mut stderr).take(COMPLAINTS).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            kept
        });
        Ok(Running {
            name: self.name,
            child,
            stdout,
            complaints,
            feed,
        })
    }
}

/// What a program reads on its standard input.
pub(super) enum Input {
    /// Nothing.
    None,
    /// An object of the store.
    Object(Store, Name),
}

async fn feed(store: Store, name: Name, mut stdin: tokio::process::ChildStdin) -> Result<()> {
    let mut pieces = store.stream(&name).await?;
    while let Some(piece) = pieces.next().await {
        // A program that has read enough closes the pipe; its exit says whether all is well.
        if stdin.write_all(&piece?).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A program that is running. It is killed when this is dropped.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    stdout: ChildStdout,
    complaints: JoinHandle<Vec<u8>>,
    feed: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// The next piece of its output; `None` at the end.
    ///
    /// # Errors
    /// Nothing came for longer than `stall`, or the operator stopped.
    pub(super) async fn next(&mut self, ctx: &Ctx, stall: Duration) -> Result<Option<Bytes>> {
        let (name, stdout) = (self.name, &mut self.stdout);
        ctx.within(stall, &format!("output of {name}"), async {
            let mut piece = BytesMut::with_capacity(PIECE);
            stdout.read_buf(&mut piece).await.map_err(|e| {
                Error::new(
                    ErrorKind::Program,
                    format!("could not read the output of {name}"),
                )
                .caused_by(e)
            })?;
            Ok((!piece.is_empty()).then(|| piece.freeze()))
        })
        .await
    }

    /// Waits for its end and returns its warnings.
    ///
    /// # Errors
    /// It failed; its complaints are in the error.
    pub(super) async fn finish(mut self, ctx: &Ctx, stall: Duration) -> Result<Vec<String>> {
        let name = self.name;
        let status = ctx
            .within(stall, &format!("{name}'s end"), async {
                Ok(self.child.wait().await?)
            })
            .await?;
        let ended = |e| Error::internal("reading from a program ended early").caused_by(e);
        if let Some(feed) = self.feed {
            feed.await.map_err(ended)??;
        }
        let complaints = self.complaints.await.map_err(ended)?;
        let lines: Vec<String> = String::from_utf8_lossy(&complaints)
            .lines()
            .map(|line| line.escape_debug().to_string())
            .collect();
        if status.success() {
            return Ok(lines);
        }
        Err(Error::new(
            ErrorKind::Program,
            format!("{name} ended with {status}: {}", lines.join("; ")),
        ))
    }
}

fn installed(name: &str) -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            let version = e.file_name().to_str()?.parse().ok()?;
            Some((version, e.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, path)| path);
    newest.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

/// How a libpq program reaches a database. The password is in a file that only this user can
/// read, and that goes away with this.
pub(super) struct LibpqAccess {
    variables: Vec<(&'static str, String)>,
    _password: Option<NamedTempFile>,
}

impl LibpqAccess {
    /// Access to `endpoint` as `application`.
    ///
    /// # Errors
    /// The file of the password could not be written.
    pub(super) fn new(endpoint: &Endpoint, application: &str) -> Result<Self> {
        let host = match &endpoint.host {
            Host::Socket(dir) => dir.display().to_string(),
            Host::Tcp(name) => name.clone(),
        };
        let sslmode = match endpoint.sslmode {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require if endpoint.insecure_tls => "require",
            SslMode::Require | SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        };
        let mut variables = vec![
            ("PGHOST", host),
            ("PGPORT", endpoint.port.to_string()),
            ("PGUSER", endpoint.user.clone()),
            ("PGDATABASE", endpoint.database.clone()),
            ("PGAPPNAME", application.to_owned()),
            ("PGSSLMODE", sslmode.to_owned()),
            (
                "PGCONNECT_TIMEOUT",
                endpoint.connect_timeout.as_secs().max(2).to_string(),
            ),
        ];
        for (variable, path) in [
            ("PGSSLROOTCERT", &endpoint.sslrootcert),
            ("PGSSLCERT", &endpoint.sslcert),
            ("PGSSLKEY", &endpoint.sslkey),
        ] {
            if let Some(path) = path {
                variables.push((variable, path.display().to_string()));
            }
        }
        let password = match &endpoint.password {
            Some(password) => Some(password_file(password.expose())?),
            None => None,
        };
        if let Some(file) = &password {
            variables.push(("PGPASSFILE", file.path().display().to_string()));
        }
        Ok(Self {
            variables,
            _password: password,
        })
    }

    /// Lets `command` use it.
    pub(super) fn give_to(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

fn password_file(password: &str) -> Result<NamedTempFile> {
    use std::io::Write;
    let mut file = NamedTempFile::new()?;
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    writeln!(file, "*:*:*:*:{escaped}")?;
    file.flush()?;
    Ok(file)
}
