//! What a run has settled so far: a pure reading of its plan and journal.

use super::records::{Intent, Outcome};
use crate::error::{Error, Result};
use crate::journal::RunState;
use crate::model::{BackupId, Identity, RunId};
use crate::plan::{Names, Plan, PlannedStep, StepKind, Strategy};
use crate::traits::{
    BackupMode, ProvisionRequest, RetireRequest, Retired, VerifyRequest, WorkloadState,
};

/// The plan and the journal, read together.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunId,
    pub(super) plan: &'a Plan,
    pub(super) state: &'a RunState,
}

impl Facts<'_> {
    fn intents(&self) -> impl Iterator<Item = (&PlannedStep, Intent)> {
        self.plan.steps.iter().filter_map(|step| {
            let value = self.state.intent(&step.id)?;
            Some((step, Intent::from_value(value).ok()?))
        })
    }

    fn outcome(&self, wanted: impl Fn(&StepKind) -> bool) -> Option<Outcome> {
        self.plan
            .steps
            .iter()
            .filter(|step| wanted(&step.kind))
            .find_map(|step| Outcome::from_value(self.state.outcome(&step.id)?).ok())
    }

    pub(super) fn names(&self) -> Names {
        Names::of(self.run, &self.plan.target.name)
    }

    /// The run's own backup.
    pub(super) fn backup(&self) -> Result<BackupId> {
        self.intents()
            .find_map(|(_, intent)| match intent {
                Intent::Backup { id, .. } => Some(id),
                _ => None,
            })
            .ok_or_else(|| Error::internal("the run has no backup yet"))
    }

    fn has_full_backup(&self) -> bool {
        self.plan.steps.iter().any(|s| {
            s.kind
                == StepKind::Backup {
                    mode: BackupMode::Full,
                }
        })
    }

    /// The database this run made, under the name it was made with.
    pub(super) fn made(&self) -> Option<Identity> {
        match self.outcome(|k| *k == StepKind::Provision) {
            Some(Outcome::Made { db }) => Some(db),
            _ => None,
        }
    }

    fn require_made(&self) -> Result<Identity> {
        self.made()
            .ok_or_else(|| Error::internal("the run has not made a database yet"))
    }

    /// The new database under the name it has while in service.
    fn in_service(&self) -> Result<Identity> {
        Ok(Identity {
            name: self.plan.target.name.clone(),
            ..self.require_made()?
        })
    }

    /// What a workload was before it was stopped.
    pub(super) fn before(&self, workload: &str) -> Result<WorkloadState> {
        self.intents()
            .find_map(|(_, intent)| match intent {
                Intent::Stop {
                    workload: name,
                    before,
                } if name == workload => Some(before),
                _ => None,
            })
            .ok_or_else(|| {
                Error::internal(format!(
                    "the run did not record what {workload:?} was before"
                ))
            })
    }

    /// How the old database comes back, if retiring it was as much as intended. What took its
    /// place goes back to the staged name.
    pub(super) fn retired(&self) -> Option<Retired> {
        let outcomes: Vec<Outcome> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| Outcome::from_value(self.state.outcome(&step.id)?).ok())
            .collect();
        let settled = outcomes.iter().find_map(|o| match o {
            Outcome::Settled { marks } => Some(marks.clone()),
            _ => None,
        });
        let done = outcomes
            .into_iter()
            .find(|o| matches!(o, Outcome::Retired { .. }));
        let mut retired = match done {
            Some(Outcome::Retired { retired }) => retired,
            _ => self.intents().find_map(|(_, intent)| match intent {
                Intent::Retire { request } => Some(Retired {
                    old: request.target,
                    retired_name: request.retired_name,
                    successor: request.successor,
                    successor_marks: serde_json::Value::Null,
                    shut_out_ms: 0,
                }),
                _ => None,
            })?,
        };
        if retired.successor.is_none() {
            retired.successor = self.made().map(|db| Identity {
                name: self.names().staged,
                ..db
            });
        }
        if let Some(marks) = settled {
            retired.successor_marks = marks;
        }
        Some(retired)
    }

    /// True once clients may have used the new database, so that it must be kept on the way back.
    pub(super) fn live(&self) -> bool {
        self.outcome(|k| *k == StepKind::Promote).is_some()
    }

    fn retire_request(&self, successor: Option<Identity>) -> Result<RetireRequest> {
        let unchanged_since = if self.has_full_backup() {
            Some(self.backup()?)
        } else {
            None
        };
        Ok(RetireRequest {
            target: self.plan.target.clone(),
            retired_name: self.names().retired,
            successor,
            unchanged_since,
        })
    }

    /// What `step` is to do, but for a stop, whose intent needs a look at the workload.
    pub(super) fn intent(&self, step: &PlannedStep) -> Result<Intent> {
        Ok(match &step.kind {
            StepKind::Stop { workload } => {
                return Err(Error::internal(format!(
                    "the state of {workload:?} must be looked at first"
                )));
            }
            StepKind::Backup { mode } => Intent::Backup {
                id: BackupId::generate(),
                mode: *mode,
            },
            StepKind::CheckBackup => Intent::CheckBackup { id: self.backup()? },
            StepKind::Retire => Intent::Retire {
                request: self.retire_request(None)?,
            },
            StepKind::Promote if self.plan.strategy == Strategy::InPlace => Intent::Settle {
                db: self.require_made()?,
                like: self.plan.target.clone(),
            },
            StepKind::Promote => Intent::Retire {
                request: self.retire_request(Some(self.require_made()?))?,
            },
            StepKind::Provision => Intent::Provision {
                request: self.provision_request(),
            },
            StepKind::Schema | StepKind::Restore | StepKind::Fixtures | StepKind::Finish => {
                Intent::Fill {
                    db: self.require_made()?,
                    backup: self.backup()?,
                }
            }
            StepKind::Load { name } => Intent::Task {
                name: name.clone(),
                db: self.require_made()?,
            },
            StepKind::Verify => Intent::Verify {
                request: VerifyRequest {
                    db: self.require_made()?,
                    backup: Some(self.backup()?),
                    live: false,
                },
            },
            StepKind::VerifyLive => Intent::Verify {
                request: VerifyRequest {
                    db: self.in_service()?,
                    backup: Some(self.backup()?),
                    live: true,
                },
            },
            StepKind::Start { workload } => Intent::Start {
                workload: workload.clone(),
                before: self.before(workload)?,
            },
            StepKind::Task { name } => Intent::Task {
                name: name.clone(),
                db: self.in_service()?,
            },
        })
    }

    fn provision_request(&self) -> ProvisionRequest {
        let name = match self.plan.strategy {
            Strategy::Aside => self.names().staged,
            Strategy::InPlace => self.plan.target.name.clone(),
        };
        ProvisionRequest {
            name,
            like: Some(self.plan.target.clone()),
        }
    }
}
