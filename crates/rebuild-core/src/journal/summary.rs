//! Runs for people: what happened, and how long each step took.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::{read, read_if_any};
use super::{Body, Ending, Record, RunState, StepStatus};
use crate::error::{Error, Result};
use crate::model::{Identity, RunId};
use crate::plan::{Plan, StepKind};
use crate::store::{Name, Store};

/// One step of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StepSummary {
    /// The step's id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// Where it stands; `None` if nothing was recorded of it.
    pub status: Option<StepStatus>,
    /// How long it took, once it is done.
    pub seconds: Option<f64>,
    /// What it failed with.
    pub error: Option<String>,
}

/// One run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// What it rebuilds.
    pub target: Identity,
    /// The database that it made, under the name it was made with; `None` before, and in a plan that makes none.
    pub made: Option<Identity>,
    /// How it stands; `None` while it moves, or after its process was killed.
    pub ending: Option<Ending>,
    /// When it began.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// When it came to stand.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// True once what it set aside is destroyed.
    pub purged: bool,
    /// Its steps, in order.
    pub steps: Vec<StepSummary>,
}

impl RunSummary {
    /// True if it must be resumed or rolled back before another run may begin.
    pub fn is_open(&self) -> bool {
        !matches!(self.ending, Some(Ending::Done | Ending::RolledBack))
    }

    /// How it stands, in words.
    pub fn state_text(&self) -> String {
        match self.ending {
            None => "running, or killed".to_owned(),
            Some(ending) if self.purged => format!("{ending}, purged"),
            Some(ending) => ending.to_string(),
        }
    }
}

/// Every run in the store, newest first. One whose process ended before its first record was there
/// has not begun: it is no run.
///
/// # Errors
/// The store could not be read, or a journal is damaged.
pub async fn list_runs(store: &Store) -> Result<Vec<RunSummary>> {
    let mut runs = Vec::new();
    for folder in store.folders(&Name::new("runs")?).await? {
        let run = folder.parse()?;
        let records = read_if_any(store, &run).await?;
        if !records.is_empty() {
            runs.push(summarize(&run, &records)?);
        }
    }
    // Ids tell no two runs of one second apart by age.
    runs.sort_by(|a, b| (b.began, &b.id).cmp(&(a.began, &a.id)));
    Ok(runs)
}

/// One run.
///
/// # Errors
/// There is none of that id, or its journal is damaged.
pub async fn summary(store: &Store, run: &RunId) -> Result<RunSummary> {
    summarize(run, &read(store, run).await?)
}

fn summarize(run: &RunId, records: &[(Record, Vec<u8>)]) -> Result<RunSummary> {
    let mut state = RunState::default();
    let mut began = Timestamp::UNIX_EPOCH;
    let mut ended = None;
    for (record, _) in records {
        state.apply(record)?;
        match &record.body {
            Body::RunBegan { .. } => began = record.at,
            Body::Ended { .. } => ended = Some(record.at),
            _ => {}
        }
    }
    let plan = plan_of(run, &state)?;
    Ok(RunSummary {
        id: run.clone(),
        made: made(&plan, &state),
        target: plan.target,
        ending: state.ending(),
        began,
        ended: ended.filter(|_| state.ending().is_some()),
        purged: state.is_purged(),
        steps: plan
            .steps
            .into_iter()
            .map(|step| StepSummary {
                status: state.status(&step.id),
                seconds: state.seconds(&step.id),
                error: state.error(&step.id).map(ToOwned::to_owned),
                id: step.id,
                title: step.title,
            })
            .collect(),
    })
}

/// What the run's own record of its making says.
fn made(plan: &Plan, state: &RunState) -> Option<Identity> {
    let step = plan.steps.iter().find(|s| s.kind == StepKind::Provision)?;
    Identity::deserialize(state.outcome(&step.id)?.get("db")?).ok()
}

/// The plan that a run executes.
///
/// # Errors
/// There is no such run, or its journal is damaged.
pub async fn plan(store: &Store, run: &RunId) -> Result<Plan> {
    let mut state = RunState::default();
    for (record, _) in &read(store, run).await? {
        state.apply(record)?;
    }
    plan_of(run, &state)
}

fn plan_of(run: &RunId, state: &RunState) -> Result<Plan> {
    serde_json::from_value(state.plan().clone())
        .map_err(|e| Error::corrupt(format!("the plan of {run} cannot be read")).caused_by(e))
}
