//! Works whose coordinator was killed.

use jiff::{SignedDuration, Timestamp};

use super::WorkId;
use super::folder::{Posting, WorkFolder};
use crate::error::Result;
use crate::model::RunId;
use crate::store::Store;

/// No coordinator that is alive is taken for dead because of a clock that is wrong by less.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// A coordinator without a session on any server is only known by how long it waits.
const VERY_OLD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A work that may be left behind.
pub(crate) struct Left {
    folder: WorkFolder,
    run: RunId,
    posting: Posting,
}

/// The works in `store` that are so old at `now` that their coordinators may have been killed. `untold`
/// hears of those that cannot be read.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn works_left(
    store: &Store,
    now: Timestamp,
    mut untold: impl FnMut(&WorkId, &str),
) -> Result<Vec<Left>> {
    let mut left = Vec::new();
    for folder in WorkFolder::all(store).await? {
        let head = match folder.posted().await {
            Ok(Some(posted)) => posted.head,
            Ok(None) => continue,
            Err(e) => {
                untold(folder.id(), &e.chain());
                continue;
            }
        };
        let least = if head.posting.servers.is_empty() {
            VERY_OLD
        } else {
            OLD
        };
        let old = |made: Timestamp| now.duration_since(made) >= least;
        if head.run.made_at().is_some_and(old) {
            left.push(Left {
                folder,
                run: head.run,
                posting: head.posting,
            });
        }
    }
    Ok(left)
}

impl Left {
    /// Its name.
    pub(crate) fn id(&self) -> &WorkId {
        self.folder.id()
    }

    /// The run of its coordinator.
    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    /// What is known of it.
    pub(crate) fn posting(&self) -> &Posting {
        &self.posting
    }

    /// Removes it: workers that come to it later find nothing.
    ///
    /// # Errors
    /// The store could not be written.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.folder.clear().await
    }
}
