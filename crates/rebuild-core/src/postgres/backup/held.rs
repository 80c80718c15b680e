//! A database at one moment, for whoever carries its rows elsewhere.

use super::PgBackup;
use super::layout::{MANIFEST, folder};
use super::manifest::Manifest;
use super::take::{Taking, put_manifest};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::Snapshot;
use crate::postgres::rows::tables::LiveTable;
use crate::store::{Name, Store};
use crate::traits::BackupMode;

/// A database whose rows stay as they are for as long as this lives, and a backup of everything
/// else. The manifest says nothing of the rows until [`complete`](Self::complete) does.
pub(crate) struct Held {
    /// The database itself.
    pub(in crate::postgres) endpoint: Endpoint,
    pub(in crate::postgres) snapshot: Snapshot,
    /// The tables with rows, in the order of the manifest.
    pub(in crate::postgres) tables: Vec<LiveTable>,
    manifest: Manifest,
    store: Store,
}

impl PgBackup {
    /// Holds `target` at one moment and stores everything but its rows as the backup `id`.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// As [`take`](crate::traits::Backup::take).
    pub(crate) async fn hold(&self, ctx: &Ctx, target: &Identity, id: &BackupId) -> Result<Held> {
        let taking = Taking::begin(self, ctx, target, id, BackupMode::Full).await?;
        let (manifest, tables, snapshot) = taking.hold().await?;
        Ok(Held {
            endpoint: self.endpoint.with_database(&target.name),
            snapshot,
            tables,
            manifest,
            store: self.store.clone(),
        })
    }
}

impl Held {
    /// What there is, but for the counts of rows.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes into the manifest what the rows of each table added up to, and lets the database
    /// go.
    ///
    /// # Errors
    /// The database was let go before; the store could not be written.
    pub(in crate::postgres) async fn complete(self, tallies: &[Tally]) -> Result<()> {
        self.snapshot.still_held("the copy").await?;
        let mut manifest = self.manifest;
        for (entry, tally) in manifest.tables.iter_mut().zip(tallies) {
            entry.rows = tally.rows;
            entry.hash = tally.hash;
            for (column, filled) in entry.columns.iter_mut().zip(&tally.non_null) {
                column.filled = *filled;
            }
        }
        let folder = Name::new(folder(&manifest.id))?;
        self.store.delete(&folder.join(MANIFEST)?).await?;
        put_manifest(&self.store, &manifest).await
    }
}
