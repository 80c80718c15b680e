//! Putting the rows back.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};

/// Data of a backup that has no place in the schema it is restored into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unplaced {
    /// The table.
    pub table: TableName,
    /// The column, or `None` when the whole table has no place.
    pub column: Option<String>,
    /// Rows that carry data there.
    pub rows: u64,
    /// Why it has none, where the schema has a column of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a restore would do, found without doing it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreOutline {
    /// Tables whose rows would be restored.
    pub tables: Vec<TableName>,
    /// Columns of the schema that the backup does not know; they get their default:
    /// (table, column).
    pub new_columns: Vec<(TableName, String)>,
    /// Data that has no place.
    pub unplaced: Vec<Unplaced>,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreReport {
    /// Tables restored.
    pub tables: u64,
    /// Rows restored.
    pub rows: u64,
    /// Large objects restored.
    pub large_objects: u64,
    /// Data that was left out because the spec allows it.
    pub left_out: Vec<Unplaced>,
}

/// Restores rows into a database that has its schema.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Restorer: Send + Sync {
    /// What a restore of `backup` into `db` would do.
    ///
    /// # Errors
    /// The backup or the database could not be read.
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline>;

    /// Restores the rows, large objects and sequences, then whatever part of the schema comes
    /// after the rows.
    ///
    /// *Repeats:* rows that an earlier, broken call left in `db` are replaced.
    /// *Destroys:* the rows of the restored tables of `db`; it is only ever called on a database
    /// that this run made.
    ///
    /// # Errors
    /// A refusal if data has no place and the spec does not allow it to be left out, or if a
    /// chunk is damaged; the server failed.
    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport>;

    /// What comes once no more rows are added: materialised views are refreshed, each after what
    /// it reads, and the planner's statistics are gathered.
    ///
    /// *Repeats:* does it again. *Destroys:* nothing.
    ///
    /// # Errors
    /// The server failed.
    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()>;
}
