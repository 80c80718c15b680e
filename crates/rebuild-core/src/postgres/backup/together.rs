//! Parts of one work that run at the same time and end together.
//!
//! A part that is simply dropped may leave a write behind that still takes place. So when one
//! part fails, the others are asked to stop, and are waited for.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;

/// What the parts are given, and how they are stopped.
pub(super) struct Together {
    /// The context for every part: it stops when one of them fails.
    pub(super) ctx: Ctx,
    stop: CancellationToken,
}

impl Together {
    /// Parts of what is done in `ctx`.
    pub(super) fn new(ctx: &Ctx) -> Self {
        let stop = ctx.stop.child_token();
        let ctx = Ctx {
            stop: stop.clone(),
            ..ctx.clone()
        };
        Self { ctx, stop }
    }

    /// One part: should it fail, the others stop.
    ///
    /// # Errors
    /// Those of `part`.
    pub(super) async fn part<T>(&self, part: impl Future<Output = Result<T>>) -> Result<T> {
        let done = part.await;
        if done.is_err() {
            self.stop.cancel();
        }
        done
    }

    /// Waits for every worker; should one fail, the others stop.
    ///
    /// # Errors
    /// The first error, as by [`first_failure`].
    pub(super) async fn workers<T: 'static>(
        &self,
        mut workers: JoinSet<Result<T>>,
    ) -> Result<Vec<T>> {
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        while let Some(ended) = workers.join_next().await {
            let ended =
                ended.unwrap_or_else(|e| Err(Error::internal("a worker ended early").caused_by(e)));
            match self.part(async { ended }).await {
                Ok(result) => results.push(result),
                Err(e) => failures.push(e),
            }
        }
        first_failure(failures).map_or(Ok(results), Err)
    }
}

/// Of several failures the one to show: the first that is not merely about having been stopped.
pub(super) fn first_failure(failures: impl IntoIterator<Item = Error>) -> Option<Error> {
    let mut failures: Vec<Error> = failures.into_iter().collect();
    let at = failures
        .iter()
        .position(|e| e.kind() != ErrorKind::Interrupted);
    match at {
        Some(at) => Some(failures.swap_remove(at)),
        None => failures.pop(),
    }
}

/// Both results, or the failure to show.
///
/// # Errors
/// Either's.
pub(in crate::postgres) fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (a, b) => Err(first_failure([a.err(), b.err()].into_iter().flatten())
            .unwrap_or_else(|| Error::internal("a failure without an error"))),
    }
}
