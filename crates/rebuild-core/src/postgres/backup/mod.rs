//! Backups: taking, listing, checking and removing them.
//!
//! A backup is a folder of plain files in the store: the schema as pg_dump writes it, the rows of
//! every table as compressed COPY streams, what else belongs to the database, a script that
//! restores it all with psql and zstd, and last of all the manifest. A folder without a manifest
//! is no backup.

mod assemble;
mod check;
mod check_rows;
mod contents;
mod csv;
mod database_sql;
mod export;
mod files;
mod fingerprints;
mod held;
mod homes;
mod large_objects;
pub(crate) mod layout;
mod manifest;
mod picked;
mod readable;
mod roles;
mod rows_out;
mod schema_dump;
mod script;
mod shared;
mod shelf;
mod surroundings;
mod take;
#[cfg(test)]
mod tests;
mod text;
mod toc;
mod together;
pub(super) mod tools;
mod watch;
mod zstd_stream;

use std::path::PathBuf;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity, Verdict};
use crate::plan::ToolFacts;
use crate::postgres::rows::RowOptions;
use crate::postgres::{ClientTool, Environment};
use crate::store::Store;
use crate::traits::{Backup, BackupMode, BackupSummary, DestroyPermit};

pub(in crate::postgres) use assemble::tables_alone;
pub(in crate::postgres) use contents::public_rights_sql;
pub use export::ExportFormat;
pub use fingerprints::fingerprints;
pub(in crate::postgres) use fingerprints::{Compared, compare_rows};
pub(crate) use held::{Carry, Chooser, Held};
pub(in crate::postgres) use homes::homes;
pub(in crate::postgres) use large_objects::add_up;
pub use manifest::{
    ChunkEntry, ColumnEntry, FORMAT, FileEntry, LargeObjectEntry, Manifest, MatviewEntry,
    SequenceEntry, TableEntry,
};
pub(in crate::postgres) use picked::{Picks, add_up_picked};
pub use roles::{Membership, RoleEntry, roles_needed};
pub use shared::PgSharedBackup;
pub(crate) use shared::{BACKUP, CHECK};
pub(in crate::postgres) use shelf::Shelf;
pub(crate) use surroundings::{make_surroundings, require_roles};
pub(in crate::postgres) use together::both;

/// Backups of the databases of one server, in one store.
#[derive(Clone, Debug)]
pub struct PgBackup {
    endpoint: Endpoint,
    store: Store,
    options: RowOptions,
    tool_folder: Option<PathBuf>,
    environment: Environment,
    csv: bool,
}

impl PgBackup {
    /// Backups of databases on the server of `endpoint`, kept in `store`. pg_dump and pg_restore
    /// come from `tool_folder`; without one they are looked for where `environment` says and where
    /// packages put them.
    pub fn new(
        endpoint: Endpoint,
        store: Store,
        options: RowOptions,
        tool_folder: Option<PathBuf>,
        environment: Environment,
    ) -> Self {
        Self {
            endpoint,
            store,
            options,
            tool_folder,
            environment,
            csv: false,
        }
    }

    /// Whether backups also hold every table as CSV with a header, for people and other programs.
    #[must_use]
    pub fn with_csv(mut self, csv: bool) -> Self {
        self.csv = csv;
        self
    }

    /// The finished backups in the store, newest first: all of them, or none.
    ///
    /// # Errors
    /// One of them cannot be read, or the store could not be.
    pub(crate) async fn list_all(&self) -> Result<Vec<BackupSummary>> {
        self.shelf().list().await
    }

    /// The manifest of the finished backup `id`.
    ///
    /// # Errors
    /// There is no such finished backup, its manifest is damaged, or the store could not be read.
    pub async fn manifest(&self, id: &BackupId) -> Result<Manifest> {
        self.shelf().manifest(id).await
    }

    /// The manifest of the backup `id`, once it is known that a restore can begin: every file that
    /// it reads of the tables that `wanted` picks is there with its size, and its scripts have
    /// their checksums. The rows are compared with theirs as they are read, or beforehand by
    /// [`require_chunks`](Self::require_chunks).
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest); the backup holds no rows; a file is missing or damaged,
    /// which is named.
    pub async fn readable(
        &self,
        id: &BackupId,
        wanted: impl Fn(&TableEntry) -> bool,
    ) -> Result<Manifest> {
        let shelf = self.shelf();
        let manifest = shelf.manifest(id).await?;
        shelf.require_files(&manifest, wanted).await?;
        shelf.require_scripts(&manifest).await?;
        Ok(manifest)
    }

    /// Reads the rows of the tables that `wanted` picks, and compares every chunk with the checksum that
    /// `manifest` says.
    ///
    /// # Errors
    /// Chunks are damaged, each by its name; the store could not be read; the operator stopped.
    pub async fn require_chunks(
        &self,
        ctx: &Ctx,
        manifest: &Manifest,
        wanted: impl Fn(&TableEntry) -> bool,
    ) -> Result<()> {
        let jobs = self.options.jobs;
        let shelf = self.shelf();
        shelf.require_chunks(ctx, manifest, wanted, jobs).await
    }

    /// Writes the backup `id` into `folder` as files of `format`: a CSV file for each table, with
    /// `tables.json`, which says which is of which; or one file of SQL that psql loads into an
    /// empty database, and that holds the schema, the rows, large objects and roles. CSV files that
    /// the backup holds are taken as they are; others are made of its rows. The files are for this
    /// user alone. Returns them, without the list.
    ///
    /// All that is read is compared with the manifest. If it fails, no file is left.
    ///
    /// *Repeats:* a folder that is not empty is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// The backup has no rows (or, for SQL, no schema); something in it is missing or damaged, which
    /// is named; its rows are in an encoding that is not turned into UTF-8 here (for CSV); the folder
    /// is not empty or cannot be written.
    pub async fn export(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        folder: &std::path::Path,
        format: ExportFormat,
    ) -> Result<Vec<PathBuf>> {
        let manifest = self.manifest(id).await?;
        export::export(ctx, &self.shelf(), &manifest, folder, format).await
    }

    /// The programs that backups are taken and restored with, for the plan.
    ///
    /// # Errors
    /// One of them is missing.
    pub async fn programs(&self) -> Result<Vec<ToolFacts>> {
        let folder = self.tool_folder.as_deref();
        let mut found = Vec::new();
        for name in ["pg_dump", "pg_restore"] {
            let tool = ClientTool::find(name, folder, &self.environment, 0).await?;
            found.push(tool.facts());
        }
        Ok(found)
    }

    /// True if there is a finished backup `id`.
    ///
    /// # Errors
    /// Its manifest is damaged, or the store could not be read.
    pub(crate) async fn is_finished(&self, id: &BackupId) -> Result<bool> {
        Ok(self.shelf().find(id).await?.is_some())
    }

    /// Removes what there is of the backup `id`, which was never finished: it is no copy of anything.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal if it is finished; the store failed.
    pub(crate) async fn remove_unfinished(&self, id: &BackupId) -> Result<()> {
        if self.is_finished(id).await? {
            return Err(Error::refused(format!("backup {id} is finished")));
        }
        self.shelf().clear(id).await
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.store.clone())
    }
}

#[async_trait]
impl Backup for PgBackup {
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>> {
        let (found, unreadable) = self.shelf().look().await?;
        for error in unreadable {
            let why = error.chain();
            ctx.events.warn(format!("a backup is left out: {why}"));
        }
        Ok(found)
    }

    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        take::take(self, ctx, target, id, mode).await
    }

    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        check::check(self, ctx, id, check::Readers::Us).await
    }

    async fn remove(&self, _ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        self.shelf().remove(id, permit).await
    }
}
