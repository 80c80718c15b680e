//! Rows of the old database that outlive its replacement.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Identity, TableName};

/// What was put back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutBack {
    /// Each table, in the order in which they were worked on.
    pub tables: Vec<PutBackTable>,
}

/// What was put back into one table. Each row that was selected is in one of the counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutBackTable {
    /// The table.
    pub table: TableName,
    /// Rows of the old database that were to outlive it.
    pub selected: u64,
    /// Rows that were not in the new database, and are now.
    pub inserted: u64,
    /// Rows that were in the new database with other values, and have those of the old one now.
    pub replaced: u64,
    /// Rows that were in the new database as they were in the old one.
    pub unchanged: u64,
    /// Rows that are not in the new database as they were in the old one, by reason.
    pub left_out: Vec<LeftOut>,
}

/// Rows that were not put back for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The reason; no row's data is in it.
    pub reason: String,
    /// How many.
    pub rows: u64,
}

/// Puts rows of the old database into the new one.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Preserver: Send + Sync {
    /// Puts the rows of `old` that outlive it into `db`, all of it or nothing. `old` is not
    /// changed.
    ///
    /// *Repeats:* rows that are there already are left as they are.
    /// *Destroys:* rows of `db` that the old ones replace; it is only ever called on a database
    /// that this run made.
    ///
    /// # Errors
    /// A table is not there, or has changed since the plan; the server failed. A row that cannot
    /// be put back is no error but in the report.
    async fn put_back(&self, ctx: &Ctx, old: &Identity, db: &Identity) -> Result<PutBack>;
}
