//! A database at one moment, for whoever carries its rows elsewhere.

use async_trait::async_trait;

use super::PgBackup;
use super::layout::{MANIFEST, folder};
use super::manifest::Manifest;
use super::take::{Taking, put_manifest};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::Session;
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::Snapshot;
use crate::postgres::rows::tables::LiveTable;
use crate::store::{Name, Store};
use crate::traits::BackupMode;

/// What of a database is carried elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Carry<'a> {
    /// Who chooses rows, and masks columns.
    pub(crate) chooser: Option<&'a dyn Chooser>,
    /// Whether large objects are carried.
    pub(crate) large_objects: bool,
    /// Whether owners and privileges are, and what only means something where the database is:
    /// publications and subscriptions.
    pub(crate) privileges: bool,
}

impl Carry<'_> {
    /// Everything.
    pub(crate) const ALL: Self = Self {
        chooser: None,
        large_objects: true,
        privileges: true,
    };
}

/// Chooses the rows of tables that are carried, and masks their columns.
#[async_trait]
pub(crate) trait Chooser: Send + Sync {
    /// Fills in [`LiveTable::filter`] and the columns' `masked`, of the database that `session`
    /// is in.
    ///
    /// # Errors
    /// A refusal if a mask does not fit; the server could not be asked.
    async fn choose(&self, session: &Session, tables: &mut [LiveTable]) -> Result<()>;

    /// Sets what the masks need in a session that reads rows.
    ///
    /// # Errors
    /// The server could not be asked.
    async fn prepare(&self, session: &Session) -> Result<()>;
}

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
    pub(crate) async fn hold(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        carry: Carry<'_>,
    ) -> Result<Held> {
        let mut taking = Taking::begin(self, ctx, target, id, BackupMode::Full).await?;
        if let Some(chooser) = carry.chooser {
            let session = taking.snapshot.session();
            chooser.choose(session, &mut taking.relations).await?;
        }
        taking.large_objects = carry.large_objects;
        taking.privileges = carry.privileges;
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

    /// The session that holds the database, in its transaction.
    pub(in crate::postgres) fn session(&self) -> &Session {
        self.snapshot.session()
    }

    /// The database as its workers are told of it.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(in crate::postgres) async fn moment(&self) -> Result<Moment> {
        Moment::held_by(&self.snapshot, &self.manifest.of, &self.tables).await
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
