//! How a run came out.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Active, Engine, Printed};
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::journal::{Body, Ending};
use crate::model::RunId;
use crate::shell_word;

/// What a call of the engine came to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// How it stands.
    pub ending: Ending,
    /// Why it is not done, as a chain of messages.
    pub error: Option<String>,
    /// Advice that came with the error.
    pub hint: Option<String>,
    /// What is not as it was when another process worked on the run: another version or build of this
    /// program, other client programs; a line each.
    pub notes: Vec<String>,
    /// What programs printed last, by steps of this call.
    pub printed: Vec<Printed>,
    /// What is left behind and under which name, a line each.
    pub left: Vec<String>,
    /// The one command to type next.
    pub next: Option<String>,
    /// How long new sessions were held off by the promote, in milliseconds.
    pub shut_out_ms: Option<u64>,
    /// Seconds since the call began.
    pub seconds: f64,
}

/// What the operator accepts on the way back.
#[derive(Clone, Copy, Debug, Default)]
pub struct RollbackOptions {
    /// Go back even if rows were written to the new database since it went into service; they
    /// stay in it, out of service.
    pub accept_writes: bool,
}

impl Engine {
    /// Records how the pass came out, gives the lock back, and reports.
    pub(super) async fn end(
        &self,
        mut active: Active,
        ending: Ending,
        error: Option<Error>,
        began: Instant,
    ) -> Result<Report> {
        if let Err(e) = active.journal.append(Body::Ended { ending }).await {
            return self.unrecorded(&active, e, began).await;
        }
        self.release(&active).await;
        Ok(self.finished(&active, ending, error.as_ref(), began))
    }

    /// Gives the lock back, and reports a run whose journal could not be written: it stands where its last
    /// record says, and goes on from there.
    ///
    /// # Errors
    /// `why`, if it is that another process has taken the run.
    pub(super) async fn unrecorded(
        &self,
        active: &Active,
        why: Error,
        began: Instant,
    ) -> Result<Report> {
        self.release(active).await;
        if why.is_refusal() {
            return Err(why);
        }
        let hint = "see to the store; what was done last is looked at before anything else is done";
        let why = why.hint(hint);
        Ok(self.finished(active, Ending::Halted, Some(&why), began))
    }

    fn finished(
        &self,
        active: &Active,
        ending: Ending,
        error: Option<&Error>,
        began: Instant,
    ) -> Report {
        let report = self.report(active, ending, error, began);
        active.events.send(EventKind::RunFinished {
            ending: ending.to_string(),
            seconds: report.seconds,
        });
        report
    }

    /// Gives the lock back. A failure is a warning: what was done under the lock is done.
    pub(super) async fn release(&self, active: &Active) {
        if let Err(e) = self.backends.lock.release(&self.ctx(active)).await {
            active.events.warn(format!(
                "the lock could not be given back, and ends with its connection: {}",
                e.chain()
            ));
        }
    }

    pub(super) fn report(
        &self,
        active: &Active,
        ending: Ending,
        error: Option<&Error>,
        began: Instant,
    ) -> Report {
        let run = &active.run;
        let shut_out_ms = active.facts().retired().map(|r| r.shut_out_ms);
        Report {
            run: run.clone(),
            ending,
            error: error.map(Error::chain),
            hint: error.and_then(Error::advice).map(ToOwned::to_owned),
            notes: active.notes.clone(),
            printed: active.printing.all(),
            left: left(active, ending),
            next: next(active, ending),
            shut_out_ms: shut_out_ms.filter(|_| ending == Ending::Done),
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

fn next(active: &Active, ending: Ending) -> Option<String> {
    match ending {
        // Nothing has to be done, least of all in haste.
        Ending::Done | Ending::RolledBack => None,
        Ending::Halted => Some(format!("rebuild resume {}", active.run)),
        Ending::Stuck => Some(active.facts().rollback_command()),
    }
}

/// What is to be known of a new database that was in service, and of the way to read and to destroy it.
fn staged_left(name: &str, purge: &str) -> [String; 2] {
    [
        format!(
            "the new database was in service, and is kept, closed, as {name:?}; `{purge}` destroys it"
        ),
        format!(
            "to read it, open it first: `ALTER DATABASE \"{}\" ALLOW_CONNECTIONS true`",
            name.replace('"', "\"\"")
        ),
    ]
}

fn left(active: &Active, ending: Ending) -> Vec<String> {
    let facts = active.facts();
    let names = facts.names();
    let target = &active.plan.target.name;
    let mut left = Vec::new();
    if let Ok(id) = facts.backup() {
        left.push(format!("backup {id} stays in the store"));
    }
    match ending {
        Ending::Done => {
            let kept = match active.plan.replaced() {
                Some(server) => server.kept(),
                None => format!("the old database is kept as {:?}", names.retired),
            };
            left.push(format!(
                "{kept}; `{}` brings it back",
                facts.rollback_command()
            ));
            left.push(format!(
                "once you are sure: `{}` destroys it and frees its space",
                active.plan.purge_command(&active.run)
            ));
        }
        Ending::RolledBack if active.journal.state().went_live() => {
            let purge = format!(
                "rebuild purge {} --confirm {}",
                active.run,
                shell_word(&names.staged)
            );
            match active.plan.replaced() {
                Some(server) => left.push(server.was_in_service(&purge)),
                None => left.extend(staged_left(&names.staged, &purge)),
            }
        }
        Ending::RolledBack => left.push(format!("{target:?} is the database it was before")),
        Ending::Halted | Ending::Stuck => left.push(format!(
            "`{}` brings the old database back",
            facts.rollback_command()
        )),
    }
    if ending != Ending::Done {
        left.extend(facts.infrastructure_left());
        left.extend(facts.backfills_left());
    }
    left
}
