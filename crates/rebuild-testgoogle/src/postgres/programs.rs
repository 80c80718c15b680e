//! The programs of PostgreSQL, and whose processes they are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The programs of one version on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
    pub(crate) major: u32,
    /// `15.18`
    pub(crate) version: String,
}

impl Programs {
    /// Those of a major version, or of the newest one.
    ///
    /// # Errors
    /// There are none, or they cannot be run.
    pub(crate) async fn find(major: Option<u32>) -> io::Result<Self> {
        let mut newest: Option<Self> = None;
        for folder in folders() {
            // A broken installation beside a working one is no reason to fail.
            let Ok(found) = Self::in_folder(&folder).await else {
                continue;
            };
            let wanted = major.is_none_or(|major| found.major == major);
            if wanted && newest.as_ref().is_none_or(|it| it.major < found.major) {
                newest = Some(found);
            }
        }
        newest.ok_or_else(|| {
            let wanted = major.map_or(String::new(), |major| format!(" {major}"));
            let said = format!(
                "no programs of PostgreSQL{wanted}: install a server, or name the folder of its \
                 programs in REBUILD_TEST_PG_BIN"
            );
            io::Error::new(io::ErrorKind::NotFound, said)
        })
    }

    async fn in_folder(folder: &Path) -> io::Result<Self> {
        let mut command = command(&folder.join("postgres"));
        let output = command.arg("--version").output().await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().nth(2).unwrap_or_default();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        let major = digits.parse().map_err(io::Error::other)?;
        Ok(Self {
            folder: folder.to_owned(),
            major,
            version: version.to_owned(),
        })
    }

    /// Where a program of the server is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program of the server.
    pub(super) fn server(&self, name: &str) -> Command {
        command(&self.path(name))
    }

    /// `psql` or `pg_dump`: the server's own, or those that tests use otherwise.
    pub(crate) fn client(&self, name: &str) -> Command {
        let own = self.path(name);
        let given = std::env::var_os("REBUILD_TEST_CLIENT_BIN");
        let given = given.map(|folder| Path::new(&folder).join(name));
        let mut found = [Some(own), given].into_iter().flatten();
        command(&found.find(|it| it.exists()).unwrap_or_else(|| name.into()))
    }
}

/// A command that may run a server. The caller's variables and locale stay out of it.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(ACCOUNT).gid(ACCOUNT);
    }
    command
        .current_dir("/")
        .env_clear()
        // Without it initdb compares every time zone there is with the machine's.
        .env("TZ", "UTC")
        .kill_on_drop(true)
        .stdin(Stdio::null());
    for kept in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// Folders that have programs of a server.
fn folders() -> Vec<PathBuf> {
    let given = std::env::var_os("REBUILD_TEST_PG_BIN").map(PathBuf::from);
    if let Some(given) = given {
        return vec![given];
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let versions = versions.flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The search path may have links to a few of the programs; the others are beside them.
    let real = |folder: PathBuf| {
        Some(
            folder
                .join("initdb")
                .canonicalize()
                .ok()?
                .parent()?
                .to_owned(),
        )
    };
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).filter_map(real).collect();
    versions
        .chain(on_path)
        .filter(|it| it.join("initdb").exists())
        .collect()
}

/// The account that servers run as where we are root, who may not run one: `nobody`.
const ACCOUNT: u32 = 65534;

/// Gives a folder or file of ours to that account.
pub(super) fn give(path: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(ACCOUNT), Some(ACCOUNT))?;
    }
    Ok(())
}

/// Runs a command to its end with some input.
pub(crate) async fn run_with(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let writing = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why by its status.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output) = tokio::join!(writing, child.wait_with_output());
    output
}

/// The same, for a command that must succeed.
pub(super) async fn run(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let output = run_with(command, input).await?;
    if output.status.success() {
        return Ok(output);
    }
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let said = format!("{program} ended with {}: {}", output.status, said.trim());
    Err(io::Error::other(said))
}
