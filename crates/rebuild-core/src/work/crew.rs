//! Whoever starts the workers.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::folder::{Counted, Posting, WorkFolder};
use super::{MOST_WORKERS, WorkId};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ctx, Unit};
use crate::store::Store;

/// How often one looks for results that nobody announces.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Workers, and whoever starts them.
#[async_trait]
pub trait Crew: Send + Sync {
    /// How many there are: numbers from 0 to one less.
    fn size(&self) -> NonZeroU32;

    /// The name of the work that they do.
    fn work(&self) -> &WorkId;

    /// Has every share of the work, which is posted, done. When this returns, no worker is needed
    /// any more: each has left its result, or has ended without one.
    ///
    /// *Repeats:* not called twice for one work. *Destroys:* nothing.
    ///
    /// # Errors
    /// A worker failed for good; the deadline passed; the operator stopped.
    async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()>;
}

/// Workers that somebody else starts, and whose results are waited for.
#[derive(Clone, Debug)]
pub struct AwaitedCrew {
    /// How many there are.
    pub size: NonZeroU32,
    /// The name of the work, by which they find it.
    pub work: WorkId,
    /// How long they may take in all.
    pub limit: Duration,
}

#[async_trait]
impl Crew for AwaitedCrew {
    fn size(&self) -> NonZeroU32 {
        self.size
    }

    fn work(&self) -> &WorkId {
        &self.work
    }

    async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()> {
        let (id, size) = (&self.work, self.size.get());
        ctx.events.info(format!(
            "work {id} waits for {size} workers: rebuild worker --work {id} --index 0 … {}",
            size - 1
        ));
        let deadline = Instant::now() + self.limit;
        loop {
            let done = folder.results(size).await?;
            ctx.events
                .progress("workers", done.into(), Some(size.into()), Unit::Items);
            if done == size {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::Deadline,
                    format!(
                        "{done} of the {size} workers of work {id} left a result within {:?}",
                        self.limit
                    ),
                )
                .hint("look at the logs of the others"));
            }
            let pause = tokio::time::sleep(left.min(LOOK_EVERY));
            tokio::select! {
                () = pause => {}
                () = ctx.stop.cancelled() => ctx.check_stop("waiting for the workers")?,
            }
        }
    }
}

/// Posts `task`, has `crew` do it, and brings the results, one of each worker in their order. What
/// was posted is removed at the end, whatever it is.
///
/// # Errors
/// The crew failed; a result is missing, damaged, or of something else; the store failed.
pub(crate) async fn share_out<R: DeserializeOwned>(
    ctx: &Ctx,
    crew: &dyn Crew,
    store: &Store,
    posting: &Posting,
    task: &impl Serialize,
) -> Result<Vec<Counted<R>>> {
    let size = crew.size().get();
    if size > MOST_WORKERS {
        return Err(Error::usage(format!(
            "{size} workers are more than {MOST_WORKERS}"
        )));
    }
    let folder = WorkFolder::new(store.clone(), crew.work().clone());
    let digest = folder.post(posting, &ctx.run, size, task).await?;
    let done = async {
        crew.run(ctx, &folder).await?;
        let mut results = Vec::new();
        for index in 0..size {
            results.push(folder.result(&digest, index).await?);
        }
        Ok(results)
    };
    let done = done.await;
    match (done, folder.clear().await) {
        (Ok(results), Ok(())) => Ok(results),
        (Err(e), cleared) => {
            if let Err(left) = cleared {
                ctx.events.warn(format!(
                    "work/{} was left behind: {}",
                    crew.work(),
                    left.chain()
                ));
            }
            Err(e)
        }
        // While the task is there, a lost worker may still write.
        (Ok(_), Err(e)) => Err(e),
    }
}
