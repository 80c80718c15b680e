//! Requests that must not have their effect twice.

use std::time::Duration;

use google_cloud_gax::error::Error as ApiError;
use tokio::time::Instant;

use super::failure::is_passing;
use super::{Google, GoogleApi};
use crate::error::Result;
use crate::event::Ctx;

/// How long such a request is tried for.
const TRIED_FOR: Duration = Duration::from_secs(120);
/// How long one waits before one looks whether a request without an answer had its effect. A list may
/// lag behind.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(20);

impl Google {
    /// Makes a request that must not have its effect twice. `look` says whether it has had it: it is asked
    /// before each try, so an answer that was lost does no harm.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and those of `look`.
    pub(crate) async fn ask_once<T, L, F>(
        &self,
        ctx: &Ctx,
        api: GoogleApi,
        what: &str,
        look: impl Fn() -> L,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        L: Future<Output = Result<Option<T>>>,
        F: Future<Output = Result<T, ApiError>>,
    {
        let deadline = Instant::now() + TRIED_FOR;
        let mut pause = SOONEST;
        loop {
            if let Some(done) = look().await? {
                return Ok(done);
            }
            let asked = self.asked_now(&request).await;
            let error = match asked {
                Ok(done) => return Ok(done),
                Err(e) if is_passing(&e) && Instant::now() + pause < deadline => e,
                Err(e) => return Err(self.refusal(api, what, &e)),
            };
            tracing::debug!(what, %api, %error, ?pause, "looking, and asking again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = ctx.stop.cancelled() => ctx.check_stop(what)?,
            }
            pause = (pause * 2).min(LATEST);
        }
    }
}
