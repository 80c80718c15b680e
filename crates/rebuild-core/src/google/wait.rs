//! Waiting for something in Google Cloud. Nothing there tells when it changes, so one looks.

use std::time::Duration;

use tokio::time::Instant;

use super::Google;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;

/// How soon one looks again, at first and in the end.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(10);

/// What one saw.
pub enum Seen<T> {
    /// What was waited for.
    Done(T),
    /// Not yet, and how it stands; or empty.
    NotYet(String),
}

impl Google {
    /// Looks until `look` has seen what is waited for, less and less often. Each new word on how it stands
    /// is told.
    ///
    /// # Errors
    /// [`ErrorKind::Deadline`] with how it stood; `look` failed, other than by not reaching the API; the
    /// operator stopped.
    pub(crate) async fn wait<T, F>(
        &self,
        ctx: &Ctx,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<Seen<T>>>,
    {
        let deadline = Instant::now() + limit;
        let mut pause = SOONEST;
        let mut told = String::new();
        loop {
            let seen = match look().await {
                // An API that is away comes back, or the time runs out.
                Err(e) if matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Deadline) => {
                    Seen::NotYet(e.chain())
                }
                seen => seen?,
            };
            match seen {
                Seen::Done(done) => return Ok(done),
                Seen::NotYet(how) if how != told => {
                    if !how.is_empty() {
                        ctx.events.info(format!("{what}: {how}"));
                    }
                    told = how;
                }
                Seen::NotYet(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(late(what, limit, &told));
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(Instant::now() + pause)) => {}
                () = ctx.stop.cancelled() => ctx.check_stop(what)?,
            }
            pause = (pause * 3 / 2).min(LATEST);
        }
    }
}

fn late(what: &str, limit: Duration, how: &str) -> Error {
    let message = format!("{what} took longer than {limit:?}");
    match how {
        "" => Error::new(ErrorKind::Deadline, message),
        how => Error::new(ErrorKind::Deadline, format!("{message}: {how}")),
    }
}
