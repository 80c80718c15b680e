//! Google's proxy, run beside this program
//! (<https://cloud.google.com/sql/docs/postgres/connect-auth-proxy>).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::InstanceName;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;

/// How long it may take until it accepts connections.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What it said last is told where it failed, as far as there is room.
const TOLD: usize = 2000;

/// A proxy that runs. It ends when this is dropped.
pub(super) struct Proxy {
    _program: Child,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts `program` with the arguments of the version 2 of Google's, and waits until it accepts
    /// connections.
    ///
    /// # Errors
    /// It cannot be started; it ended, with what it said; it was not ready within a minute.
    pub(super) async fn start(
        ctx: &Ctx,
        program: &str,
        arguments: &[String],
        name: &InstanceName,
    ) -> Result<Self> {
        // A short name, for the path of a socket is short, and a socket is no secret to leave behind.
        let folder = tempfile::Builder::new()
            .prefix("rebuild-")
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir()?;
        let mut command = Command::new(program);
        command
            .arg("--unix-socket")
            .arg(folder.path())
            .args(arguments)
            .arg(name.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut running = command.spawn().map_err(|e| {
            Error::new(ErrorKind::Program, format!("could not start {program}"))
                .caused_by(e)
                .hint("install Google's proxy, or name it in target.cloudsql.proxy")
        })?;
        let socket = socket(folder.path(), name).join(".s.PGSQL.5432");
        let ready = ready(program, &mut running, &socket);
        ctx.within(READY_WITHIN, &format!("the start of {program}"), ready)
            .await?;
        // A pipe that nobody reads holds it up.
        if let Some(mut said) = running.stderr.take() {
            tokio::spawn(async move {
                let mut piece = [0; 4096];
                while said.read(&mut piece).await.is_ok_and(|n| n > 0) {}
            });
        }
        Ok(Self {
            _program: running,
            folder,
        })
    }

    /// The folder of the socket.
    pub(super) fn socket(&self, name: &InstanceName) -> PathBuf {
        socket(self.folder.path(), name)
    }
}

fn socket(folder: &Path, name: &InstanceName) -> PathBuf {
    folder.join(name.to_string())
}

async fn ready(program: &str, running: &mut Child, socket: &Path) -> Result<()> {
    loop {
        if UnixStream::connect(socket).await.is_ok() {
            return Ok(());
        }
        if let Some(status) = running.try_wait()? {
            let mut said = String::new();
            if let Some(stderr) = &mut running.stderr {
                // What is not UTF-8 is not worth more.
                let _ = stderr.read_to_string(&mut said).await;
            }
            let last: String = {
                let skipped = said.chars().count().saturating_sub(TOLD);
                said.chars().skip(skipped).collect()
            };
            let failed = format!("{program} ended before it was ready: {status}");
            return Err(Error::new(ErrorKind::Program, failed)
                .caused_by(Error::new(ErrorKind::Program, clean(last.trim()))));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
