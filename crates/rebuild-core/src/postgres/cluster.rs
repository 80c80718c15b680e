//! A throwaway server on this machine, made with initdb and pg_ctl.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Endpoint, Host, SslMode};

/// How the server is made.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// The folder with `initdb`, `pg_ctl` and `postgres`; otherwise the newest one installed.
    pub bin_dir: Option<PathBuf>,
    /// Lines for `postgresql.conf`.
    pub settings: Vec<String>,
}

/// A server that listens on a Unix socket in a folder of its own. It stops, and its files are
/// removed, when this is dropped.
pub struct LocalCluster {
    dir: TempDir,
    bin_dir: PathBuf,
}

impl LocalCluster {
    /// Makes and starts a server.
    ///
    /// # Errors
    /// No binaries were found, or one of them failed; its output is in the error.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let bin_dir = match &options.bin_dir {
            Some(dir) => dir.clone(),
            None => installed()?,
        };
        let dir = tempfile::Builder::new().prefix("rebuild-pg-").tempdir()?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("nobody").arg(dir.path())).await?;
        }
        let cluster = Self { dir, bin_dir };
        run(cluster
            .program("initdb")
            .arg("-D")
            .arg(cluster.data())
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "-N",
            ]))
        .await?;
        let mut conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\n",
            cluster.dir.path().display()
        );
        for line in &options.settings {
            conf.push_str(line);
            conf.push('\n');
        }
        let path = cluster.data().join("postgresql.conf");
        let old = tokio::fs::read_to_string(&path).await?;
        tokio::fs::write(&path, old + &conf).await?;
        run(cluster
            .program("pg_ctl")
            .arg("-D")
            .arg(cluster.data())
            .arg("-l")
            .arg(cluster.dir.path().join("log"))
            .args(["-w", "-t", "60", "start"]))
        .await?;
        Ok(cluster)
    }

    /// The server's superuser on `database`.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint {
            host: Host::Socket(self.dir.path().to_owned()),
            port: 5432,
            database: database.to_owned(),
            user: "postgres".to_owned(),
            password: None,
            sslmode: SslMode::Disable,
            insecure_tls: false,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// The folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A program of the server, run as an unprivileged user where the caller is root.
    fn program(&self, name: &str) -> Command {
        let path = self.bin_dir.join(name);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.dir.path());
        command
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        let mut command = self.program("pg_ctl");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-m", "immediate", "-w", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Nobody is left to tell; the folder goes with the value all the same.
        let _ = command.as_std_mut().status();
    }
}

fn installed() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin).ok_or_else(|| {
        Error::new(
            ErrorKind::Program,
            "no PostgreSQL server programs are installed",
        )
        .hint("install the package postgresql, or name the folder that has initdb")
    })
}

async fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Program,
        format!(
            "{:?} ended with {}: {}",
            command.as_std().get_program(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Session;

    #[tokio::test]
    async fn a_cluster_answers_and_goes_away() {
        let cluster = LocalCluster::start(&ClusterOptions::default())
            .await
            .expect("cluster");
        let dir = cluster.dir.path().to_owned();
        let session = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("session");
        let row = session
            .query_one("select pg_catalog.current_setting('search_path')", &[])
            .await
            .expect("answer");
        assert_eq!(row.get::<_, &str>(0), "");
        drop(session);
        drop(cluster);
        assert!(!dir.exists());
    }
}
