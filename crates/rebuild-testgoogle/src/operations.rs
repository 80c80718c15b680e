//! Work that takes its time: a call begins it, and polling tells how far it is.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::call::Call;
use crate::fault::FaultHandle;
use crate::state::{State, lock};

/// What happens to the next operation that a call of a method begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationFault {
    /// It fails, and has no effect.
    Fail(Failure),
    /// It has its effect, and yet says that it failed.
    FailAfter(Failure),
    /// It begins when the handle is released.
    Hold,
    /// It runs for ever, and has no effect.
    Never,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code, such as `INTERNAL_ERROR`, or the number of a canonical code.
    pub code: String,
    /// What is said to people.
    pub message: String,
}

impl Failure {
    /// A failure with a code and a message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

/// What operations that have not begun will meet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct OperationFaults(Mutex<Vec<(String, OperationFault, FaultHandle)>>);

impl OperationFaults {
    pub(crate) fn add(&self, method: &str, fault: OperationFault) -> FaultHandle {
        let handle = FaultHandle::new();
        lock(&self.0).push((method.to_owned(), fault, handle.clone()));
        handle
    }

    /// True if the next operation of a method meets one.
    pub(crate) fn awaits(&self, method: &str) -> bool {
        lock(&self.0).iter().any(|(named, ..)| named == method)
    }

    /// What the next operation of a method meets.
    pub(crate) fn take(&self, method: &str) -> Option<(OperationFault, FaultHandle)> {
        let mut faults = lock(&self.0);
        let place = faults.iter().position(|(named, ..)| named == method)?;
        let (_, fault, handle) = faults.remove(place);
        handle.strike();
        Some((fault, handle))
    }
}

/// How far an operation is, as those who poll see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Done,
}

/// How an operation ends: what it gives, or why it gives nothing.
pub(crate) type Outcome = Result<Value, Failure>;

/// An operation.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    /// The project and whatever else a service wants to know of it later.
    pub(crate) facts: Value,
    pub(crate) principal: String,
    pub(crate) inserted: Timestamp,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    asked: bool,
    /// So many more times it is shown as running at least.
    shown_running: u32,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    outcome: Option<Outcome>,
}

/// What a look at an operation shows.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// There when the phase is done.
    pub(crate) outcome: Option<Outcome>,
}

impl Operation {
    /// True while its work goes on, or waits.
    pub(crate) fn is_at_work(&self) -> bool {
        lock(&self.progress).outcome.is_none()
    }

    /// How it ended, whatever those who poll have seen of it.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        lock(&self.progress).outcome.clone()
    }

    /// When its work began and ended, whatever those who poll have seen of it.
    pub(crate) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let progress = lock(&self.progress);
        (progress.started, progress.ended)
    }

    /// What whoever began it sees, and whoever lists it.
    pub(crate) fn look(&self) -> Seen {
        lock(&self.progress).seen()
    }

    /// What whoever asks for it sees. It is shown as running for some times, however fast it is.
    pub(crate) fn poll(&self) -> Seen {
        let mut progress = lock(&self.progress);
        progress.asked = true;
        let seen = progress.seen();
        progress.shown_running = progress.shown_running.saturating_sub(1);
        seen
    }
}

impl Progress {
    fn seen(&self) -> Seen {
        let phase = match &self.outcome {
            _ if !self.asked => Phase::Pending,
            Some(_) if self.shown_running == 0 => Phase::Done,
            _ => Phase::Running,
        };
        let done = phase == Phase::Done;
        let running = phase != Phase::Pending;
        Seen {
            phase,
            started: self.started.filter(|_| running),
            ended: self.ended.filter(|_| done),
            outcome: self.outcome.clone().filter(|_| done),
        }
    }
}

/// The operations of a service, in the order of their beginnings.
#[derive(Debug, Default)]
pub(crate) struct Operations(Mutex<Vec<Arc<Operation>>>);

impl Operations {
    /// Begins an operation for a call. The work goes on whether or not anybody polls; a fault that
    /// a test set for the method is met by it.
    pub(crate) fn begin(
        &self,
        state: &State,
        call: &Call,
        facts: Value,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Arc<Operation> {
        let operation = Arc::new(Operation {
            id: Uuid::new_v4().to_string(),
            facts,
            principal: call.principal.clone(),
            inserted: Timestamp::now(),
            progress: Mutex::new(Progress {
                shown_running: state.shown_running,
                ..Progress::default()
            }),
        });
        lock(&self.0).push(operation.clone());
        let fault = state.operation_faults.take(&call.method);
        tokio::spawn(run(operation.clone(), fault, work));
        operation
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Operation>> {
        let operations = lock(&self.0);
        operations.iter().find(|it| it.id == id).cloned()
    }

    /// Those whose facts are so.
    pub(crate) fn list(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Arc<Operation>> {
        let operations = lock(&self.0);
        let wanted = operations.iter().filter(|it| wanted(&it.facts));
        wanted.cloned().collect()
    }
}

async fn run(
    operation: Arc<Operation>,
    fault: Option<(OperationFault, FaultHandle)>,
    work: impl Future<Output = Outcome> + Send + 'static,
) {
    let mut failure = None;
    lock(&operation.progress).started = Some(Timestamp::now());
    match fault {
        Some((OperationFault::Never, _)) => return,
        Some((OperationFault::Hold, handle)) => handle.released().await,
        Some((OperationFault::Fail(why), _)) => return end(&operation, Err(why)),
        Some((OperationFault::FailAfter(why), _)) => failure = Some(why),
        None => {}
    }
    // What panics has failed, and does not leave others waiting.
    let worked = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    let outcome = worked.unwrap_or_else(|_| {
        let message = "the server's own code panicked";
        Err(Failure::new("INTERNAL_ERROR", message))
    });
    end(&operation, failure.map_or(outcome, Err));
}

fn end(operation: &Operation, outcome: Outcome) {
    let mut progress = lock(&operation.progress);
    progress.ended = Some(Timestamp::now());
    progress.outcome = Some(outcome);
}
