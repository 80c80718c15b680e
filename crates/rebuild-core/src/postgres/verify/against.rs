//! What a database is compared with.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};

/// Picks tables, for example those that may differ.
pub type Picks<'a> = &'a (dyn Fn(&TableName) -> bool + Send + Sync);

/// How the rows of a database compare with those of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentReport {
    /// How many tables were read.
    pub tables: u64,
    /// How many rows they hold in the database.
    pub rows: u64,
    /// One line for each table that differs: what was expected and what was found.
    pub differing: Vec<String>,
}

/// Backups, as far as a verification needs to know them.
#[async_trait]
pub trait BackedUp: Send + Sync {
    /// How many rows each table of the backup has that belong to one table of the database `db`: a
    /// table's own, without those of tables that inherit from it; for a partitioned table, those
    /// of all its partitions.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing.
    ///
    /// # Errors
    /// The backup or the database cannot be read.
    async fn counts(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
    ) -> Result<Vec<(TableName, u64)>>;

    /// Compares every row of the database `db` with the backup, but for the tables that `except`
    /// picks.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing.
    ///
    /// # Errors
    /// The backup or the database cannot be read. A difference is no error.
    async fn differences(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport>;
}
