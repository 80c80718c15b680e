//! `backup`, `backups …` and `restore`.

use std::path::{Path, PathBuf};

use super::into::Destination;
use super::{Project, compose};
use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, Verdict};
use crate::postgres::{Manifest, RestoreChoice};
use crate::spec::TablePatterns;
use crate::traits::{Backup, BackupSummary};

impl Project {
    /// Takes a backup of the target and proves it.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The target could not be read whole, or the store could not be written.
    pub async fn backup(&self) -> Result<(BackupSummary, Verdict)> {
        let ctx = self.ctx();
        let target = self.target(&ctx).await?;
        let backup = self.pg_backup();
        let id = BackupId::generate();
        let taking = backup.take(&ctx, &target, &id, self.spec.backup.mode);
        ctx.step("backup", "back up schema and rows", taking)
            .await?;
        let checking = backup.check(&ctx, &id);
        ctx.step("check-backup", "read the backup back", checking)
            .await
    }

    /// The finished backups in the store, newest first.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn backups(&self) -> Result<Vec<BackupSummary>> {
        self.pg_backup().list(&self.ctx()).await
    }

    /// What a backup holds.
    ///
    /// # Errors
    /// There is none of that id, or its manifest is damaged.
    pub async fn show_backup(&self, id: &BackupId) -> Result<Manifest> {
        self.pg_backup().manifest(id).await
    }

    /// `id`, or the newest backup in the store.
    ///
    /// # Errors
    /// There is none.
    pub async fn backup_or_newest(&self, id: Option<BackupId>) -> Result<BackupId> {
        if let Some(id) = id {
            return Ok(id);
        }
        let newest = self.backups().await?.into_iter().next();
        newest.map(|b| b.id).ok_or_else(|| {
            Error::usage("there is no backup in the store yet").hint("take one: rebuild backup")
        })
    }

    /// Reads a backup back and says whether it is what its manifest claims.
    ///
    /// # Errors
    /// There is none of that id, or the store could not be read.
    pub async fn check_backup(&self, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        self.pg_backup().check(&self.ctx(), id).await
    }

    /// Writes a backup's CSV files into `folder`.
    ///
    /// # Errors
    /// The backup was taken without `backup.csv`, or the folder could not be written.
    pub async fn export_backup(&self, id: &BackupId, folder: &Path) -> Result<Vec<PathBuf>> {
        self.pg_backup().export_csv(&self.ctx(), id, folder).await
    }

    /// Restores a backup into a new database beside the target, and compares every row. With
    /// patterns of `tables` (`schema.table`) the whole schema is made, and the rows of those
    /// tables alone are restored and compared.
    ///
    /// *Repeats:* a database of that name is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// The name is taken; no table is called like `tables`; a foreign key of a restored table
    /// refers to rows that are not; the backup is damaged; the server failed. What was made until
    /// then is removed.
    pub async fn restore(
        &self,
        id: &BackupId,
        into: &str,
        tables: &[String],
    ) -> Result<(Identity, Verdict)> {
        let choice = RestoreChoice {
            tables: TablePatterns::compile(tables)?,
            may_drop: TablePatterns::default(),
        };
        let ctx = self.ctx();
        let destination = Destination {
            maintenance: self.maintenance(),
            store: self.store.clone(),
            options: compose::row_options(&self.spec),
            tools: compose::tools(&self.spec),
            environment: self.environment.clone(),
        };
        destination.restore(&ctx, id, into, choice).await
    }
}
