//! After-steps: jobs, backfills, smoke commands.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::Identity;

/// Something to do once the new database is in service.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Task: Send + Sync {
    /// Its name in the spec.
    fn name(&self) -> String;

    /// Does it and waits for its end. `db` is the database in service.
    ///
    /// *Repeats:* runs again; a task that must not run twice guards itself.
    ///
    /// # Errors
    /// It failed or did not end within its deadline.
    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()>;
}
