//! Executes a plan: forward, resumed after a crash, and back.
//!
//! Each step is recorded before it acts ([`records::Intent`]) and after ([`records::Outcome`]).
//! A journal that cannot be written stops the run before the next effect.

mod act;
mod backends;
mod boundary;
mod facts;
mod forward;
mod printed;
mod programs;
mod purge;
pub mod records;
mod report;
#[cfg(test)]
mod tests;
mod undo;

use std::sync::Arc;

use crate::event::Events;
use crate::journal::{Journal, Program};
use crate::model::RunId;
use crate::plan::Plan;
use crate::store::Store;
use tokio_util::sync::CancellationToken;

pub use backends::Backends;
pub use boundary::Boundary;
#[cfg(any(test, feature = "testing"))]
pub use boundary::HookFn;
pub use printed::Printed;
pub use programs::Programs;
pub use report::{Report, RollbackOptions};

use boundary::Hook;
use facts::Facts;
use printed::Printing;

/// Runs plans for one target.
pub struct Engine {
    backends: Backends,
    store: Store,
    events: Events,
    stop: CancellationToken,
    hook: Hook,
    programs: Option<Arc<dyn Programs>>,
}

/// One run in this process: its plan, its journal, and where it reports.
struct Active {
    run: RunId,
    plan: Plan,
    journal: Journal,
    events: Events,
    /// What runs here, and uses which client programs.
    program: Option<Program>,
    /// What is not as it was when another process worked on the run.
    notes: Vec<String>,
    /// What programs print in it.
    printing: Arc<Printing>,
}

impl Active {
    fn facts(&self) -> Facts<'_> {
        Facts {
            run: &self.run,
            plan: &self.plan,
            state: self.journal.state(),
        }
    }
}

impl Engine {
    /// An engine that acts through `backends`, keeps its journals in `store`, and stops at the
    /// next safe point once `stop` is cancelled.
    pub fn new(backends: Backends, store: Store, events: Events, stop: CancellationToken) -> Self {
        Self {
            backends,
            store,
            events,
            stop,
            hook: Hook::default(),
            programs: None,
        }
    }

    /// Records what `programs` tells, and sees that it stays so while it matters.
    #[must_use]
    pub fn run_by(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = Some(programs);
        self
    }

    /// Calls `hook` at every boundary of every step, forward and back; an error it returns fails
    /// the step there, and a panic is the death of the process.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn at_boundaries(mut self, hook: HookFn) -> Self {
        self.hook = Hook::new(hook);
        self
    }
}
