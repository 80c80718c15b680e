//! A throwaway server, and a shell beside it that has the command under test on its path.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rebuild_core::model::Endpoint;
use rebuild_core::postgres::{LocalCluster, Session};
use rebuild_core::testing::{client_bin_dir, cluster};
use tempfile::TempDir;
use tokio::process::Command;

/// How long one command may take; far above what any of them needs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server, a folder for what comes and goes, and the folder where commands are run.
pub(crate) struct Site {
    cluster: LocalCluster,
    scratch: TempDir,
    folder: PathBuf,
    path: String,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// Commands are run in a new, empty folder.
    pub(crate) async fn new() -> Self {
        let cluster = cluster().await.expect("a server");
        let scratch = TempDir::new().expect("a folder");
        let folder = scratch.path().join("spec");
        std::fs::create_dir(&folder).expect("a folder for the spec");
        let rebuild = Path::new(env!("CARGO_BIN_EXE_rebuild"));
        let path = format!(
            "{}:{}:{}",
            rebuild.parent().expect("it lies in a folder").display(),
            client_bin_dir(&cluster).display(),
            std::env::var("PATH").expect("a path"),
        );
        Self {
            cluster,
            scratch,
            folder,
            path,
        }
    }

    /// Commands are run in the folder of an example.
    pub(crate) async fn of_example(name: &str) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        Self {
            folder: examples.join(name).canonicalize().expect("the example"),
            ..Self::new().await
        }
    }

    /// Where commands are run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder that goes away with the site.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs `script` in bash. What it exports holds for the scripts after it.
    pub(crate) async fn sh(&self, script: &str) -> Ended {
        let state = self.scratch.path().join("exports");
        let wrapped = format!(
            "set -euo pipefail\n[ ! -e {0} ] || . {0}\ntrap 'declare -px > {0}' EXIT\n{script}",
            state.display()
        );
        let endpoint = self.cluster.endpoint("postgres");
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        command
            .args(["-c", &wrapped])
            .current_dir(&self.folder)
            .env("TMPDIR", self.scratch.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PGHOST", self.cluster.socket_dir())
            .env("PGPORT", endpoint.port.to_string())
            .env("PGUSER", &endpoint.user);
        // An export of an earlier script comes after this, and wins.
        command
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("no end after {PATIENCE:?}: {script}"))
            .expect("bash runs");
        Ended::from(output)
    }

    /// The server beside the shell.
    pub(crate) fn server(&self) -> &LocalCluster {
        &self.cluster
    }

    /// The superuser on `database`.
    pub(crate) fn endpoint(&self, database: &str) -> Endpoint {
        self.cluster.endpoint(database)
    }

    /// The one value, a text, that a query gives in `database`.
    pub(crate) async fn text(&self, database: &str, sql: &str) -> String {
        let session = Session::open(&self.endpoint(database), "test")
            .await
            .expect("a session");
        let row = session.query_one(sql, &[]).await.expect(sql);
        let text = row.get(0);
        session.close().await;
        text
    }

    /// How many rows a query gives in `database`, and a hash of them all, in whatever order.
    pub(crate) async fn rows(&self, database: &str, query: &str) -> String {
        let sql = format!(
            "select pg_catalog.concat(pg_catalog.count(*), ' rows, ', pg_catalog.md5(
                 pg_catalog.string_agg(t::text, E'\\n' order by t::text collate \"C\")))
               from ({query}) t"
        );
        self.text(database, &sql).await
    }

    /// The oid of `database`: its identity, whatever it is called.
    pub(crate) async fn oid(&self, database: &str) -> String {
        let sql = format!(
            "select pg_catalog.concat(oid) from pg_catalog.pg_database where datname = '{database}'"
        );
        self.text("postgres", &sql).await
    }

    /// The names of the databases, in order, without the server's own.
    pub(crate) async fn databases(&self) -> String {
        let sql = "select coalesce(pg_catalog.string_agg(datname, ' ' order by datname), '')
                     from pg_catalog.pg_database
                    where datname not in ('postgres', 'template0', 'template1')";
        self.text("postgres", sql).await
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// What it wrote to stdout, once it is sure that it ended with `code`.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// The commands of an example's README, to be run from first to last.
pub(crate) struct Readme(VecDeque<String>);

impl Readme {
    /// The lines of its `sh` blocks, without comments; one that ends with a backslash goes on.
    pub(crate) fn of(site: &Site) -> Self {
        Self::at(site, "README.md")
    }

    /// As [`of`](Self::of), of another file.
    pub(crate) fn at(site: &Site, file: &str) -> Self {
        let text = std::fs::read_to_string(site.folder().join(file)).expect("a README");
        let blocks = text.split("```sh\n").skip(1);
        let lines = blocks.flat_map(|block| {
            let (code, _) = block.split_once("```").expect("the block ends");
            code.replace("\\\n", "")
                .lines()
                .map(|line| line.split("   #").next().unwrap_or(line).trim_end())
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        });
        Self(lines.collect())
    }

    /// Runs the commands before the first that is `rebuild`'s.
    pub(crate) async fn prepare(&mut self, site: &Site) {
        let at = self.0.iter().position(|line| line.starts_with("rebuild "));
        let lines = self.0.drain(..at.expect("a command to show"));
        for line in lines.collect::<Vec<_>>() {
            let ended = site.sh(&line).await;
            assert_eq!(ended.code, 0, "{line}\n{}", ended.stderr);
        }
    }

    /// Runs the next command, which must be `line`.
    pub(crate) async fn run(&mut self, site: &Site, line: &str) -> Ended {
        assert_eq!(self.0.pop_front().as_deref(), Some(line));
        site.sh(line).await
    }

    /// Makes sure that no command is left.
    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "not run: {:?}", self.0);
    }
}
