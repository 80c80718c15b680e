//! What every act of a backend is given.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{EventKind, Events};
use crate::error::{Error, ErrorKind, Result};
use crate::model::RunId;

/// The run an act belongs to, where to tell of it, and when to stop.
#[derive(Clone)]
pub struct Ctx {
    /// The run. Names made for the run are derived from it; sessions carry it in
    /// `application_name`.
    pub run: RunId,
    /// Where progress goes.
    pub events: Events,
    /// Cancelled when the operator wants to leave at once. A step that is safe to leave half
    /// done returns [`ErrorKind::Interrupted`] soon after; one that is not finishes first.
    pub stop: CancellationToken,
}

impl Ctx {
    /// A context for `run` that reports to `events`.
    pub fn new(run: RunId, events: Events) -> Self {
        Self {
            run,
            events,
            stop: CancellationToken::new(),
        }
    }

    /// A context with no watcher, for look-ups and tests.
    pub fn quiet() -> Self {
        Self::new(RunId::generate(), Events::none())
    }

    /// Runs `work` until it is done, the deadline passes, or the operator stops.
    ///
    /// # Errors
    /// [`ErrorKind::Deadline`] when `limit` passes first (the outcome of `work` may then be
    /// unknown), [`ErrorKind::Interrupted`] when the operator stops first.
    pub async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = tokio::time::sleep(limit) => Err(Error::new(
                ErrorKind::Deadline,
                format!("{what} did not end within {limit:?}"),
            )),
            () = self.stop.cancelled() => Err(interrupted(what)),
        }
    }

    /// Does `work` and tells when it begins and how it ends, as the steps of a run are told of.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step<T>(
        &self,
        step: &str,
        title: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        self.events.send(EventKind::StepStarted {
            step: step.to_owned(),
            title: title.to_owned(),
        });
        let done = work.await;
        self.events.send(match &done {
            Ok(_) => EventKind::StepFinished {
                step: step.to_owned(),
                seconds: began.elapsed().as_secs_f64(),
            },
            Err(e) => EventKind::StepFailed {
                step: step.to_owned(),
                error: e.chain(),
            },
        });
        done
    }

    /// Returns an error if the operator asked to leave at once.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`].
    pub fn check_stop(&self, what: &str) -> Result<()> {
        if self.stop.is_cancelled() {
            Err(interrupted(what))
        } else {
            Ok(())
        }
    }
}

fn interrupted(what: &str) -> Error {
    Error::new(
        ErrorKind::Interrupted,
        format!("{what} was stopped by the operator"),
    )
}
