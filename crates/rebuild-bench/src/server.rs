//! The servers that are measured, all with the same settings.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rebuild_core::Error;
use rebuild_core::error::Result;
use rebuild_core::postgres::{ClusterOptions, LocalCluster};

use crate::program::{Took, run};

/// As a server with 8 GB of memory may have them. It waits for its disk as a real one does.
pub(crate) const SETTINGS: &[&str] = &[
    "shared_buffers = '2GB'",
    "maintenance_work_mem = '256MB'",
    "max_wal_size = '16GB'",
    "checkpoint_timeout = '30min'",
    "autovacuum = off",
    "max_connections = 50",
];

/// A server of its own for the benchmark.
pub(crate) struct Server {
    cluster: LocalCluster,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub(crate) async fn start(parent: Option<PathBuf>) -> Result<Self> {
        let options = ClusterOptions {
            settings: SETTINGS.iter().map(|&s| s.to_owned()).collect(),
            durable: true,
            parent_dir: parent,
            ..ClusterOptions::default()
        };
        let cluster = LocalCluster::start(&options).await?;
        Ok(Self { cluster })
    }

    /// The major version.
    pub(crate) fn major(&self) -> u32 {
        self.cluster.major()
    }

    /// A URL of `database` for any client.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@/{database}?host={}&port={}",
            self.cluster.socket_dir().display(),
            self.cluster.port()
        )
    }

    /// `program` with the environment that leads it to `database`.
    pub(crate) fn command(&self, program: &str, database: &str) -> Command {
        let installed = self.cluster.bin_dir().join(program);
        let mut command = if installed.exists() {
            Command::new(installed)
        } else {
            Command::new(program)
        };
        command
            .env("PGHOST", self.cluster.socket_dir())
            .env("PGPORT", self.cluster.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database);
        command
    }

    /// `psql` that runs `sql` in `database` and throws rows away.
    pub(crate) fn psql(&self, database: &str, sql: &[&str]) -> Command {
        let mut command = self.command("psql", database);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        for sql in sql {
            command.args(["-c", sql]);
        }
        command.stdout(Stdio::null());
        command
    }

    /// Runs `sql` in `database`.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) fn run(&self, database: &str, sql: &[&str]) -> Result<Took> {
        run(&mut self.psql(database, sql))
    }

    /// The one value that `sql` gives.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) fn value(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.command("psql", database);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = command.output()?;
        if !output.status.success() {
            return Err(Error::internal(format!(
                "{sql}: {}",
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Makes `database` anew, empty.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) fn fresh(&self, database: &str) -> Result<()> {
        self.drop(database)?;
        let create = format!("create database {database}");
        self.run("postgres", &[&create])?;
        Ok(())
    }

    /// Drops `database`, if it is there.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) fn drop(&self, database: &str) -> Result<()> {
        let drop = format!("drop database if exists {database}");
        self.run("postgres", &[&drop])?;
        Ok(())
    }

    /// Gets everything that is still to be written to the disk out of the way, so that nobody
    /// pays for what somebody else left behind.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) fn settle(&self) -> Result<()> {
        self.run("postgres", &["checkpoint"])?;
        Ok(())
    }

    /// Loads rows into `table`, which `write` makes as CSV.
    ///
    /// # Errors
    /// The server or `write` failed.
    pub(crate) fn load(
        &self,
        database: &str,
        table: &str,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let copy = format!("copy {table} from stdin with (format csv)");
        let mut child = self
            .psql(database, &[&copy])
            .stdin(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdin = stdin.ok_or_else(|| Error::internal("psql has no stdin"))?;
        let mut stdin = std::io::BufWriter::with_capacity(1 << 20, stdin);
        write(&mut stdin)?;
        stdin.flush()?;
        drop(stdin);
        let status = child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::internal(format!("loading {table} failed: {status}")))
        }
    }
}
