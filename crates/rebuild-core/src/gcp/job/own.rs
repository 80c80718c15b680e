//! The executions that a run began. The API lets nobody put a label on one; the variables that it was
//! begun with are in its template, so they are its mark.

use google_cloud_run_v2::model::Execution;
use google_cloud_run_v2::model::env_var::Values;

use super::CloudRunJob;
use crate::error::Result;
use crate::event::Ctx;
use crate::gcp::begun::begun;
use crate::google::GoogleApi;
use crate::model::{Identity, StepMark};

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
            let old = listed.executions.iter().all(|e| is_before(ctx, e));
            let ours = listed.executions.into_iter();
            own.extend(ours.filter(|e| self.is_own(ctx, db, e)));
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
fn is_before(ctx: &Ctx, execution: &Execution) -> bool {
    match (&execution.create_time, begun(&ctx.run)) {
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
