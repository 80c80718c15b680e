//! `runs`, and the hooks that follow one.

use super::Project;
use crate::command;
use crate::engine::Report;
use crate::error::{Error, Result};
use crate::journal::{self, Ending, RunSummary};
use crate::model::RunId;
use crate::plan::Plan;

impl Project {
    /// Every run in the store, newest first.
    ///
    /// # Errors
    /// The store could not be read, or a journal is damaged.
    pub async fn runs(&self) -> Result<Vec<RunSummary>> {
        journal::list_runs(&self.store).await
    }

    /// One run, with its steps.
    ///
    /// # Errors
    /// There is none of that id, or its journal is damaged.
    pub async fn show_run(&self, run: &RunId) -> Result<RunSummary> {
        journal::summary(&self.store, run).await
    }

    /// `run`, or the newest one in the store of a database that is called like the target.
    ///
    /// # Errors
    /// There is none.
    pub async fn run_or_newest(&self, run: Option<RunId>) -> Result<RunId> {
        if let Some(run) = run {
            return Ok(run);
        }
        let target = &self.endpoint.database;
        // A store may be shared.
        let mut runs = self.runs().await?.into_iter();
        runs.find(|r| r.target.name == *target)
            .map(|r| r.id)
            .ok_or_else(|| Error::usage(format!("there is no run of {target:?} in the store yet")))
    }

    /// Makes sure that a run is of this spec's target, and not of another database with which it shares the
    /// store.
    ///
    /// # Errors
    /// A refusal if it is not.
    pub(super) fn require_own(&self, run: &RunId, plan: &Plan) -> Result<()> {
        let target = &self.endpoint.database;
        if plan.target.name == *target {
            return Ok(());
        }
        Err(Error::refused(format!(
            "{run} is of {:?}, and this spec's target is {target:?}",
            plan.target.name
        ))
        .hint("give the spec of that database: -f FILE"))
    }

    /// The run that has not ended, if there is one: killed, halted, stuck, or going on elsewhere.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn open_run(&self) -> Result<Option<RunId>> {
        let mut runs = self.runs().await?.into_iter();
        Ok(runs.find(RunSummary::is_open).map(|run| run.id))
    }

    /// What ends a run that has not: to go on, or back.
    pub(super) async fn ways_out(&self, run: &RunId) -> String {
        let back = match journal::plan(&self.store, run).await {
            Ok(plan) => plan.rollback_command(run),
            // Whoever types it is told what else it needs.
            Err(_) => format!("rebuild rollback {run}"),
        };
        format!("rebuild resume {run}, or {back}")
    }

    /// Runs the spec's hook for how the run ended. A hook that fails is a warning: the run has
    /// ended as it has.
    pub(super) async fn hooks(&self, report: &Report) {
        let hooks = &self.spec.hooks;
        let program = if report.ending == Ending::Done {
            &hooks.on_success
        } else {
            &hooks.on_failure
        };
        let Some(program) = program else {
            return;
        };
        let told = [
            ("REBUILD_RUN".to_owned(), report.run.to_string()),
            ("REBUILD_ENDING".to_owned(), report.ending.to_string()),
            ("REBUILD_TARGET".to_owned(), self.endpoint.database.clone()),
            (
                "REBUILD_ERROR".to_owned(),
                report.error.clone().unwrap_or_default(),
            ),
        ];
        let limit = hooks.timeout.0;
        let folder = self.spec.folder();
        if let Err(e) = command::run_hook(&self.ctx(), program, folder, limit, &told).await {
            self.events.warn(format!("the hook failed: {}", e.chain()));
        }
    }
}
