//! The program that works on a run, and the client programs that it uses.

use async_trait::async_trait;

use super::{Active, Engine};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::journal::Program;
use crate::plan::StepKind;

/// Tells which program works on a run, and which client programs it uses.
#[async_trait]
pub trait Programs: Send + Sync {
    /// What is there now.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing.
    ///
    /// # Errors
    /// A client program is missing.
    async fn look(&self) -> Result<Program>;
}

impl Engine {
    /// What runs here. Not to know it stops nothing, least of all the way back.
    pub(super) async fn program(&self, events: &Events) -> Option<Program> {
        match self.programs.as_ref()?.look().await {
            Ok(program) => Some(program),
            Err(e) => {
                let why = e.chain();
                events.warn(format!(
                    "which programs work on this run is not recorded: {why}"
                ));
                None
            }
        }
    }

    /// Makes sure that the client programs are those that this process began with, as long as steps
    /// need them. Once the new database is in service none of them does, and it stays there.
    ///
    /// # Errors
    /// A refusal that names what has changed; a program is gone.
    pub(super) async fn refuse_other_tools(&self, active: &Active) -> Result<()> {
        let (Some(programs), Some(before)) = (&self.programs, &active.program) else {
            return Ok(());
        };
        let steps = &active.plan.steps;
        let promote = steps.iter().find(|step| step.kind == StepKind::Promote);
        if promote.is_some_and(|step| active.journal.state().is_done(&step.id)) {
            return Ok(());
        }
        let changed = programs.look().await?.changed_tools(before);
        if changed.is_empty() {
            return Ok(());
        }
        Err(Error::refused(format!(
            "a client program has changed in the middle of the run: {}",
            changed.join("; ")
        ))
        .hint("see to it that nothing upgrades it meanwhile, then run again: rebuild run"))
    }
}

impl Active {
    /// Says what is not as it was when another process worked on the run.
    pub(super) fn tell_notes(&self) {
        for note in &self.notes {
            self.events.warn(note.clone());
        }
    }
}
