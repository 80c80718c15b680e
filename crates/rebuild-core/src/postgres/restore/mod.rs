//! Putting the rows of a backup into a database that has its schema.
//!
//! Rows are loaded on several sessions, the heaviest table first; a table's indexes are built as
//! soon as its rows are in, then foreign keys are added, which checks every row, then everything
//! else. Where the schema is not the backup's own, columns are matched by name, types are
//! converted, and data that has no place is a refusal.

mod after;
mod against;
mod changed;
mod copy_in;
mod csv;
mod detach;
mod differing;
#[cfg(feature = "cloudsql")]
mod empty;
mod finish;
mod keys;
mod large_objects;
mod load;
mod placement;
mod prepare;
mod progress;
mod run;
mod schedule;
mod schema;
mod sequences;
mod settings;
mod shared;
mod stream;
mod stream_shared;
#[cfg(test)]
mod tests;
mod unknown;
mod work;

use std::path::PathBuf;

use async_trait::async_trait;

use super::backup::{Manifest, Shelf, TableEntry};
use super::rows::RowOptions;
use super::teardown::place;
use super::{Environment, Session, made_by};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::store::Store;
use crate::traits::{RestoreOutline, RestoreReport, Restorer};

pub(in crate::postgres) use after::for_a_session;
pub use against::PgComparison;
pub use csv::PgCsvRestorer;
#[cfg(feature = "cloudsql")]
pub(crate) use empty::empty_database;
pub(super) use finish::analyze;
pub use placement::RestoreChoice;
pub use schema::PgBackupSchema;
pub(crate) use shared::RESTORE;
pub(crate) use stream_shared::COPY;

use placement::Placements;
use run::Origin;
use shared::Loaders;

/// [`Restorer`] through COPY.
#[derive(Clone)]
pub struct PgRestorer {
    /// The server, at any database.
    pub endpoint: Endpoint,
    /// Where the backups are.
    pub store: Store,
    /// How rows are carried.
    pub options: RowOptions,
    /// Which rows, and which may be left behind.
    pub choice: RestoreChoice,
    /// True where the schema comes from the backup itself, by [`PgBackupSchema`]: then indexes,
    /// keys and triggers are made after the rows.
    pub own_schema: bool,
    /// The folder of pg_restore, which restores the large objects; otherwise the newest one that
    /// is installed.
    pub tools: Option<PathBuf>,
    /// The environment that programs are looked for in.
    pub environment: Environment,
}

impl PgRestorer {
    /// A session in `db`, which this run made.
    ///
    /// # Errors
    /// A refusal if it did not; the server could not be reached.
    pub(in crate::postgres) async fn open(&self, ctx: &Ctx, db: &Identity) -> Result<Session> {
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let oid = place::oid_here(&session, db).await?;
        let found = place::by_oid(&session, oid).await?;
        let mark = made_by(&ctx.run);
        if found.and_then(|p| p.comment).as_deref() == Some(mark.as_str()) {
            return Ok(session);
        }
        Err(Error::refused(format!(
            "{db} was not made by {}, so nothing is restored into it",
            ctx.run
        )))
    }

    async fn manifest(&self, backup: &BackupId) -> Result<Manifest> {
        Shelf::new(self.store.clone()).manifest(backup).await
    }

    /// Restores the rows, with those of the backup's tables loaded by `crew` if there is one.
    async fn restore_by(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backup: &BackupId,
        crew: Option<Loaders<'_>>,
    ) -> Result<RestoreReport> {
        let shelf = Shelf::new(self.store.clone());
        let manifest = shelf.manifest(backup).await?;
        let chosen = |entry: &TableEntry| self.choice.takes(entry);
        shelf.require_files(&manifest, chosen).await?;
        let session = self.open(ctx, db).await?;
        let placements = self.placements(&session, &manifest).await?;
        let left_out = placements.require_places(&self.choice)?;
        for table in &placements.kept {
            ctx.events.info(format!(
                "{table} stays as the new schema's migrator wrote it"
            ));
        }
        let items = match work::read(&session).await? {
            Some(items) => items,
            None => self.prepare(&session, &manifest, &placements).await?,
        };
        let items = match crew {
            None => items,
            Some(crew) => {
                let part = (&session, &manifest, &placements);
                self.rows_by(ctx, db, part, items, crew).await?
            }
        };
        let origin = Origin::Backup;
        run::run(self, ctx, db, &manifest, &placements, items, origin).await?;
        sequences::restore(ctx, &session, &manifest.sequences).await?;
        session.close().await;
        let rows = placements.placed.iter();
        Ok(RestoreReport {
            tables: placements.placed.len() as u64,
            rows: rows.map(|p| manifest.tables[p.entry].rows).sum(),
            large_objects: manifest.large_objects.count,
            left_out,
        })
    }

    async fn placements(&self, session: &Session, manifest: &Manifest) -> Result<Placements> {
        Placements::find(session, manifest, &self.choice, self.own_schema).await
    }
}

#[async_trait]
impl Restorer for PgRestorer {
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        let manifest = self.manifest(backup).await?;
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let placements = self.placements(&session, &manifest).await?;
        session.close().await;
        Ok(placements.outline(&manifest))
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        self.restore_by(ctx, db, backup, None).await
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()> {
        let manifest = self.manifest(backup).await?;
        let session = self.open(ctx, db).await?;
        work::drop(&session).await?;
        finish::refresh(ctx, &session, &manifest, &self.options).await?;
        finish::analyze(ctx, &self.endpoint, db, &session, &self.options).await?;
        session.close().await;
        Ok(())
    }
}
