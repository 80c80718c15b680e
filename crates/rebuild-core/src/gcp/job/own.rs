//! The executions that a run began. The API lets nobody put a label on one; the variables that it was
//! begun with are in its template, so they are its mark.

use google_cloud_run_v2::model::Execution;
use google_cloud_run_v2::model::env_var::Values;
use jiff::Timestamp;

use super::{CloudRunJob, ended};
use crate::error::Result;
use crate::event::Ctx;
use crate::gcp::begun::begun;
use crate::gcp::cloud_run::short;
use crate::google::GoogleApi;
use crate::model::{Identity, RunId, StepMark};

/// How many executions one answer holds.
const PAGE: i32 = 100;

/// How much earlier than the run's own machine Google's clocks may say that an execution was made.
const CLOCKS_DIFFER: i64 = 3600;

const RUN: &str = "REBUILD_RUN";
const STEP: &str = "REBUILD_STEP";
const DATABASE: &str = "REBUILD_DATABASE";
const DATABASE_ID: &str = "REBUILD_DATABASE_ID";

/// Those by which an execution is known again.
const MARKS: [&str; 4] = [RUN, STEP, DATABASE, DATABASE_ID];

/// What an execution gets from the run.
pub(super) const RUN_VARIABLES: [&str; 6] =
    ["PGDATABASE", "PGAPPNAME", RUN, STEP, DATABASE, DATABASE_ID];

/// The variables for the database `db`, which also say which step of which run it is for.
pub(super) fn variables(ctx: &Ctx, mark: &StepMark, db: &Identity) -> Vec<(String, String)> {
    let variables = [
        ("PGDATABASE", db.name.clone()),
        ("PGAPPNAME", format!("rebuild/{}", ctx.run)),
        (RUN, ctx.run.to_string()),
        (STEP, mark.step.clone()),
        (DATABASE, db.name.clone()),
        (DATABASE_ID, db.uid.clone()),
    ];
    let owned = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    owned.collect()
}

impl CloudRunJob {
    /// The executions that were begun for this step of the run, newest first.
    pub(super) async fn own(&self, ctx: &Ctx, db: &Identity) -> Result<Vec<Execution>> {
        let is_own = |execution: &Execution| self.is_own(ctx, db, execution);
        self.listed(ctx, begun(&ctx.run), is_own).await
    }

    /// Ends the executions of the job that one of `runs` has begun, whatever for, and that go on: their
    /// names.
    ///
    /// *Repeats:* looks again. *Destroys:* what they would have done.
    ///
    /// # Errors
    /// They cannot be listed; one cannot be ended.
    pub async fn cancel_of(&self, ctx: &Ctx, runs: &[RunId]) -> Result<Vec<String>> {
        let of_runs = |execution: &Execution| {
            let run = variable(execution, RUN);
            ended(execution).is_none() && runs.iter().any(|known| Some(known.as_str()) == run)
        };
        let since = runs.iter().filter_map(begun).min();
        let mut cancelled = Vec::new();
        for execution in self.listed(ctx, since, of_runs).await? {
            if self.cancel(ctx, &execution.name).await? {
                cancelled.push(short(&execution.name).to_owned());
            }
        }
        Ok(cancelled)
    }

    /// The executions that are `wanted` of those that were made after a run was begun, newest first.
    async fn listed(
        &self,
        ctx: &Ctx,
        since: Option<Timestamp>,
        wanted: impl Fn(&Execution) -> bool,
    ) -> Result<Vec<Execution>> {
        let run = &self.run;
        let parent = run.job_name(&self.job);
        let what = format!("could not list the executions of the job {:?}", self.job);
        let (mut own, mut page) = (Vec::new(), String::new());
        loop {
            let request = || {
                let request = run.executions.list_executions().set_parent(&parent);
                request.set_page_size(PAGE).set_page_token(&page).send()
            };
            let listed = run.google.ask(ctx, GoogleApi::Run, &what, request).await?;
            // The newest come first, so what comes after a page of old ones is older still.
            let old = listed.executions.iter().all(|e| is_before(since, e));
            own.extend(listed.executions.into_iter().filter(&wanted));
            page = listed.next_page_token;
            if page.is_empty() || old {
                break;
            }
        }
        let second = |e: &Execution| e.create_time.as_ref().map(|t| (t.seconds(), t.nanos()));
        own.sort_by_key(|execution| std::cmp::Reverse(second(execution)));
        Ok(own)
    }

    fn is_own(&self, ctx: &Ctx, db: &Identity, execution: &Execution) -> bool {
        let wanted = variables(ctx, &self.mark, db);
        let mut marks = wanted.iter().filter(|(name, _)| MARKS.contains(&&**name));
        marks.all(|(name, value)| variable(execution, name) == Some(value))
    }
}

/// True if it was made before the run was begun.
fn is_before(run_begun: Option<Timestamp>, execution: &Execution) -> bool {
    match (&execution.create_time, run_begun) {
        (Some(made), Some(begun)) => made.seconds() < begun.as_second() - CLOCKS_DIFFER,
        _ => false,
    }
}

/// A variable that one of its containers has.
fn variable<'a>(execution: &'a Execution, name: &str) -> Option<&'a str> {
    let containers = &execution.template.as_ref()?.containers;
    let mut all = containers.iter().flat_map(|container| &container.env);
    let found = all.find(|variable| variable.name == name)?;
    match &found.values {
        Some(Values::Value(value)) => Some(value),
        _ => None,
    }
}
