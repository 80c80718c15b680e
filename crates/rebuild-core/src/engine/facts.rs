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

    pub(super) fn require_made(&self) -> Result<Identity> {
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
        let mut outcomes = self
            .plan
            .steps
            .iter()
            .filter_map(|step| Outcome::from_value(self.state.outcome(&step.id)?).ok());
        let done = outcomes.find(|o| matches!(o, Outcome::Retired { .. }));
        let mut retired = match done {
            Some(Outcome::Retired { retired }) => retired,
            _ => self.intents().find_map(|(_, intent)| match intent {
                Intent::Retire { request } => Some(Retired {
                    old: request.target,
                    retired_name: request.retired_name,
                    successor: request.successor,
                    successor_marks: request.successor_marks,
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
            retired.successor_marks = self.settled_marks();
        }
        Some(retired)
    }

    /// The marks of the new database when it went into service where it stands.
    fn settled_marks(&self) -> serde_json::Value {
        let mut intents = self.intents();
        intents
            .find_map(|(_, intent)| match intent {
                Intent::Settle { marks, .. } => Some(marks),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// What infrastructure-as-code tools may have changed in this run, a line for each that was begun. In
    /// place there may have been more to do than was planned.
    pub(super) fn infrastructure_left(&self) -> Vec<String> {
        let in_place = self.plan.strategy == Strategy::InPlace;
        let begun = self.intents().filter_map(|(step, _)| match &step.kind {
            StepKind::Infrastructure { name } => Some(name),
            _ => None,
        });
        let planned = begun.filter_map(|name| {
            let mut planned = self.plan.survey.infrastructure.iter();
            planned.find(|planned| planned.name == *name)
        });
        planned
            .filter(|planned| in_place || !planned.changes.is_empty())
            .map(|planned| {
                format!(
                    "anything that {} has changed for the infrastructure {:?} stays; to look: `{}`",
                    planned.changes.tool, planned.name, planned.by_hand
                )
            })
            .collect()
    }

    /// What scheduled queries of BigQuery may have taken from the new database, a line for each that was
    /// begun.
    pub(super) fn backfills_left(&self) -> Vec<String> {
        let begun = self.intents().filter_map(|(step, _)| match &step.kind {
            StepKind::Task { name } => Some(format!("after/{name}")),
            _ => None,
        });
        let begun: Vec<String> = begun.collect();
        let gcp = self.plan.survey.gcp.iter();
        let queries = gcp.flat_map(|gcp| &gcp.backfills);
        queries
            .filter(|query| begun.contains(&query.step))
            .map(|query| {
                let table = query.table.iter();
                let place: String = table.map(|table| format!("{table} of ")).collect();
                format!(
                    "anything that the scheduled query {:?} has put into {place}BigQuery stays; run it \
                     again once the old database is in service",
                    query.config
                )
            })
            .collect()
    }

    /// What is typed to go back. A production target's name must be.
    pub(super) fn rollback_command(&self) -> String {
        self.plan.rollback_command(self.run)
    }

    /// True once clients may have used the new database, so that it must be kept on the way back.
    pub(super) fn live(&self) -> bool {
        self.outcome(|k| *k == StepKind::Promote).is_some()
    }

    fn retire_request(
        &self,
        successor: Option<Identity>,
        successor_marks: serde_json::Value,
    ) -> Result<RetireRequest> {
        let unchanged_since = if self.has_full_backup() {
            Some(self.backup()?)
        } else {
            None
        };
        Ok(RetireRequest {
            target: self.plan.target.clone(),
            retired_name: self.names().retired,
            successor,
            successor_marks,
            unchanged_since,
        })
    }

    /// How the new database, whose writes so far `marks` tells of, goes into service.
    pub(super) fn promote(&self, marks: serde_json::Value) -> Result<Intent> {
        let db = self.require_made()?;
        Ok(match self.plan.strategy {
            Strategy::Aside => Intent::Retire {
                request: self.retire_request(Some(db), marks)?,
            },
            Strategy::InPlace => Intent::Settle {
                db,
                like: self.plan.target.clone(),
                marks,
            },
        })
    }

    /// What `step` is to do, but for a stop and the promote, whose intents need a look at the
    /// workload and at the new database.
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
                request: self.retire_request(None, serde_json::Value::Null)?,
            },
            StepKind::Promote => {
                return Err(Error::internal(
                    "the new database must be looked at before it goes into service",
                ));
            }
            StepKind::Infrastructure { name } => Intent::Task {
                name: name.clone(),
                db: self.plan.target.clone(),
            },
            StepKind::Provision => Intent::Provision {
                request: self.provision_request(),
            },
            StepKind::Schema
            | StepKind::Restore
            | StepKind::Migrate
            | StepKind::Preserve
            | StepKind::Fixtures
            | StepKind::Finish => Intent::Fill {
                db: self.require_made()?,
                backup: self.backup()?,
            },
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
