//! Waiting for something that is looked at again and again.

use std::time::Duration;

use tokio::time::Instant;

use super::Ctx;
use crate::error::{Error, ErrorKind, Result};

/// What one saw.
pub(crate) enum Seen<T> {
    /// What was waited for.
    Done(T),
    /// Not yet, and how it stands; or empty.
    NotYet(String),
}

#[cfg(any(feature = "k8s", feature = "cloudsql"))]
impl Seen<()> {
    /// Of asking a server that is to answer: its refusals end the wait, and anything else passes.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn of_answer<T>(answer: Result<T>) -> Result<Self> {
        match answer {
            Ok(_) => Ok(Self::Done(())),
            Err(e) if matches!(e.kind(), ErrorKind::Refused | ErrorKind::Usage) => Err(e),
            Err(e) => Ok(Self::NotYet(e.chain())),
        }
    }
}

/// A wait with a deadline. Each new word on how it stands is told.
pub(crate) struct Waiting<'a> {
    ctx: &'a Ctx,
    what: &'a str,
    limit: Duration,
    /// When it is over.
    pub(crate) deadline: Instant,
    told: String,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(ctx: &'a Ctx, what: &'a str, limit: Duration) -> Self {
        Self {
            ctx,
            what,
            limit,
            deadline: Instant::now() + limit,
            told: String::new(),
        }
    }

    /// What was waited for, if `seen` is that. An API that is away comes back, or the time runs out.
    ///
    /// # Errors
    /// Those of the look, other than that the API was not reached.
    pub(crate) fn see<T>(&mut self, seen: Result<Seen<T>>) -> Result<Option<T>> {
        let how = match seen {
            Ok(Seen::Done(done)) => return Ok(Some(done)),
            Ok(Seen::NotYet(how)) => how,
            Err(e) if matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Deadline) => e.chain(),
            Err(e) => return Err(e),
        };
        if how != self.told {
            if !how.is_empty() {
                self.ctx.events.info(format!("{}: {how}", self.what));
            }
            self.told = how;
        }
        Ok(None)
    }

    /// The error of a wait that was too long, with how it stood.
    pub(crate) fn late(&self) -> Error {
        let message = format!("{} took longer than {:?}", self.what, self.limit);
        match &*self.told {
            "" => Error::new(ErrorKind::Deadline, message),
            how => Error::new(ErrorKind::Deadline, format!("{message}: {how}")),
        }
    }
}
