//! How a rehearsal came out.

use schemars::JsonSchema;
use serde::Serialize;

use crate::journal::Ending;

/// What a rehearsal came to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rehearsal {
    /// Its name.
    pub name: String,
    /// The database that stood in for the target.
    pub database: String,
    /// [`Done`](Ending::Done): the run would have come to its end. [`RolledBack`](Ending::RolledBack): it
    /// would have failed. [`Stuck`](Ending::Stuck): something that was made is left.
    pub ending: Ending,
    /// Why it is not done, as a chain of messages.
    pub error: Option<String>,
    /// Advice that came with the error.
    pub hint: Option<String>,
    /// What was done, and how long it took.
    pub steps: Vec<RehearsedStep>,
    /// What of the spec was left out, a line each.
    pub not_rehearsed: Vec<String>,
    /// What would refuse the run itself at the moment, and did not stand in the way of the rehearsal, a line
    /// each.
    pub in_the_way: Vec<String>,
    /// What it made and is gone again, a line each.
    pub gone: Vec<String>,
    /// What it made and is still there, and why, a line each.
    pub left: Vec<String>,
    /// The one command to type next.
    pub next: Option<String>,
    /// How long new sessions would have been held off by the promote, in milliseconds.
    pub shut_out_ms: Option<u64>,
    /// Seconds since the call began.
    pub seconds: f64,
}

/// One step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RehearsedStep {
    /// Its id: that of the run's step, or `rehearsal-…` for what comes before and after the run.
    pub id: String,
    /// What it does.
    pub title: String,
    /// How long it took, if it was done.
    pub seconds: Option<f64>,
    /// What it failed with.
    pub error: Option<String>,
}
