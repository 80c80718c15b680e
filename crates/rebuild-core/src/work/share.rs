//! The share of one worker.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::folder::{Posted, WorkFolder, over};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::RunId;

/// How often a worker looks for a task that is not posted yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The share of one worker, in one attempt.
#[derive(Clone, Debug)]
pub struct Share {
    folder: WorkFolder,
    posted: Posted,
    index: u32,
    attempt: String,
}

impl Share {
    /// The share of the worker `index`. The task is waited for as long as `wait`: an engine may
    /// start the workers before the coordinator has posted it.
    ///
    /// # Errors
    /// There is no such work, or it is over; it has not so many workers; it was posted by another
    /// version of rebuild; the store could not be read.
    pub async fn find(ctx: &Ctx, folder: WorkFolder, index: u32, wait: Duration) -> Result<Self> {
        let deadline = Instant::now() + wait;
        let posted = loop {
            if let Some(posted) = folder.posted().await? {
                break posted;
            }
            if Instant::now() >= deadline {
                return Err(over(folder.id()));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = ctx.stop.cancelled() => ctx.check_stop("waiting for the work")?,
            }
        };
        if index >= posted.head.workers {
            return Err(Error::usage(format!(
                "work {} has {} workers, numbered from 0, so there is no worker {index}",
                folder.id(),
                posted.head.workers
            )));
        }
        let attempt = uuid::Uuid::now_v7().simple().to_string();
        Ok(Self {
            folder,
            posted,
            index,
            // The end of it is what is random.
            attempt: attempt[attempt.len() - ATTEMPT..].to_owned(),
        })
    }

    /// What kind of work it is.
    pub fn kind(&self) -> &str {
        &self.posted.head.posting.kind
    }

    /// The run of the coordinator.
    pub fn run(&self) -> &RunId {
        &self.posted.head.run
    }

    /// The number of the worker, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The name of this attempt: it must be in the name of whatever the attempt writes.
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    /// True if an earlier attempt has done the share.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn is_done(&self) -> Result<bool> {
        self.folder.has_result(self.index).await
    }

    pub(super) fn digest(&self) -> &str {
        &self.posted.digest
    }

    /// What is to be done by all.
    pub(crate) fn task<T: DeserializeOwned>(&self) -> Result<T> {
        self.posted.task()
    }

    /// Makes sure that the work is not over.
    ///
    /// # Errors
    /// A refusal if it is; the store could not be read.
    pub(crate) async fn require_open(&self) -> Result<()> {
        self.folder.require_open().await
    }

    /// Leaves the result; false if another attempt has left one, which is the one that counts.
    ///
    /// # Errors
    /// The work is over; the store could not be written.
    pub(crate) async fn leave(&self, result: &impl Serialize) -> Result<bool> {
        // A result that is left behind a work that is over would stay for ever.
        self.require_open().await?;
        match self.folder.leave(self, result).await {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Refused => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// How long the name of an attempt is.
const ATTEMPT: usize = 12;

/// True if `text` can be the name of an attempt.
pub(crate) fn is_attempt(text: &str) -> bool {
    text.len() == ATTEMPT && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(all(test, feature = "postgres"))]
mod tests;
