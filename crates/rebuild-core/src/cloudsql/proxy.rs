//! Google's proxy, run beside this program
//! (<https://cloud.google.com/sql/docs/postgres/connect-auth-proxy>).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

use super::InstanceName;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;

/// How long it may take until it accepts connections.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often one looks whether it still runs, besides whenever it says something.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// What it said last is told where it failed, as far as there is room.
const TOLD: usize = 2000;

/// Its arguments that say which account asks
/// (<https://github.com/GoogleCloudPlatform/cloud-sql-proxy#credentials>). It takes one of them.
const ACCOUNT: [(&str, &str); 4] = [
    ("--credentials-file", "-c"),
    ("--json-credentials", "-j"),
    ("--token", "-t"),
    ("--gcloud-auth", "-g"),
];
const API: &str = "--sqladmin-api-endpoint";

/// The arguments of a proxy: its own, and what it is to know of the account and the API, unless its own
/// say that.
pub(super) fn arguments(
    own: &[String],
    credentials: Option<&Path>,
    api: Option<&str>,
) -> Vec<String> {
    let says = |long: &str, short: Option<&str>| {
        let is = |argument: &String| {
            let rest = argument.strip_prefix(long);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
                || short.is_some_and(|short| argument.starts_with(short))
        };
        own.iter().any(is)
    };
    let mut all = own.to_vec();
    let named = ACCOUNT.iter().any(|(long, short)| says(long, Some(short)));
    if let Some(file) = credentials.filter(|_| !named) {
        all.extend(["--credentials-file".to_owned(), file.display().to_string()]);
    }
    if let Some(api) = api.filter(|_| !says(API, None)) {
        all.extend([API.to_owned(), api.to_owned()]);
    }
    all
}

/// A proxy that runs. It ends when this is dropped.
pub(super) struct Proxy {
    /// Held by nobody else for longer than a look, so that it ends here.
    _program: Arc<Mutex<Child>>,
    ended: watch::Receiver<Option<String>>,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts `program` with the arguments of the version 2 of Google's, and waits until it accepts
    /// connections. Should it end later, that is told.
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
        let stderr = running.stderr.take();
        let running = Arc::new(Mutex::new(running));
        let (tell, ended) = watch::channel(None);
        let listener = Listener {
            program: program.to_owned(),
            running: Arc::downgrade(&running),
            tell,
        };
        tokio::spawn(listener.listen(stderr));
        let socket = socket(folder.path(), name).join(".s.PGSQL.5432");
        let ready = ready(program, &ended, &socket);
        ctx.within(READY_WITHIN, &format!("the start of {program}"), ready)
            .await?;
        let (mut ending, events) = (ended.clone(), ctx.events.clone());
        tokio::spawn(async move {
            if let Ok(how) = ending.wait_for(Option::is_some).await {
                events.warn(how.clone().unwrap_or_default());
            }
        });
        Ok(Self {
            _program: running,
            ended,
            folder,
        })
    }

    /// The folder of the socket.
    pub(super) fn socket(&self, name: &InstanceName) -> PathBuf {
        socket(self.folder.path(), name)
    }

    /// How it has ended, once it has.
    pub(super) fn ended(&self) -> watch::Receiver<Option<String>> {
        self.ended.clone()
    }
}

fn socket(folder: &Path, name: &InstanceName) -> PathBuf {
    folder.join(name.to_string())
}

async fn ready(
    program: &str,
    ended: &watch::Receiver<Option<String>>,
    socket: &Path,
) -> Result<()> {
    loop {
        if UnixStream::connect(socket).await.is_ok() {
            return Ok(());
        }
        if let Some(how) = ended.borrow().clone() {
            let failed = format!("{program} was not ready for connections");
            return Err(Error::new(ErrorKind::Program, failed)
                .caused_by(Error::new(ErrorKind::Program, how)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads what a proxy says, for a pipe that nobody reads holds it up, and notices its end.
struct Listener {
    program: String,
    /// Whoever has the proxy may let it go at any time.
    running: Weak<Mutex<Child>>,
    tell: watch::Sender<Option<String>>,
}

impl Listener {
    async fn listen(self, mut stderr: Option<ChildStderr>) {
        let mut said = Vec::new();
        loop {
            let more = match &mut stderr {
                Some(stderr) => tokio::select! {
                    more = hear(stderr, &mut said) => more,
                    () = tokio::time::sleep(ALIVE_EVERY) => true,
                },
                None => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    true
                }
            };
            if !more {
                stderr = None;
            }
            let Some(running) = self.running.upgrade() else {
                return;
            };
            let looked = running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_wait();
            drop(running);
            let status = match looked {
                Ok(None) => continue,
                Ok(Some(status)) => status.to_string(),
                Err(e) => e.to_string(),
            };
            if let Some(mut stderr) = stderr {
                let rest = async { while hear(&mut stderr, &mut said).await {} };
                // A child of its own may hold the pipe open; what that says is not worth a wait.
                let _ = tokio::time::timeout(ALIVE_EVERY, rest).await;
            }
            let program = &self.program;
            let last = last(&said);
            self.tell.send_replace(Some(match &*last {
                "" => format!("{program} has ended with {status}"),
                last => format!("{program} has ended with {status}: {last}"),
            }));
            return;
        }
    }
}

/// Waits until it says something. False if it never will again.
async fn hear(stderr: &mut ChildStderr, said: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    match stderr.read(&mut piece).await {
        Ok(read) if read > 0 => {
            said.extend_from_slice(&piece[..read]);
            let old = said.len().saturating_sub(TOLD);
            said.drain(..old);
            true
        }
        _ => false,
    }
}

/// What was said last, for people; what is not UTF-8 is not worth more.
fn last(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    clean(text.trim_start_matches(char::REPLACEMENT_CHARACTER).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_arguments_come_first_and_are_believed() {
        let file = Path::new("/etc/key.json");
        let given = |own: &[&str]| {
            let own: Vec<String> = own.iter().map(|a| (*a).to_owned()).collect();
            let all = arguments(&own, Some(file), Some("http://127.0.0.1:1"));
            all[own.len()..].join(" ")
        };
        let account = "--credentials-file /etc/key.json";
        let api = "--sqladmin-api-endpoint http://127.0.0.1:1";
        assert_eq!(given(&[]), format!("{account} {api}"));
        assert_eq!(given(&["--private-ip"]), format!("{account} {api}"));
        for own in [
            &["--credentials-file", "other.json"][..],
            &["--credentials-file=other.json"],
            &["-c", "other.json"],
            &["--gcloud-auth"],
            &["--token", "t"],
            &["-j{}"],
        ] {
            assert_eq!(given(own), api, "{own:?}");
        }
        for own in ["--sqladmin-api-endpoint=x", "--sqladmin-api-endpoint"] {
            assert_eq!(given(&[own]), account, "{own}");
        }
        // The beginning of a name is no name.
        assert_eq!(given(&["--credentials-files"]), format!("{account} {api}"));
        assert_eq!(arguments(&[], None, None), [""; 0]);
    }
}
