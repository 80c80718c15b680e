//! A server on this machine, made with initdb and pg_ctl and thrown away after use.

mod account;
mod keeper;
mod kill;
mod options;
mod programs;
mod setup;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

pub use options::{ClusterLocale, ClusterOptions};

use self::account::Account;
use self::keeper::Keeper;
pub(super) use self::programs::major;
use self::programs::{Programs, run, run_with, tail};
use crate::error::Result;
use crate::model::{Endpoint, Host, SslMode};
use crate::secret::Secret;

/// How a server is stopped
/// (<https://www.postgresql.org/docs/current/server-shutdown.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Wait for all sessions to end.
    Smart,
    /// End the sessions, write everything out.
    Fast,
    /// Leave at once; the next start recovers.
    Immediate,
}

/// The local cluster provisioner: a PostgreSQL server of our own, that listens on a Unix socket in
/// a folder which nobody else can enter.
///
/// Where this process is root, the server's processes run as `nobody` (or `postgres`).
///
/// ```
/// use rebuild_core::postgres::{ClusterOptions, LocalCluster, Session};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rebuild_core::Result<()> {
/// let cluster = LocalCluster::start(&ClusterOptions::default()).await?;
/// let session = Session::open(&cluster.endpoint("postgres"), "example").await?;
/// # drop(session);
/// # let folder = cluster.data_dir();
/// # drop(cluster);
/// # assert!(!folder.exists());
/// # Ok(())
/// # }
/// ```
///
/// *Destroys*: when it is dropped, or when this process ends in any way at all, the server is
/// stopped and its folder removed, with every database in it.
pub struct LocalCluster {
    // Fields are dropped in this order: the keeper stops the server and removes what is in the
    // folder, as the user that it belongs to; then the folder itself goes.
    _keeper: Keeper,
    dir: TempDir,
    programs: Programs,
    account: Option<Account>,
    superuser: String,
    port: u16,
    password: Option<Secret>,
    timeout: Duration,
}

impl LocalCluster {
    /// Makes and starts a server. It has a system identifier of its own.
    ///
    /// # Errors
    /// No programs were found, they are too old for what is asked, one of them failed (the end of
    /// its output and of the server's log is in the error) or took longer than the options allow.
    /// What had been made is removed.
    ///
    /// *Repeats*: each call makes another server.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let programs = Programs::find(options).await?;
        let account = Account::choose()?;
        let dir = setup::make_folder(options, account.as_ref())?;
        let mut cluster = Self {
            _keeper: Keeper::start(dir.path(), &programs.dir, account.as_ref())?,
            dir,
            programs,
            account,
            superuser: options.superuser.clone(),
            port: 5432,
            password: None,
            timeout: options.timeout,
        };
        cluster.init(options).await?;
        // A free port can be taken by someone else before the server has it.
        let mut tries = 5;
        loop {
            cluster.configure(options).await?;
            match cluster.launch().await {
                Err(e)
                    if options.tcp_port == Some(0) && tries > 1 && cluster.port_was_taken()? =>
                {
                    tracing::debug!("port {} was taken: {e}", cluster.port);
                    tries -= 1;
                }
                done => break done.map(|()| cluster),
            }
        }
    }

    /// The folder of the server programs that `options` ask for, without a server.
    ///
    /// # Errors
    /// No programs were found, or they are too old.
    pub async fn programs(options: &ClusterOptions) -> Result<PathBuf> {
        Ok(Programs::find(options).await?.dir)
    }

    /// The superuser on `database`, over the Unix socket.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint {
            host: Host::Socket(self.socket_dir().to_owned()),
            hostaddr: None,
            port: self.port,
            database: database.to_owned(),
            user: self.superuser.clone(),
            password: None,
            renewed: None,
            sslmode: SslMode::Disable,
            insecure_tls: false,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            require_channel_binding: false,
            logins: None,
            require_peer: None,
            via: None,
            ended: None,
            connect_timeout: Duration::from_secs(10),
            settings: Vec::new(),
            hidden_settings: Vec::new(),
        }
    }

    /// The superuser on `database`, over TCP to 127.0.0.1, with its password; `None` if the
    /// options gave no port.
    pub fn tcp_endpoint(&self, database: &str) -> Option<Endpoint> {
        let password = self.password.clone()?;
        Some(Endpoint {
            host: Host::Tcp("127.0.0.1".to_owned()),
            password: Some(password),
            ..self.endpoint(database)
        })
    }

    /// The folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.programs.dir
    }

    /// The server's major version.
    pub fn major(&self) -> u32 {
        self.programs.major
    }

    /// The port: in the socket's file name, and of TCP connections if there are any.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The file that the server logs to.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The last `lines` lines of the server's log, control characters escaped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log_tail(&self, lines: usize) -> Result<String> {
        let mut file = match std::fs::File::open(self.log_file()) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
            Err(e) => return Err(e.into()),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(tail(&text, lines))
    }

    /// True while the server's main process lives.
    ///
    /// # Errors
    /// Its lock file cannot be read.
    pub fn is_running(&self) -> Result<bool> {
        Ok(kill::postmaster(&self.data_dir())?.is_some_and(kill::alive))
    }

    /// Starts the server after [`stop`](Self::stop) or [`kill`](Self::kill), and waits
    /// until it takes connections.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    ///
    /// *Repeats*: a server that runs is left alone.
    pub async fn launch(&self) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let mut command = self.pg_ctl("start");
        command.arg("-l").arg(self.log_file());
        self.controlled(command, "start").await
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    /// It does not stop in time.
    ///
    /// *Repeats*: a server that does not run is left alone.
    pub async fn stop(&self, mode: StopMode) -> Result<()> {
        if !self.is_running()? {
            return Ok(());
        }
        let mode = match mode {
            StopMode::Smart => "smart",
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let mut command = self.pg_ctl("stop");
        command.args(["-m", mode]);
        self.controlled(command, "stop").await
    }

    /// Stops the server and starts it again.
    ///
    /// # Errors
    /// As [`stop`](Self::stop) and [`launch`](Self::launch).
    pub async fn restart(&self, mode: StopMode) -> Result<()> {
        self.stop(mode).await?;
        self.launch().await
    }

    /// Kills the server's processes with SIGKILL, all at once, as a crash would, and waits until
    /// they are gone. What had been acknowledged is there after the next
    /// [`launch`](Self::launch), also with a throwaway server.
    ///
    /// # Errors
    /// A process could not be signalled, or does not go.
    ///
    /// *Repeats*: a server that does not run is left alone.
    pub async fn kill(&self) -> Result<()> {
        let Some(pid) = kill::postmaster(&self.data_dir())?.filter(|&pid| kill::alive(pid)) else {
            return Ok(());
        };
        kill::kill(pid, self.account.as_ref(), self.timeout).await?;
        // Its lock files name a process id that may soon be some other process's, or is still
        // that of one which nobody has waited for: either keeps a server from starting.
        let socket = format!(".s.PGSQL.{}.lock", self.port);
        for lock in [
            self.data_dir().join("postmaster.pid"),
            self.socket_dir().join(socket),
        ] {
            self.as_account("rm -f -- \"$1\"", &lock, "").await?;
        }
        Ok(())
    }

    /// Runs a line of shell on `path` as the server's user, with `input`. As root we do not write
    /// in a folder of someone else's, who could have put a link in the way.
    async fn as_account(&self, script: &str, path: &Path, input: &str) -> Result<()> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "rebuild"]).arg(path);
        if let Some(account) = &self.account {
            account.run(&mut command);
        }
        run_with(&mut command, input, self.timeout).await.map(drop)
    }

    async fn append(&self, path: &Path, text: &str) -> Result<()> {
        let script = "umask 077; cat >> \"$1\"";
        self.as_account(script, path, text).await
    }

    fn program(&self, name: &str) -> Command {
        self.programs
            .command(name, self.dir.path(), self.account.as_ref())
    }

    fn pg_ctl(&self, verb: &str) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg(verb).arg("-D").arg(self.data_dir()).args([
            "-w",
            "-t",
            &self.timeout.as_secs().to_string(),
        ]);
        command
    }

    async fn controlled(&self, mut command: Command, verb: &str) -> Result<()> {
        // pg_ctl has the same limit, and says more about it.
        let limit = self.timeout + Duration::from_secs(5);
        match run(&mut command, limit).await {
            Ok(_) => Ok(()),
            Err(e) => {
                let mut message = format!(
                    "could not {verb} the PostgreSQL {} server in {}",
                    self.major(),
                    self.dir.path().display(),
                );
                let log = self.log_tail(20).unwrap_or_default();
                if !log.is_empty() {
                    message.push_str("; its log ends with:\n");
                    message.push_str(&log);
                }
                Err(e.context(message))
            }
        }
    }

    fn port_was_taken(&self) -> Result<bool> {
        Ok(self.log_tail(20)?.contains("Address already in use"))
    }
}
