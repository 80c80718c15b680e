//! What a run tells whoever watches. Never read back for correctness.

mod ctx;
mod sinks;
#[cfg(any(feature = "k8s", feature = "gcp", feature = "cloudsql"))]
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::RunId;

pub use ctx::Ctx;
pub use sinks::{Collected, JsonLines, Tracing};
#[cfg(any(feature = "k8s", feature = "gcp", feature = "cloudsql"))]
pub(crate) use waiting::{Seen, Waiting};

/// One thing that happened, in order. Events are never dropped; [`Progress`] may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in this process's stream, from 1, without gaps.
    pub seq: u64,
    /// When, by this machine's clock. For people; order is by `seq`.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How loudly a note speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the record.
    Info,
    /// Something the operator should read before going on.
    Warning,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// A run began or was taken up again.
    RunStarted {
        /// What the run does, in a line.
        title: String,
        /// The number of steps still ahead.
        steps: usize,
    },
    /// A step began.
    StepStarted {
        /// The step's id in the plan.
        step: String,
        /// What it does, in a line.
        title: String,
    },
    /// A step ended well.
    StepFinished {
        /// The step's id in the plan.
        step: String,
        /// How long it took.
        seconds: f64,
    },
    /// A step failed.
    StepFailed {
        /// The step's id in the plan.
        step: String,
        /// The error's chain of messages.
        error: String,
    },
    /// Undoing a step began.
    UndoStarted {
        /// The step's id in the plan.
        step: String,
        /// What is being taken back, in a line.
        title: String,
    },
    /// A step was undone.
    UndoFinished {
        /// The step's id in the plan.
        step: String,
        /// How long it took.
        seconds: f64,
    },
    /// A step could not be undone.
    UndoFailed {
        /// The step's id in the plan.
        step: String,
        /// The error's chain of messages.
        error: String,
    },
    /// Something worth a line.
    Note {
        /// How loudly.
        level: Level,
        /// The line.
        message: String,
    },
    /// A line printed by a program that a step runs.
    Output {
        /// The program's name.
        program: String,
        /// The line, control characters escaped.
        line: String,
    },
    /// The run ended.
    RunFinished {
        /// How, in a word (see the exit codes).
        ending: String,
        /// How long it took in all.
        seconds: f64,
    },
}

/// How far a step is. Lossy: a sink may drop it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What is being counted, for example `backup`.
    pub of: String,
    /// How many are done.
    pub done: u64,
    /// How many there are in all, if that is known.
    pub total: Option<u64>,
    /// What they are.
    pub unit: Unit,
}

/// What a [`Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Table rows.
    Rows,
    /// Anything else that comes in ones: files, tables, statements.
    Items,
}

/// Receives events. Called from the run's own tasks, so it must not block for long.
pub trait Sink: Send + Sync {
    /// Takes one event; never skipped, in order of `seq`.
    fn event(&self, event: &Event);
    /// Takes one progress report; may be called very often.
    fn progress(&self, progress: &Progress);
}

/// The way into the sinks; cheap to clone.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Shared>,
}

struct Shared {
    run: Option<RunId>,
    seq: AtomicU64,
    order: std::sync::Mutex<()>,
    sinks: Vec<Arc<dyn Sink>>,
}

impl Events {
    /// Events of `run` (or of no run) to each of `sinks`.
    pub fn new(run: Option<RunId>, sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self {
            inner: Arc::new(Shared {
                run,
                seq: AtomicU64::new(0),
                order: std::sync::Mutex::new(()),
                sinks,
            }),
        }
    }

    /// Events that go nowhere.
    pub fn none() -> Self {
        Self::new(None, Vec::new())
    }

    /// The same sinks for another run.
    pub fn for_run(&self, run: RunId) -> Self {
        Self::new(Some(run), self.inner.sinks.clone())
    }

    /// The same sinks and one more.
    #[must_use]
    pub fn and(&self, sink: Arc<dyn Sink>) -> Self {
        let sinks = self.inner.sinks.iter().cloned().chain([sink]);
        Self::new(self.inner.run.clone(), sinks.collect())
    }

    /// Sends one event.
    pub fn send(&self, kind: EventKind) {
        // A poisoned lock only means that a sink panicked; order still holds.
        let _order = self
            .inner
            .order
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let event = Event {
            seq: self.inner.seq.fetch_add(1, Ordering::Relaxed) + 1,
            at: Timestamp::now(),
            run: self.inner.run.clone(),
            kind,
        };
        for sink in &self.inner.sinks {
            sink.event(&event);
        }
    }

    /// Sends a line for the record.
    pub fn info(&self, message: impl Into<String>) {
        self.send(EventKind::Note {
            level: Level::Info,
            message: message.into(),
        });
    }

    /// Sends a line that the operator should read.
    pub fn warn(&self, message: impl Into<String>) {
        self.send(EventKind::Note {
            level: Level::Warning,
            message: message.into(),
        });
    }

    /// Reports progress.
    pub fn progress(&self, of: &str, done: u64, total: Option<u64>, unit: Unit) {
        let progress = Progress {
            of: of.to_owned(),
            done,
            total,
            unit,
        };
        for sink in &self.inner.sinks {
            sink.progress(&progress);
        }
    }
}
