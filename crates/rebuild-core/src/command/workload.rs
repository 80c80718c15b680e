//! A workload that is stopped, started and looked at by commands.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use super::run::failed;
use super::{Invocation, run, run_ok};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ctx, Events};
use crate::spec::{Program, WorkloadSpec};
use crate::traits::{Workload, WorkloadState};

/// How often the status is asked while a workload stops or starts.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The exit code by which a status says that the workload does not run, as `systemctl is-active`
/// and the LSB's init scripts say it.
const NOT_RUNNING: i32 = 3;

/// A workload of the spec.
#[derive(Debug)]
pub struct CommandWorkload {
    spec: WorkloadSpec,
    cwd: PathBuf,
    /// True once this process has stopped it; all there is to go by without a status.
    stopped: AtomicBool,
}

impl CommandWorkload {
    /// The workload that `spec` describes; `folder` is the spec's own folder.
    pub fn new(spec: &WorkloadSpec, folder: &Path) -> Self {
        Self {
            cwd: super::folder_of(folder, spec.cwd.as_deref()),
            spec: spec.clone(),
            stopped: AtomicBool::new(false),
        }
    }

    fn invocation(&self, verb: &str, program: &Program, limit: Duration) -> Invocation {
        Invocation {
            name: format!("{} ({verb})", self.spec.name),
            argv: program.clone(),
            env: super::pairs(&self.spec.env),
            secret_env: Vec::new(),
            cwd: self.cwd.clone(),
            limit,
        }
    }

    /// Whether it runs; `None` without a status.
    async fn runs(&self, ctx: &Ctx, limit: Duration) -> Result<Option<bool>> {
        let Some(status) = &self.spec.status else {
            return Ok(None);
        };
        let invocation = self.invocation("status", status, limit);
        // It is asked over and over while one waits; what it prints is shown if it fails.
        let unheard = Ctx {
            events: Events::none(),
            ..ctx.clone()
        };
        let finished = run(&unheard, &invocation).await?;
        match finished.code {
            0 => Ok(Some(true)),
            NOT_RUNNING => Ok(Some(false)),
            _ => Err(failed(&invocation, &finished).hint(
                "a status exits with 0 while the workload runs and with 3 while it does not",
            )),
        }
    }

    /// Runs `program`, then waits until the status says `running`.
    async fn bring(&self, ctx: &Ctx, verb: &str, program: &Program, running: bool) -> Result<()> {
        let limit = self.spec.timeout.0;
        let deadline = Instant::now() + limit;
        run_ok(ctx, &self.invocation(verb, program, limit)).await?;
        let mut ticks = tokio::time::interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            ctx.check_stop(&self.spec.name)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.late(verb, running));
            }
            if self
                .runs(ctx, left)
                .await?
                .is_none_or(|runs| runs == running)
            {
                self.stopped.store(!running, Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    fn late(&self, verb: &str, running: bool) -> Error {
        Error::new(
            ErrorKind::Deadline,
            format!(
                "{} {} {:?} after its {verb} began",
                self.spec.name,
                if running {
                    "does not run yet"
                } else {
                    "still runs"
                },
                self.spec.timeout.0
            ),
        )
        .hint(format!(
            "see what holds it up, or give it a longer timeout than {:?}",
            self.spec.timeout.0
        ))
    }
}

#[async_trait]
impl Workload for CommandWorkload {
    fn name(&self) -> String {
        self.spec.name.clone()
    }

    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState> {
        let asked = self.runs(ctx, self.spec.timeout.0).await?;
        Ok(WorkloadState {
            running: asked.unwrap_or_else(|| !self.stopped.load(Ordering::Relaxed)),
            detail: json!({ "asked": asked.is_some() }),
        })
    }

    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        // What it does now counts, not what it did: it may have been started since.
        let runs = self.runs(ctx, self.spec.timeout.0).await?;
        if runs.unwrap_or(before.running) {
            self.bring(ctx, "stop", &self.spec.stop, false).await?;
        }
        Ok(())
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        if !before.running || self.runs(ctx, self.spec.timeout.0).await? == Some(true) {
            return Ok(());
        }
        self.bring(ctx, "start", &self.spec.start, true).await
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A service that runs while the file `up` exists, with these commands.
    fn service(dir: &TempDir, stop: &str, start: &str, status: Option<&str>) -> CommandWorkload {
        let shell = |text: &str| ["/bin/sh", "-ec", text].map(ToOwned::to_owned).to_vec();
        let spec = WorkloadSpec {
            name: "app".to_owned(),
            stop: shell(&format!("echo stop >> calls; {stop}")),
            start: shell(&format!("echo start >> calls; {start}")),
            status: status.map(shell),
            function: None,
            kubernetes: None,
            cloud_run: None,
            env: [("FILE".to_owned(), "up".to_owned())].into(),
            cwd: Some("here".to_owned()),
            timeout: crate::spec::Within::seconds(20),
        };
        std::fs::create_dir(dir.path().join("here")).expect("folder");
        std::fs::write(dir.path().join("here/up"), "").expect("up");
        CommandWorkload::new(&spec, dir.path())
    }

    fn calls(dir: &TempDir) -> String {
        std::fs::read_to_string(dir.path().join("here/calls")).unwrap_or_default()
    }

    const STATUS: Option<&str> = Some("test -e \"$FILE\" || exit 3");

    #[tokio::test]
    async fn it_is_stopped_and_brought_back() {
        let dir = tempfile::tempdir().expect("folder");
        let app = service(&dir, "rm -f \"$FILE\"", "touch \"$FILE\"", STATUS);
        let ctx = Ctx::quiet();
        let before = app.look(&ctx).await.expect("look");
        assert!(before.running);
        app.stop(&ctx, &before).await.expect("stop");
        app.stop(&ctx, &before).await.expect("stopped already");
        assert!(!app.look(&ctx).await.expect("look").running);
        app.start(&ctx, &before).await.expect("start");
        app.start(&ctx, &before).await.expect("started already");
        assert!(app.look(&ctx).await.expect("look").running);
        assert_eq!(calls(&dir), "stop\nstart\n");
    }

    #[tokio::test]
    async fn one_that_did_not_run_is_left_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let app = service(&dir, "true", "true", STATUS);
        std::fs::remove_file(dir.path().join("here/up")).expect("down");
        let ctx = Ctx::quiet();
        let before = app.look(&ctx).await.expect("look");
        assert!(!before.running);
        app.stop(&ctx, &before).await.expect("stop");
        app.start(&ctx, &before).await.expect("start");
        assert_eq!(calls(&dir), "");
    }

    #[tokio::test]
    async fn it_is_waited_for_until_the_status_agrees() {
        let dir = tempfile::tempdir().expect("folder");
        // It is down only after it was asked three times.
        let slow = "echo x >> asked; test \"$(wc -l < asked)\" -lt 4 || exit 3";
        let app = service(&dir, "true", "true", Some(slow));
        let ctx = Ctx::quiet();
        let before = app.look(&ctx).await.expect("look");
        app.stop(&ctx, &before).await.expect("stop");
        let asked = std::fs::read_to_string(dir.path().join("here/asked")).expect("asked");
        assert_eq!(asked.lines().count(), 4);
    }

    #[tokio::test]
    async fn one_that_does_not_stop_is_an_error() {
        let dir = tempfile::tempdir().expect("folder");
        let mut app = service(&dir, "true", "true", STATUS);
        app.spec.timeout = crate::spec::Within::seconds(1);
        let ctx = Ctx::quiet();
        let before = app.look(&ctx).await.expect("look");
        let error = app.stop(&ctx, &before).await.expect_err("still runs");
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert_eq!(error.to_string(), "app still runs 1s after its stop began");
    }

    #[tokio::test]
    async fn a_status_that_cannot_tell_is_an_error() {
        let dir = tempfile::tempdir().expect("folder");
        let app = service(&dir, "true", "true", Some("echo no such unit; exit 4"));
        let error = app.look(&Ctx::quiet()).await.expect_err("cannot tell");
        assert_eq!(
            error.to_string(),
            "app (status) ended with exit code 4; its last lines:\nno such unit"
        );
        assert!(error.advice().is_some_and(|a| a.contains("with 3")));
    }

    #[tokio::test]
    async fn without_a_status_it_runs_until_it_was_stopped() {
        let dir = tempfile::tempdir().expect("folder");
        let app = service(&dir, "true", "true", None);
        let ctx = Ctx::quiet();
        let before = app.look(&ctx).await.expect("look");
        assert!(before.running);
        app.stop(&ctx, &before).await.expect("stop");
        assert!(!app.look(&ctx).await.expect("look").running);
        app.start(&ctx, &before).await.expect("start");
        assert!(app.look(&ctx).await.expect("look").running);
        assert_eq!(calls(&dir), "stop\nstart\n");
    }
}
