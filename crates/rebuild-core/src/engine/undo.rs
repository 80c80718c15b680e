//! The way back: what was done is undone, in reverse.

use std::time::Instant;

use tracing::Instrument;

use super::records::Intent;
use super::{Active, Boundary, Engine, Report, RollbackOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ctx, EventKind};
use crate::journal::{Body, Ending};
use crate::model::{Identity, RunId};
use crate::plan::{PlannedStep, StepKind, Strategy};

impl Engine {
    /// Brings the old database back, whatever the run has come to.
    ///
    /// *Repeats:* a run that is rolled back is reported as it is. *Destroys:* the staged database
    /// of a run that never went into service. A database that was in service is kept.
    ///
    /// # Errors
    /// There is no such run or its journal is damaged; the old database was purged; rows were
    /// written to the new one and `options` does not accept that.
    pub async fn rollback(&self, run: &RunId, options: RollbackOptions) -> Result<Report> {
        let began = Instant::now();
        let active = self.open(run).await?;
        let state = active.journal.state();
        if state.ending() == Some(Ending::RolledBack) {
            return Ok(self.report(&active, Ending::RolledBack, None, began));
        }
        if state.is_purged() {
            return Err(Error::refused(format!(
                "the old database of {run} was purged, so it cannot come back by renaming"
            ))
            .hint("restore its backup beside it: rebuild restore BACKUP --into NAME"));
        }
        active.tell_notes();
        let ctx = self.ctx(&active);
        self.backends.lock.acquire(&ctx).await?;
        if !options.accept_writes
            && let Err(e) = self.refuse_written(&active).await
        {
            self.release(&active).await;
            return Err(e);
        }
        self.go_back(active, None, began).await
    }

    async fn refuse_written(&self, active: &Active) -> Result<()> {
        let facts = active.facts();
        let all_the_same = format!("{} --accept-writes goes back", facts.rollback_command());
        let elsewhere = facts.retired().is_some_and(|old| old.is_replaced());
        // A new server that is broken is what one goes back for.
        let written = self.written(active).await.map_err(|e| match elsewhere {
            true => e.hint(format!(
                "{all_the_same} without asking it; what is in it is kept"
            )),
            false => e,
        })?;
        if written.is_empty() {
            return Ok(());
        }
        let kept = match elsewhere {
            true => "with the new server, which is kept".to_owned(),
            false => format!("in {:?}", facts.names().staged),
        };
        Err(Error::refused(format!(
            "rows were written to the new database since it went into service: {}",
            written.join(", ")
        ))
        .hint(format!(
            "{all_the_same} all the same; those rows stay {kept}, out of service"
        )))
    }

    /// What was written to the new database since it went into service; nothing if it is not.
    pub(super) async fn written(&self, active: &Active) -> Result<Vec<String>> {
        let ctx = self.ctx(active);
        let facts = active.facts();
        let Some(retired) = facts.retired().filter(|_| facts.live()) else {
            return Ok(Vec::new());
        };
        self.backends.teardown.written_since(&ctx, &retired).await
    }

    pub(super) async fn go_back(
        &self,
        mut active: Active,
        cause: Option<Error>,
        began: Instant,
    ) -> Result<Report> {
        let ctx = self.ctx(&active);
        // The connection that holds the lock may be what failed; without the lock nothing is
        // undone, and the run stays as it is until the server can be reached.
        if let Err(e) = self.backends.lock.acquire(&ctx).await {
            let e = cause.unwrap_or(e);
            return self.end(active, Ending::Halted, Some(e), began).await;
        }
        match self.undo_all(&mut active, &ctx, cause).await {
            Ok((ending, error)) => self.end(active, ending, error, began).await,
            Err(e) => self.unrecorded(&active, e, began).await,
        }
    }

    /// Undoes every step that needs it, in reverse. How the run stands then, and why it is not done. An error is
    /// the journal's.
    async fn undo_all(
        &self,
        active: &mut Active,
        ctx: &Ctx,
        cause: Option<Error>,
    ) -> Result<(Ending, Option<Error>)> {
        let why = cause
            .as_ref()
            .map_or_else(|| "asked for".to_owned(), Error::chain);
        // A way back that got stuck is recorded as ended, and begins anew.
        if !active.journal.state().rolling_back() || active.journal.state().ending().is_some() {
            active.journal.append(Body::RollbackBegan { why }).await?;
        }
        match self.is_promoted(active, ctx).await {
            Ok(true) => active.journal.append(Body::WentLive).await?,
            Ok(false) => {}
            // Undone as if it were not in service, the new database would be thrown away.
            Err(e) => return Ok((Ending::Halted, Some(cause.unwrap_or(e)))),
        }
        let facts = active.facts();
        let stays = [facts.infrastructure_left(), facts.backfills_left()].concat();
        for line in stays {
            active.events.warn(line);
        }
        let steps = active.plan.steps.clone();
        for step in steps.iter().rev() {
            if !step.kind.has_undo() || !active.journal.state().needs_undo(&step.id) {
                continue;
            }
            let span = tracing::info_span!("undo", run = %active.run, step = step.id);
            let undone = self.undo_step(active, ctx, step);
            if let Err(e) = undone.instrument(span).await? {
                let ending = if e.kind() == ErrorKind::Unreachable {
                    Ending::Halted
                } else {
                    Ending::Stuck
                };
                return Ok((ending, Some(e)));
            }
        }
        Ok((Ending::RolledBack, cause))
    }

    /// True if the new database went into service without a record of it, as when the answer to
    /// a promote was lost. From then on it is kept.
    async fn is_promoted(&self, active: &Active, ctx: &Ctx) -> Result<bool> {
        if active.journal.state().went_live() {
            return Ok(false);
        }
        let facts = active.facts();
        Ok(match (&facts.made(), active.plan.strategy) {
            _ if facts.live() => true,
            (Some(made), Strategy::Aside) => {
                let name = &active.plan.target.name;
                let now = self.backends.teardown.look(ctx, name).await?;
                now.is_some_and(|found| found.is_same_thing(made))
            }
            // Whether the mark was taken off is not known here, so it counts as taken off.
            (Some(_), Strategy::InPlace) => {
                let mut steps = active.plan.steps.iter();
                let promote = steps.find(|s| s.kind == StepKind::Promote);
                promote.is_some_and(|s| active.journal.state().intent(&s.id).is_some())
            }
            _ => false,
        })
    }

    /// The outer result is the journal's, the inner one the undo's.
    async fn undo_step(
        &self,
        active: &mut Active,
        ctx: &Ctx,
        step: &PlannedStep,
    ) -> Result<Result<()>> {
        let began = Instant::now();
        let name = format!("undo {}", step.id);
        active.events.send(EventKind::UndoStarted {
            step: step.id.clone(),
            title: format!("undo: {}", step.title),
        });
        let undone = async {
            self.hook.at(&name, Boundary::BeforeIntent)?;
            active
                .journal
                .append(Body::UndoIntent {
                    step: step.id.clone(),
                })
                .await?;
            self.hook.at(&name, Boundary::AfterIntent)?;
            self.undo(active, ctx, step).await?;
            self.hook.at(&name, Boundary::AfterEffect)
        }
        .await;
        match undone {
            Ok(()) => {
                let body = Body::UndoDone {
                    step: step.id.clone(),
                };
                active.journal.append(body).await?;
                active.events.send(EventKind::UndoFinished {
                    step: step.id.clone(),
                    seconds: began.elapsed().as_secs_f64(),
                });
                Ok(self.hook.at(&name, Boundary::AfterOutcome))
            }
            Err(e) => {
                let body = Body::UndoFailed {
                    step: step.id.clone(),
                    error: e.chain(),
                };
                active.journal.append(body).await?;
                active.events.send(EventKind::UndoFailed {
                    step: step.id.clone(),
                    error: e.chain(),
                });
                Ok(Err(e))
            }
        }
    }

    async fn undo(&self, active: &Active, ctx: &Ctx, step: &PlannedStep) -> Result<()> {
        let facts = active.facts();
        match &step.kind {
            StepKind::Stop { workload } => {
                let before = facts.before(workload)?;
                self.backends.workload(workload)?.start(ctx, &before).await
            }
            StepKind::Start { workload } => {
                let before = facts.before(workload)?;
                self.backends.workload(workload)?.stop(ctx, &before).await
            }
            // In place, the undo of the retirement moves the new database away.
            StepKind::Promote if active.plan.strategy == Strategy::InPlace => Ok(()),
            StepKind::Retire | StepKind::Promote => match facts.retired() {
                Some(retired) => self.backends.teardown.reinstate(ctx, &retired).await,
                None => Ok(()),
            },
            StepKind::Provision => self.discard(active, ctx, step).await,
            StepKind::Backup { .. }
            | StepKind::CheckBackup
            | StepKind::Infrastructure { .. }
            | StepKind::Schema
            | StepKind::Restore
            | StepKind::Migrate
            | StepKind::Preserve
            | StepKind::Fixtures
            | StepKind::Load { .. }
            | StepKind::Finish
            | StepKind::Verify
            | StepKind::VerifyLive
            | StepKind::Task { .. } => Ok(()),
        }
    }

    /// Removes the new database, unless it was in service.
    async fn discard(&self, active: &Active, ctx: &Ctx, step: &PlannedStep) -> Result<()> {
        let facts = active.facts();
        if active.journal.state().went_live() {
            return Ok(());
        }
        let made: Option<Identity> = match facts.made() {
            Some(db) => Some(db),
            None => match active.journal.state().intent(&step.id) {
                Some(value) => match Intent::from_value(value)? {
                    Intent::Provision { request } => {
                        let found = self.backends.provision.look(ctx, &request.name).await?;
                        found.filter(|db| !db.is_same_thing(&active.plan.target))
                    }
                    _ => None,
                },
                None => None,
            },
        };
        match made {
            Some(db) => self.backends.provision.discard(ctx, &db).await,
            None => Ok(()),
        }
    }
}
