//! The forward loop.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::act::act;
use super::printed::Printing;
use super::records::{Intent, Outcome};
use super::{Active, Boundary, Engine, Report};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ctx, EventKind};
use crate::journal::{Body, Ending, Journal};
use crate::model::RunId;
use crate::plan::{Plan, PlannedStep, StepKind};

/// What a forward pass came to.
pub(super) enum Pass {
    Done,
    Halted(Error),
    Failed(Error),
}

impl Engine {
    /// Executes `plan` as `run`. The caller has checked the plan's refusals and confirmation.
    ///
    /// # Errors
    /// Another run has the target; the journal could not be created. Whatever happens after
    /// that is in the report.
    pub async fn run(&self, run: RunId, plan: Plan) -> Result<Report> {
        let began = Instant::now();
        let printing = Arc::<Printing>::default();
        let events = self.events.for_run(run.clone()).and(printing.clone());
        let ctx = Ctx::new(run.clone(), events.clone());
        self.backends.lock.acquire(&ctx).await?;
        let body = Body::RunBegan {
            plan: serde_json::to_value(&plan)
                .map_err(|e| Error::internal("the plan has no JSON form").caused_by(e))?,
            plan_digest: plan.digest.clone(),
            spec_digest: plan.spec_digest.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let program = self.program(&events).await;
        let journal = Journal::create_by(&self.store, &run, body, program.clone()).await?;
        let active = Active {
            run,
            plan,
            journal,
            events,
            program,
            notes: Vec::new(),
            printing,
        };
        self.go_on(active, began).await
    }

    /// Takes up a run that was killed, halted or stuck, in the direction it was going.
    ///
    /// *Repeats:* a run that has ended is reported as it is.
    ///
    /// # Errors
    /// There is no such run, its journal is damaged, the spec has changed since, or another
    /// process has the target.
    pub async fn resume(&self, run: &RunId, spec_digest: &str) -> Result<Report> {
        let began = Instant::now();
        let mut active = self.open(run).await?;
        if active.plan.spec_digest != spec_digest {
            return Err(
                Error::refused(format!("the spec has changed since {run} began")).hint(format!(
                    "put the spec back as it was, or go back with: {}",
                    active.facts().rollback_command()
                )),
            );
        }
        if let Some(ending @ (Ending::Done | Ending::RolledBack)) = active.journal.state().ending()
        {
            return Ok(self.report(&active, ending, None, began));
        }
        active.tell_notes();
        let ctx = self.ctx(&active);
        self.backends.lock.acquire(&ctx).await?;
        active.journal.append(Body::Resumed).await?;
        if active.journal.state().rolling_back() {
            return self.go_back(active, None, began).await;
        }
        self.go_on(active, began).await
    }

    pub(super) async fn open(&self, run: &RunId) -> Result<Active> {
        let mut journal = Journal::open(&self.store, run).await?;
        let plan = serde_json::from_value(journal.state().plan().clone()).map_err(|e| {
            Error::corrupt(format!("the plan of {run} cannot be read")).caused_by(e)
        })?;
        let printing = Arc::<Printing>::default();
        let events = self.events.for_run(run.clone()).and(printing.clone());
        let program = self.program(&events).await;
        let notes = match (journal.state().program(), &program) {
            (Some(before), Some(now)) => now.changes_since(before),
            _ => Vec::new(),
        };
        journal.written_by(program.clone());
        Ok(Active {
            run: run.clone(),
            plan,
            journal,
            events,
            program,
            notes,
            printing,
        })
    }

    /// A context for acts that finish whatever the operator does.
    pub(super) fn ctx(&self, active: &Active) -> Ctx {
        Ctx::new(active.run.clone(), active.events.clone())
    }

    pub(super) async fn go_on(&self, mut active: Active, began: Instant) -> Result<Report> {
        active.events.send(EventKind::RunStarted {
            title: format!(
                "rebuild {} on {}",
                active.plan.target.name, active.plan.endpoint
            ),
            steps: active.remaining(),
        });
        let pass = match self.forward(&mut active).await {
            Ok(pass) => pass,
            Err(e) => return self.unrecorded(&active, e, began).await,
        };
        match pass {
            Pass::Done => self.end(active, Ending::Done, None, began).await,
            Pass::Halted(e) => self.end(active, Ending::Halted, Some(e), began).await,
            Pass::Failed(e) => {
                let written = self.written(&active).await;
                match written {
                    Ok(tables) if tables.is_empty() => self.go_back(active, Some(e), began).await,
                    Ok(tables) => {
                        let e = e.hint(format!(
                            "rows were written to the new database since it went into service ({}), so it was not taken out of service by itself",
                            tables.join(", ")
                        ));
                        self.end(active, Ending::Halted, Some(e), began).await
                    }
                    Err(unknown) => {
                        active.events.warn(format!(
                            "could not tell whether to go back: {}",
                            unknown.chain()
                        ));
                        self.end(active, Ending::Halted, Some(e), began).await
                    }
                }
            }
        }
    }

    async fn forward(&self, active: &mut Active) -> Result<Pass> {
        let steps = active.plan.steps.clone();
        for step in &steps {
            if active.journal.state().is_done(&step.id) {
                continue;
            }
            if self.stop.is_cancelled() {
                return Ok(Pass::Halted(stopped(step)));
            }
            let began = Instant::now();
            active.events.send(EventKind::StepStarted {
                step: step.id.clone(),
                title: step.title.clone(),
            });
            let span = tracing::info_span!("step", run = %active.run, step = step.id);
            match self.step(active, step, began).instrument(span).await {
                Ok(()) => active.events.send(EventKind::StepFinished {
                    step: step.id.clone(),
                    seconds: began.elapsed().as_secs_f64(),
                }),
                Err(StepError::Journal(e)) => return Err(e),
                Err(StepError::Act(e)) => {
                    active.events.send(EventKind::StepFailed {
                        step: step.id.clone(),
                        error: e.chain(),
                    });
                    if e.kind() == ErrorKind::Interrupted {
                        return Ok(Pass::Halted(e));
                    }
                    active
                        .journal
                        .append(Body::StepFailed {
                            step: step.id.clone(),
                            error: e.chain(),
                        })
                        .await?;
                    return Ok(Pass::Failed(e));
                }
            }
        }
        Ok(Pass::Done)
    }

    /// One step: settle and record what it is to do, do it, record what came of it.
    async fn step(
        &self,
        active: &mut Active,
        step: &PlannedStep,
        began: Instant,
    ) -> Result<(), StepError> {
        let ctx = self.step_ctx(active, &step.kind);
        self.backends
            .lock
            .assert_held(&ctx)
            .await
            .map_err(StepError::Act)?;
        self.refuse_other_tools(active)
            .await
            .map_err(StepError::Act)?;
        self.hook
            .at(&step.id, Boundary::BeforeIntent)
            .map_err(StepError::Act)?;
        let intent = self.settle(active, &ctx, step).await?;
        self.hook
            .at(&step.id, Boundary::AfterIntent)
            .map_err(StepError::Act)?;
        let outcome = act(&self.backends, &ctx, &active.plan, &step.kind, &intent)
            .await
            .map_err(StepError::Act)?;
        self.hook
            .at(&step.id, Boundary::AfterEffect)
            .map_err(StepError::Act)?;
        active
            .journal
            .append(Body::StepDone {
                step: step.id.clone(),
                outcome: outcome.to_value().map_err(StepError::Journal)?,
                seconds: began.elapsed().as_secs_f64(),
            })
            .await
            .map_err(StepError::Journal)?;
        if let Outcome::Retired { retired } = &outcome
            && retired.successor.is_some()
        {
            active.events.info(format!(
                "{:?} is in service; new sessions were held off for {} ms",
                active.plan.target.name, retired.shut_out_ms
            ));
        }
        self.hook
            .at(&step.id, Boundary::AfterOutcome)
            .map_err(StepError::Act)
    }

    /// The intent recorded by an earlier attempt, or a new one, recorded before it is returned.
    async fn settle(
        &self,
        active: &mut Active,
        ctx: &Ctx,
        step: &PlannedStep,
    ) -> Result<Intent, StepError> {
        if let Some(value) = active.journal.state().intent(&step.id) {
            return Intent::from_value(value).map_err(StepError::Journal);
        }
        let intent = match &step.kind {
            StepKind::Stop { workload } => {
                let found = self.backends.workload(workload).map_err(StepError::Act)?;
                let before = found.look(ctx).await.map_err(StepError::Act)?;
                Intent::Stop {
                    workload: workload.clone(),
                    before,
                }
            }
            StepKind::Promote => {
                let new = active.facts().require_made().map_err(StepError::Act)?;
                let marks = self.backends.teardown.marks(ctx, &new).await;
                let marks = marks.map_err(StepError::Act)?;
                active.facts().promote(marks).map_err(StepError::Act)?
            }
            _ => active.facts().intent(step).map_err(StepError::Act)?,
        };
        active
            .journal
            .append(Body::StepIntent {
                step: step.id.clone(),
                intent: intent.to_value().map_err(StepError::Journal)?,
            })
            .await
            .map_err(StepError::Journal)?;
        Ok(intent)
    }

    fn step_ctx(&self, active: &Active, kind: &StepKind) -> Ctx {
        let mut ctx = self.ctx(active);
        if kind.stops_at_once() {
            ctx.stop = self.stop.clone();
        } else {
            ctx.stop = CancellationToken::new();
        }
        ctx
    }
}

impl Active {
    fn remaining(&self) -> usize {
        self.plan
            .steps
            .iter()
            .filter(|s| !self.journal.state().is_done(&s.id))
            .count()
    }
}

/// Where a step failed: in its act, which can be undone, or in the journal, after which nothing
/// more may be done.
enum StepError {
    Act(Error),
    Journal(Error),
}

fn stopped(step: &PlannedStep) -> Error {
    Error::new(
        ErrorKind::Interrupted,
        format!("stopped by the operator before step {:?}", step.id),
    )
}
