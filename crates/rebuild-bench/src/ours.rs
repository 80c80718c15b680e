//! The `rebuild` program under measurement.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rebuild_core::Error;
use rebuild_core::error::Result;
use serde_json::Value;

use crate::program::{Took, run};
use crate::server::Server;

/// What a verb took, in all and step by step.
pub(crate) struct Steps {
    /// From start to exit.
    pub(crate) total: Duration,
    each: Vec<(String, Duration)>,
}

impl Steps {
    /// What the step took; nothing if there was none.
    pub(crate) fn of(&self, step: &str) -> Duration {
        let all = self.each.iter().filter(|(name, _)| name == step);
        all.map(|(_, time)| *time).sum()
    }

    /// Each step with its time, in a line.
    fn show(&self) -> String {
        let each: Vec<String> = self
            .each
            .iter()
            .map(|(name, time)| format!("{name} {:.2}", time.as_secs_f64()))
            .collect();
        each.join(", ")
    }
}

/// The program, and a folder with a spec and a store.
pub(crate) struct Ours {
    program: PathBuf,
    folder: PathBuf,
}

impl Ours {
    /// Writes a spec for `database` into a new folder `folder`, with `more` at its end.
    ///
    /// # Errors
    /// The program is not beside this one; the folder could not be made.
    pub(crate) fn new(
        server: &Server,
        database: &str,
        folder: PathBuf,
        more: &str,
    ) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("rebuild");
        if !program.exists() {
            return Err(Error::usage(format!("{} is missing", program.display()))
                .hint("build it with: cargo build --release -p rebuild-cli"));
        }
        std::fs::create_dir_all(&folder)?;
        let spec = format!(
            "version = 1\n[target]\nurl = {:?}\nenvironment = \"bench\"\n[store]\nurl = \"file://{}\"\n{more}",
            server.url(database),
            folder.join("store").display(),
        );
        std::fs::write(folder.join("rebuild.toml"), spec)?;
        Ok(Self { program, folder })
    }

    /// The folder of the spec.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program with `arguments`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdout(Stdio::null());
        command
    }

    /// Runs it with `arguments`.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Took> {
        run(&mut self.command(arguments))
    }

    /// Runs it with `arguments` and listens to its events.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn steps(&self, arguments: &[&str]) -> Result<Steps> {
        Ok(self.listen(arguments)?.0)
    }

    /// Runs `rebuild run` and returns its report too.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn run_report(&self) -> Result<(Steps, Value)> {
        let (steps, out) = self.listen(&["run"])?;
        let report = serde_json::from_slice(&out);
        Ok((
            steps,
            report.map_err(|e| Error::internal("no report").caused_by(e))?,
        ))
    }

    fn listen(&self, arguments: &[&str]) -> Result<(Steps, Vec<u8>)> {
        let mut command = self.command(arguments);
        command.args(["--output", "json"]).stdout(Stdio::piped());
        let begun = Instant::now();
        let output = command.stderr(Stdio::piped()).output()?;
        let total = begun.elapsed();
        let events = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            return Err(Error::internal(format!(
                "{arguments:?} ended with {}:\n{}\n{said}",
                output.status,
                events.lines().last().unwrap_or_default()
            )));
        }
        let each = events
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["event"] == "step-finished")
            .filter_map(|event| {
                let time = Duration::from_secs_f64(event["seconds"].as_f64()?);
                Some((event["step"].as_str()?.to_owned(), time))
            })
            .collect();
        let steps = Steps { total, each };
        eprintln!("      {}", steps.show());
        Ok((steps, output.stdout))
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Forgets all backups and runs.
    ///
    /// # Errors
    /// The folder could not be removed.
    pub(crate) fn empty_store(&self) -> Result<()> {
        match std::fs::remove_dir_all(self.store()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}
