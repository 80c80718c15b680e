//! Putting the rows of CSV files into a database that has its schema.
//!
//! The files are those that a backup writes beside its rows, and that an export gives:
//! `<schema>.<table>.csv`, or `.csv.zst`, in UTF-8, with a header line that names the columns. An
//! empty field without quotes is NULL
//! (<https://www.postgresql.org/docs/current/sql-copy.html>). Everything but the rows is restored
//! as [`PgRestorer`] restores it.

mod folder;
mod load;
mod placement;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::load::empty;
use super::placement::Placements;
use super::run::{self, Origin};
use super::work::{self, Item, Work};
use super::{PgRestorer, sequences};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableKind};
use crate::postgres::backup::Manifest;
use crate::postgres::{Session, server_error};
use crate::traits::{RestoreOutline, RestoreReport, Restorer};

pub(super) use load::CsvLoading;

use folder::CsvFile;
use placement::Found;

/// [`Restorer`] from a folder of CSV files.
pub struct PgCsvRestorer {
    /// Restores everything but the rows, from the backup, and says how.
    pub restorer: PgRestorer,
    /// The folder.
    pub folder: PathBuf,
}

/// The files of a restore.
pub(super) struct CsvFiles {
    folder: PathBuf,
    files: Vec<CsvFile>,
    /// For each file, which rows of its table are the user's, where that is not all.
    conditions: Vec<Option<String>>,
    /// What the bytes of the files are.
    encoding: &'static str,
}

impl PgCsvRestorer {
    /// Looks through `folder`: every file is one that can be read, with a header line, and no two
    /// are of the same table.
    ///
    /// # Errors
    /// A refusal that names the file that does not belong there.
    pub async fn check_folder(folder: &Path) -> Result<()> {
        read_folder(folder).await.map(|_| ())
    }

    async fn find(&self, session: &Session) -> Result<Found> {
        let files = read_folder(&self.folder).await?;
        let restorer = &self.restorer;
        placement::find(
            session,
            &self.folder,
            files,
            &restorer.choice,
            restorer.own_schema,
        )
        .await
    }

    async fn prepare(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
        files: &CsvFiles,
    ) -> Result<Vec<Item>> {
        let mut list = Vec::new();
        for placement in &placements.placed {
            let entry = placement.entry;
            let condition = files.conditions[entry].as_deref();
            // Rows of a partition may come through its parent as well.
            let whole =
                !placement.shared && condition.is_none() && placement.kind == TableKind::Table;
            if !whole {
                list.push(Work::Before {
                    sql: empty(condition, placement)?,
                });
            }
            list.push(Work::CsvFile {
                entry,
                file: files.files[entry].name.clone(),
                bytes: files.files[entry].bytes,
                whole,
                rows: None,
            });
        }
        let recorded = self.restorer.record(session, manifest, placements, list);
        recorded.await
    }
}

async fn read_folder(folder: &Path) -> Result<Vec<CsvFile>> {
    let folder = folder.to_path_buf();
    tokio::task::spawn_blocking(move || folder::read(&folder))
        .await
        .map_err(|e| Error::internal("the reading of the CSV files ended early").caused_by(e))?
}

async fn encoding(session: &Session) -> Result<&'static str> {
    let row = session
        .query_one("select pg_catalog.getdatabaseencoding()::text", &[])
        .await
        .map_err(|e| server_error("could not read the encoding of the database", e))?;
    // Such a database takes bytes as they are, and its backup gave them so.
    let raw = row.get::<_, &str>(0) == "SQL_ASCII";
    Ok(if raw { "SQL_ASCII" } else { "UTF8" })
}

/// Refuses to go on with other files than the restore began with.
fn require_same_files(items: &[Item], placements: &Placements, files: &[CsvFile]) -> Result<()> {
    let changed = |what: &str| {
        Err(Error::refused(format!(
            "{what} since the restore began, so it cannot go on"
        ))
        .hint("put the CSV files, restore.csv and restore.tables back as they were"))
    };
    let mut known = 0;
    for item in items {
        match &item.work {
            Work::Rows { .. } => return changed("restore.source was changed"),
            Work::CsvFile {
                entry, file, bytes, ..
            } => {
                let same = files
                    .get(*entry)
                    .is_some_and(|f| f.name == *file && f.bytes == *bytes);
                if !same {
                    return changed(&format!("{file} was changed, added or removed"));
                }
                known += 1;
            }
            _ => {}
        }
    }
    if known == placements.placed.len() {
        Ok(())
    } else {
        changed("the files to restore have changed")
    }
}

#[async_trait]
impl Restorer for PgCsvRestorer {
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        self.restorer.manifest(backup).await?;
        let session = Session::open_at(&self.restorer.endpoint, db, ctx).await?;
        let found = self.find(&session).await?;
        session.close().await;
        let placed = found.placements.placed.iter();
        Ok(RestoreOutline {
            tables: placed.map(|p| found.tables[p.entry].clone()).collect(),
            new_columns: found.placements.new_columns,
            unplaced: found.placements.unplaced,
        })
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let manifest = self.restorer.manifest(backup).await?;
        let session = self.restorer.open(ctx, db).await?;
        let found = self.find(&session).await?;
        let placements = found.placements;
        let left_out = placements.require_places(&self.restorer.choice)?;
        for table in &placements.kept {
            ctx.events.info(format!(
                "{table} stays as the new schema's migrator wrote it"
            ));
        }
        for table in &found.without_file {
            ctx.events.warn(format!(
                "there is no CSV file for {table}, which stays as the schema made it"
            ));
        }
        let files = Arc::new(CsvFiles {
            folder: self.folder.clone(),
            files: found.files,
            conditions: found.conditions,
            encoding: encoding(&session).await?,
        });
        let items = match work::read(&session).await? {
            Some(items) => items,
            None => {
                self.prepare(&session, &manifest, &placements, &files)
                    .await?
            }
        };
        require_same_files(&items, &placements, &files.files)?;
        run::run(
            &self.restorer,
            ctx,
            db,
            &manifest,
            &placements,
            items,
            Origin::Csv(files),
        )
        .await?;
        sequences::restore_beside_rows(ctx, &session, &manifest.sequences).await?;
        let done = work::read(&session).await?.unwrap_or_default();
        session.close().await;
        let rows = done.iter().map(|item| match &item.work {
            Work::CsvFile { rows, .. } => rows.unwrap_or_default(),
            _ => 0,
        });
        Ok(RestoreReport {
            tables: placements.placed.len() as u64,
            rows: rows.sum(),
            large_objects: 0,
            left_out,
        })
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()> {
        self.restorer.finish(ctx, db, backup).await
    }
}
