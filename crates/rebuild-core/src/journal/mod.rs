//! The durable record of a run: what it was about to do and what came of it.
//!
//! `record` is the disk format, `state` the pure state machine that accepts or refuses each
//! record, `log`(Journal) the two joined in a store.

mod log;
mod program;
mod record;
mod state;
mod summary;

pub use log::Journal;
pub use program::Program;
#[cfg(all(feature = "postgres", any(test, feature = "testing")))]
pub(crate) use record::hash;
pub use record::{Body, Ending, RECORD_VERSION, Record, Writer};
pub use state::{RunState, StepStatus};
pub use summary::{RunSummary, StepSummary, list_runs, plan, summary};

#[cfg(test)]
mod tests;
