//! Taking and proving copies of the data.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DestroyPermit;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};

/// How much a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupMode {
    /// Schema, rows, large objects, sequences, settings. The only mode that can license the
    /// destruction of anything.
    #[default]
    Full,
    /// The schema and the settings, no rows.
    SchemaOnly,
    /// The number of rows of each table, for reference.
    CountsOnly,
}

/// A finished backup, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSummary {
    /// Its id.
    pub id: BackupId,
    /// What it is a backup of.
    pub of: Identity,
    /// How much it holds.
    pub mode: BackupMode,
    /// When its snapshot was taken, by this machine's clock.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// Tables whose rows it holds (or counts).
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
}

/// Takes, lists, proves and removes backups.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Backup: Send + Sync {
    /// The finished backups of this target, newest first. An unfinished one is not among them; of one that
    /// cannot be read, an event warns.
    ///
    /// # Errors
    /// The store could not be read.
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>>;

    /// Takes the backup `id` of `target`.
    ///
    /// *Repeats:* a finished backup of that id is returned as it is; an unfinished one is thrown
    /// away and taken again, for its snapshot is gone.
    /// *Destroys:* nothing but an unfinished backup of the same id.
    ///
    /// # Errors
    /// The target is not what `target` says; the rows could not be read whole (row-level
    /// security, rights); the store failed. A failed backup has no manifest.
    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary>;

    /// Reads the whole backup back and says whether it is what its manifest claims, and whether
    /// it is plausible as a copy of what it was taken of.
    ///
    /// *Repeats:* reads again. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is no such finished backup, or the store could not be read. Damage is no error
    /// but a failed check.
    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)>;

    /// Removes the backup `id`.
    ///
    /// *Repeats:* a backup that is gone is no error.
    /// *Destroys:* that copy of the data.
    ///
    /// # Errors
    /// The store could not be written.
    async fn remove(&self, ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()>;
}
