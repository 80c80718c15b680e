//! Faults that calls meet.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::ApiError;

/// What happens to some calls. What it does not name it does not look at.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The method's id, such as `sql.instances.get`, or the start of it followed by `*`. The token
    /// endpoint is `oauth2.token`, the metadata server `metadata`.
    pub method: String,
    /// A part of the path, such as `/instances/db`.
    pub path: String,
    /// So many matching calls go through first.
    pub skip: u32,
    /// So many are struck after that.
    pub times: u32,
    /// What happens to them.
    pub strike: Strike,
}

impl Fault {
    /// A fault that strikes the first call of a method.
    pub fn once(method: &str, strike: Strike) -> Self {
        Self {
            method: method.to_owned(),
            path: String::new(),
            skip: 0,
            times: 1,
            strike,
        }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let named = match self.method.strip_suffix('*') {
            Some(start) => method.starts_with(start),
            None => self.method == method,
        };
        named && path.contains(&self.path)
    }
}

/// What a fault does to a call.
#[derive(Debug, Clone)]
pub enum Strike {
    /// It is answered with this error and has no effect.
    Answer(ApiError),
    /// The connection is closed, and the call has no effect.
    CloseBefore,
    /// The call has its effect, and the connection is closed in place of the answer.
    CloseAfter,
    /// The call has its effect, and the answer is only the first half of its text.
    Truncate,
    /// The call has its effect, and the connection is closed in the middle of the answer.
    CutAnswer,
    /// The call waits until [`FaultHandle::release`], and then goes on.
    Hold,
    /// The call has its effect, and the answer waits until [`FaultHandle::release`].
    HoldAnswer,
    /// All tokens expire, and then the call is looked at.
    ExpireTokens,
}

impl Strike {
    /// True if it strikes when the call has had its effect.
    fn follows_effect(&self) -> bool {
        use Strike::{CloseAfter, CutAnswer, HoldAnswer, Truncate};
        matches!(self, CloseAfter | CutAnswer | HoldAnswer | Truncate)
    }

    /// An answer with this HTTP code and the message `message`.
    pub fn answer(code: u16, message: &str) -> Self {
        Self::Answer(ApiError::new(code, message))
    }
}

/// Says how often a fault has struck.
#[derive(Debug, Clone)]
pub struct FaultHandle(Arc<Signals>);

#[derive(Debug)]
struct Signals {
    struck: watch::Sender<u32>,
    released: watch::Sender<bool>,
}

impl FaultHandle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Signals {
            struck: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }))
    }

    /// How often it has struck so far.
    pub fn struck(&self) -> u32 {
        *self.0.struck.borrow()
    }

    /// Waits until it has struck.
    pub async fn strikes(&self) {
        // The sender lives as long as this handle.
        let _ = self.0.struck.subscribe().wait_for(|times| *times > 0).await;
    }

    /// Lets go of the calls that it holds, and of those that it would hold.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// Counts a strike.
    pub(crate) fn strike(&self) {
        self.0.struck.send_modify(|times| *times += 1);
    }

    /// Waits for [`FaultHandle::release`].
    pub(crate) async fn released(&self) {
        let _ = self
            .0
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }
}

/// The faults of a server.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, FaultHandle)>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultHandle {
        let handle = FaultHandle::new();
        self.0.push((fault, handle.clone()));
        handle
    }

    /// What strikes a call, if anything does; the oldest fault that matches is used up first.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<(Strike, FaultHandle)> {
        let mut faults = self.0.iter_mut();
        let (fault, handle) =
            faults.find(|(fault, _)| fault.times > 0 && fault.matches(method, path))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        if !fault.strike.follows_effect() {
            handle.strike();
        }
        Some((fault.strike.clone(), handle.clone()))
    }
}

/// What is left of a strike when the call has had its effect.
pub(crate) fn after_effect(struck: Option<(Strike, FaultHandle)>) -> Option<(Strike, FaultHandle)> {
    let (strike, handle) = struck.filter(|(strike, _)| strike.follows_effect())?;
    handle.strike();
    Some((strike, handle))
}
