//! `backup`, `backups …` and `restore`.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::into::{Destination, Loaders};
use super::own_backups::Named;
use super::{Project, compose};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};
use crate::postgres::{
    DatabaseKey, ExportFormat, Manifest, RestoreChoice, Session, application, find_database,
};
use crate::spec::TablePatterns;
use crate::traits::{Backup, BackupSummary};
use crate::work::Crew;

impl Project {
    /// Takes a backup of the target and proves it.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The target could not be read whole, or the store could not be written.
    pub async fn backup(&self) -> Result<(BackupSummary, Verdict)> {
        let title = "back up schema and rows";
        self.backup_by(&self.ctx(), &*self.backup_maker()?, title)
            .await
    }

    /// Takes a backup and proves it by `backup`.
    pub(super) async fn backup_by(
        &self,
        ctx: &Ctx,
        backup: &dyn Backup,
        title: &str,
    ) -> Result<(BackupSummary, Verdict)> {
        let target = self.target(ctx).await?;
        let id = BackupId::generate();
        let taking = backup.take(ctx, &target, &id, self.spec.backup.mode);
        ctx.step("backup", title, taking).await?;
        let checking = backup.check(ctx, &id);
        ctx.step("check-backup", "read the backup back", checking)
            .await
    }

    /// The finished backups in the store, newest first. Of those that cannot be read, events warn.
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

    /// `id`, or the newest backup of the target: of a database that is called like it, and where several
    /// servers have such backups in the store, of its server or one that its runs have replaced.
    ///
    /// # Errors
    /// There is none; one cannot be read, so that it may be the newest; whose the backups are could not be
    /// asked.
    pub async fn backup_or_newest(&self, id: Option<BackupId>) -> Result<BackupId> {
        if let Some(id) = id {
            return Ok(id);
        }
        let target = &self.endpoint.database;
        let all = self.pg_backup().list_all().await.map_err(|e| {
            e.context("which backup is the newest cannot be told")
                .hint("name the one that is meant: rebuild backups list")
        })?;
        let Named { own, others } = self.named_like_the_target(&self.ctx(), all).await?;
        if let Some(newest) = own.into_iter().next() {
            return Ok(newest.id);
        }
        Err(match others.first() {
            Some(other) => Error::usage(format!(
                "the backups of {target:?} in the store are of other servers than this one"
            ))
            .hint(format!(
                "name the one that is meant; the newest is {}",
                other.id
            )),
            None => Error::usage(format!("there is no backup of {target:?} in the store yet"))
                .hint("take one: rebuild backup"),
        })
    }

    /// Makes sure that `id` is a backup of the target: of that name, on any server, of which an event warns if it is
    /// another one, or of that database before it was renamed.
    ///
    /// # Errors
    /// A refusal if it is of another one; there is no backup `id`; the server could not be asked.
    pub(super) async fn require_ours(&self, ctx: &Ctx, id: &BackupId) -> Result<()> {
        let of = self.pg_backup().manifest(id).await?.of;
        let target = &self.endpoint.database;
        if of.name == *target {
            if !self.was_here(ctx, &of).await? {
                ctx.events.warn(format!(
                    "backup {id} is of {target:?} on another server, {}",
                    of.server
                ));
            }
            return Ok(());
        }
        let session = Session::open(&self.maintenance(), &application(ctx)).await?;
        let ours = find_database(&session, DatabaseKey::Name(target)).await?;
        session.close().await;
        if ours.is_some_and(|ours| ours.is_same_thing(&of)) {
            return Ok(());
        }
        Err(
            Error::refused(format!("backup {id} is of {of}, and not of {target:?}")).hint(format!(
                "name {:?} in target.url; it need not exist for a restore into a new database",
                of.name
            )),
        )
    }

    /// Reads a backup back and says whether it is what its manifest claims.
    ///
    /// # Errors
    /// There is none of that id, or the store could not be read.
    pub async fn check_backup(&self, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        self.backup_maker()?.check(&self.ctx(), id).await
    }

    /// Writes a backup into `folder`, which is new or empty, as files of `format`; gives the files.
    /// Everything that is read is compared with the backup's manifest, and if anything fails no file
    /// is left.
    ///
    /// *Repeats:* a folder that is not empty is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// There is none of that id; it holds no rows, or something in it is damaged; its encoding is
    /// none that is turned into UTF-8 for CSV; the folder could not be written.
    pub async fn export_backup(
        &self,
        id: &BackupId,
        folder: &Path,
        format: ExportFormat,
    ) -> Result<Vec<PathBuf>> {
        let backup = self.pg_backup();
        backup.export(&self.ctx(), id, folder, format).await
    }

    /// Restores a backup into a new database beside the target, and compares every row. With
    /// patterns of `tables` (`schema.table`) the whole schema is made, and the rows of those
    /// tables alone are restored and compared. With `precheck` the rows are read first, before
    /// anything is made, so that a damaged backup is known at once; without it that is found
    /// while they are loaded, and what was made is removed. It costs reading them twice.
    ///
    /// *Repeats:* a database of that name is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// Before anything is made: the backup is of another database, a file of it is missing or has
    /// another size, a script of it is damaged, or with `precheck` a chunk; no table is called like
    /// `tables`; the name is taken. Afterwards: a chunk is damaged; a foreign key of a restored table refers to rows
    /// that are not; the server failed. What was made until then is removed, or named by the error
    /// where it could not be.
    pub async fn restore(
        &self,
        id: &BackupId,
        into: &str,
        tables: &[String],
        precheck: bool,
    ) -> Result<(Identity, Verdict)> {
        let (ctx, wanted) = (self.ctx(), (tables, precheck));
        self.restore_by(&ctx, id, into, wanted, None).await
    }

    /// As [`restore`](Self::restore) of the tables and with the precheck that are `wanted`, with rows that
    /// `crew` loads, if there is one.
    pub(super) async fn restore_by(
        &self,
        ctx: &Ctx,
        id: &BackupId,
        into: &str,
        (tables, precheck): (&[String], bool),
        crew: Option<&dyn Crew>,
    ) -> Result<(Identity, Verdict)> {
        let choice = RestoreChoice {
            tables: TablePatterns::compile(tables)?,
            may_drop: TablePatterns::default(),
        };
        self.require_ours(ctx, id).await?;
        let destination = Destination {
            maintenance: self.maintenance(),
            store: self.store.clone(),
            options: compose::row_options(&self.spec),
            tools: compose::tools(&self.spec),
            environment: self.environment.clone(),
            precheck,
        };
        match crew {
            None => destination.restore(ctx, id, into, choice).await,
            Some(crew) => {
                let loaders = Loaders { crew, tables };
                destination.restore_by(ctx, id, into, choice, loaders).await
            }
        }
    }
}
