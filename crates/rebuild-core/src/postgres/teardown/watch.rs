//! Whether rows were written since a point in time.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::postgres::Session;

/// Tells whether a database was written to.
///
/// Marks are cheap: the server's own counters, read in one query. They may move without a change
/// of content (an aborted transaction counts), and never the other way round, so a moved mark is
/// followed by a comparison of contents where there is time for one.
#[async_trait]
pub trait WriteWatch: Send + Sync {
    /// The marks of the database that `session` is in.
    ///
    /// # Errors
    /// The server could not be asked.
    async fn marks(&self, session: &Session) -> Result<serde_json::Value>;

    /// The tables whose marks moved since `since`, or that it cannot be told.
    ///
    /// # Errors
    /// The server could not be asked, or `since` is not what [`marks`](Self::marks) gave.
    async fn moved(&self, session: &Session, since: &serde_json::Value) -> Result<Vec<String>>;

    /// The tables of `target` whose content is no longer what `backup` holds. Marks decide which
    /// tables are read.
    ///
    /// # Errors
    /// The server or the backup could not be read.
    async fn changed_since(
        &self,
        ctx: &Ctx,
        target: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<String>>;
}
