//! Giving a database its schema.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity};

/// A SQL file of the schema or the fixtures, with its contents at some time: when it was applied, or
/// now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedFile {
    /// The file's path relative to the spec.
    pub path: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub checksum: String,
}

/// Where a database's schema stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaState {
    /// Every file that a new database would get, in order, with the checksum it has now. Empty
    /// where the schema does not come from files.
    #[serde(default)]
    pub files: Vec<AppliedFile>,
    /// Files applied, in order.
    pub applied: Vec<AppliedFile>,
    /// Files not applied yet, in order.
    pub pending: Vec<String>,
    /// Files whose content changed after they were applied.
    pub changed: Vec<String>,
    /// The migration tool found, and the version it records: (`alembic`, `3f2a…`).
    pub migration: Option<(String, String)>,
}

/// What an application of the schema did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaApplied {
    /// Files applied in this call, in order.
    pub applied: Vec<AppliedFile>,
    /// Statements executed in this call.
    pub statements: u64,
    /// The migration tool and version found afterwards.
    pub migration: Option<(String, String)>,
}

/// Applies the schema to a database.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SchemaApplier: Send + Sync {
    /// Where the schema of `db` stands.
    ///
    /// # Errors
    /// The server could not be asked, or the sources could not be read.
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState>;

    /// Brings `db` to the newest schema. `backup` is where the schema comes from when the spec
    /// says `schema.source = "backup"`.
    ///
    /// *Repeats:* what was applied with the same checksum is skipped; a file left half applied
    /// outside a transaction is a refusal.
    /// *Destroys:* whatever the files say; it is only ever called on a staged database.
    ///
    /// # Errors
    /// A file could not be read or has a psql command in it (with file and line); a statement
    /// failed (with file, line, and the server's message and position).
    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied>;
}
