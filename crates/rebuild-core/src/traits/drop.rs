//! Dropping a database by another way than SQL.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;

/// The last act of a [`purge`](super::Teardown::purge), where not the teardown itself is to do it.
#[async_trait]
pub trait DropDatabase: Send + Sync {
    /// Drops the database that is called `name` now. The caller has set it apart: the name is one that
    /// nothing else can mean, and the caller looks afterwards whether it is gone.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* the database.
    ///
    /// # Errors
    /// It may not be dropped; what drops it failed, or did not end in time.
    async fn drop_database(&self, ctx: &Ctx, name: &str) -> Result<()>;
}
