//! Waiting for something in Google Cloud. Nothing there tells when it changes, so one looks.

use std::time::Duration;

use tokio::time::Instant;

use super::Google;
use crate::error::Result;
use crate::event::{Ctx, Seen, Waiting};

/// How soon one looks again, at first and in the end.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(10);

impl Google {
    /// Looks until `look` has seen what is waited for, less and less often. Each new word on how it stands
    /// is told.
    ///
    /// # Errors
    /// `ErrorKind::Deadline` with how it stood; `look` failed, other than by not reaching the API; the
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
        let mut waiting = Waiting::new(ctx, what, limit);
        let mut pause = SOONEST;
        loop {
            if let Some(done) = waiting.see(look().await)? {
                return Ok(done);
            }
            let now = Instant::now();
            if now >= waiting.deadline {
                return Err(waiting.late());
            }
            tokio::select! {
                () = tokio::time::sleep_until(waiting.deadline.min(now + pause)) => {}
                () = ctx.stop.cancelled() => ctx.check_stop(what)?,
            }
            pause = (pause * 3 / 2).min(LATEST);
        }
    }
}
