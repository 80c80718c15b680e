//! Where a run stands: a pure state machine that accepts or refuses each record.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Body, Ending, Program, Record};
use crate::error::{Error, Result};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It was about to act; what it did is not known.
    Intended,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was about to be undone; how far that came is not known.
    Undoing,
    /// It is undone.
    Undone,
    /// It could not be undone.
    UndoFailed,
}

impl std::fmt::Display for StepStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Intended => "in doubt",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undoing => "being undone",
            Self::Undone => "undone",
            Self::UndoFailed => "undo failed",
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    status: StepStatus,
    intent: Option<Value>,
    outcome: Option<Value>,
    seconds: Option<f64>,
    error: Option<String>,
}

/// Everything a journal says, replayed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    began: bool,
    plan: Value,
    spec_digest: String,
    steps: BTreeMap<String, Step>,
    rolling_back: bool,
    went_live: bool,
    ending: Option<Ending>,
    purged: bool,
    program: Option<Program>,
}

impl RunState {
    /// Takes the next record, or refuses one that cannot follow what came before.
    ///
    /// # Errors
    /// The record cannot follow; the state is as it was.
    pub fn apply(&mut self, record: &Record) -> Result<()> {
        self.accept(&record.body).map_err(|why| {
            Error::corrupt(format!(
                "journal record {} cannot follow: {why}",
                record.seq
            ))
        })?;
        if let Some(program) = &record.writer.program {
            self.program = Some(program.clone());
        }
        Ok(())
    }

    fn accept(&mut self, body: &Body) -> Result<(), String> {
        if self.began == matches!(body, Body::RunBegan { .. }) {
            return Err("a run begins once, and first".to_owned());
        }
        match body {
            Body::RunBegan {
                plan,
                spec_digest,
                program,
                ..
            } => {
                self.began = true;
                self.program = Some(Program::of_version(program));
                self.plan = plan.clone();
                self.spec_digest.clone_from(spec_digest);
            }
            Body::StepIntent { step, intent } => self.intend(step, intent)?,
            Body::StepDone {
                step,
                outcome,
                seconds,
            } => {
                self.moving_forward()?;
                let step = self.step(step, &[StepStatus::Intended, StepStatus::Failed])?;
                step.status = StepStatus::Done;
                step.outcome = Some(outcome.clone());
                step.seconds = Some(*seconds);
                step.error = None;
            }
            Body::StepFailed { step, error } => self.fail(step, error)?,
            Body::Resumed => {
                if matches!(self.ending, Some(Ending::Done | Ending::RolledBack)) {
                    return Err("the run has ended".to_owned());
                }
                self.ending = None;
            }
            Body::RollbackBegan { .. } => {
                if self.ending == Some(Ending::RolledBack) || self.purged {
                    return Err("there is no way back any more".to_owned());
                }
                self.rolling_back = true;
                self.ending = None;
            }
            Body::WentLive => {
                self.turned_back()?;
                self.went_live = true;
            }
            Body::UndoIntent { step } => {
                self.turned_back()?;
                use StepStatus::{Done, Failed, Intended, UndoFailed, Undoing};
                let step = self.step(step, &[Intended, Done, Failed, Undoing, UndoFailed])?;
                step.status = Undoing;
            }
            Body::UndoDone { step } => {
                self.turned_back()?;
                self.step(step, &[StepStatus::Undoing])?.status = StepStatus::Undone;
            }
            Body::UndoFailed { step, error } => {
                self.turned_back()?;
                let step = self.step(step, &[StepStatus::Undoing])?;
                step.status = StepStatus::UndoFailed;
                step.error = Some(error.clone());
            }
            Body::Ended { ending } => {
                if self.ending.is_some() {
                    return Err("the run has ended already".to_owned());
                }
                if *ending == Ending::RolledBack && !self.rolling_back {
                    return Err("a run that did not turn back cannot be rolled back".to_owned());
                }
                if *ending == Ending::Done && self.rolling_back {
                    return Err("a run that turned back cannot be done".to_owned());
                }
                self.ending = Some(*ending);
            }
            Body::Purged { .. } => {
                if !matches!(self.ending, Some(Ending::Done | Ending::RolledBack)) {
                    return Err("only what an ended run set aside is purged".to_owned());
                }
                self.purged = true;
            }
        }
        Ok(())
    }

    fn moving_forward(&self) -> Result<(), String> {
        if self.rolling_back || self.ending.is_some() {
            return Err("the run is not going forward".to_owned());
        }
        Ok(())
    }

    fn turned_back(&self) -> Result<(), String> {
        if !self.rolling_back || self.ending.is_some() {
            return Err("the run is not going back".to_owned());
        }
        Ok(())
    }

    fn step(&mut self, step: &str, from: &[StepStatus]) -> Result<&mut Step, String> {
        match self.steps.get_mut(step) {
            Some(found) if from.contains(&found.status) => Ok(found),
            Some(found) => Err(format!("step {step:?} is {:?}", found.status)),
            None => Err(format!("step {step:?} was never intended")),
        }
    }

    /// A step that failed before its intent is intended for the first time when the run is
    /// resumed.
    fn intend(&mut self, step: &str, intent: &Value) -> Result<(), String> {
        self.moving_forward()?;
        if self.steps.get(step).is_some_and(|s| s.intent.is_some()) {
            return Err(format!("step {step:?} was intended already"));
        }
        self.steps.insert(
            step.to_owned(),
            Step {
                status: StepStatus::Intended,
                intent: Some(intent.clone()),
                outcome: None,
                seconds: None,
                error: None,
            },
        );
        Ok(())
    }

    /// A step may fail before its intent (a look that did not work), while it acts, or right after
    /// it was recorded as done.
    fn fail(&mut self, step: &str, error: &str) -> Result<(), String> {
        self.moving_forward()?;
        let failed = self.steps.entry(step.to_owned()).or_insert(Step {
            status: StepStatus::Failed,
            intent: None,
            outcome: None,
            seconds: None,
            error: None,
        });
        if failed.outcome.is_none() {
            failed.status = StepStatus::Failed;
        }
        failed.error = Some(error.to_owned());
        Ok(())
    }

    /// The program that worked on the run last, as far as that was recorded.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// The plan, as it was recorded.
    pub fn plan(&self) -> &Value {
        &self.plan
    }

    /// The digest of the spec the run began with.
    pub fn spec_digest(&self) -> &str {
        &self.spec_digest
    }

    /// Where a step stands; `None` if nothing was recorded of it.
    pub fn status(&self, step: &str) -> Option<StepStatus> {
        self.steps.get(step).map(|s| s.status)
    }

    /// The intent recorded for a step.
    pub fn intent(&self, step: &str) -> Option<&Value> {
        self.steps.get(step)?.intent.as_ref()
    }

    /// The outcome recorded for a step.
    pub fn outcome(&self, step: &str) -> Option<&Value> {
        self.steps.get(step)?.outcome.as_ref()
    }

    /// How long a step took, once it is done.
    pub fn seconds(&self, step: &str) -> Option<f64> {
        self.steps.get(step)?.seconds
    }

    /// What a step failed with.
    pub fn error(&self, step: &str) -> Option<&str> {
        self.steps.get(step)?.error.as_deref()
    }

    /// True if a step is done and not undone.
    pub fn is_done(&self, step: &str) -> bool {
        self.status(step) == Some(StepStatus::Done)
    }

    /// True if a step may have had an effect that is not undone yet.
    pub fn needs_undo(&self, step: &str) -> bool {
        self.steps
            .get(step)
            .is_some_and(|s| s.intent.is_some() && s.status != StepStatus::Undone)
    }

    /// True once the run has turned back.
    pub fn rolling_back(&self) -> bool {
        self.rolling_back
    }

    /// True once it is recorded that the new database was in service.
    pub fn went_live(&self) -> bool {
        self.went_live
    }

    /// How the run stands; `None` while it moves, or after its process was killed.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// True once what the run set aside is being destroyed.
    pub fn is_purged(&self) -> bool {
        self.purged
    }
}
