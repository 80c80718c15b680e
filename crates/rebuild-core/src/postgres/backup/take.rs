//! Taking a backup.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::PgBackup;
use super::contents;
use super::database_sql::database_sql;
use super::large_objects;
use super::layout::{MANIFEST, folder};
use super::manifest::{LargeObjectEntry, Manifest, MatviewEntry, SequenceEntry};
use super::roles::{RoleEntry, read_roles};
use super::rows_out::{Piece, RowsOut, StoredRows, by_table, parts_of};
use super::schema_dump::{Dumped, SchemaDump};
use super::shelf::Shelf;
use super::together::{Together, both};
use super::tools::Tools;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{
    BackupId, DatabaseFacts, Endpoint, Identity, ServerFacts, TableKind, TableName,
};
use crate::postgres::inventory::extensions;
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::{Snapshot, limit_lock_wait, reader};
use crate::postgres::rows::tables::{LiveTable, list_tables};
use crate::postgres::{
    DatabaseKey, Session, WriteMarks, application, database_facts, server_facts, tables,
};
use crate::store::{Name, Store};
use crate::traits::{BackupMode, BackupSummary};

/// As [`Backup::take`](crate::traits::Backup::take).
pub(super) async fn take(
    backup: &PgBackup,
    ctx: &Ctx,
    target: &Identity,
    id: &BackupId,
    mode: BackupMode,
) -> Result<BackupSummary> {
    let shelf = backup.shelf();
    if let Some(finished) = shelf.find(id).await? {
        return already_taken(&finished, target, mode);
    }
    shelf.clear(id).await?;
    let taking = Taking::begin(backup, ctx, target, id, mode).await?;
    whole_or_nothing(&shelf, id, taking.finish()).await
}

/// A backup that `taking` takes; if it fails, what there is of it is removed.
///
/// # Errors
/// Those of `taking`.
pub(super) async fn whole_or_nothing<T>(
    shelf: &Shelf,
    id: &BackupId,
    taking: impl Future<Output = Result<T>>,
) -> Result<T> {
    let taken = taking.await;
    if taken.is_err() {
        // It is no backup without a manifest; what is left of it only takes up room.
        if let Err(e) = shelf.clear(id).await {
            tracing::warn!("an unfinished backup was left behind: {}", e.chain());
        }
    }
    taken
}

fn already_taken(
    finished: &Manifest,
    target: &Identity,
    mode: BackupMode,
) -> Result<BackupSummary> {
    if !finished.of.is_same_thing(target) || finished.mode != mode {
        return Err(Error::refused(format!(
            "backup {} exists already, and is a backup of {} ({:?})",
            finished.id, finished.of, finished.mode
        )));
    }
    Ok(finished.summary())
}

/// A backup that is being taken: the snapshot is open, nothing is stored yet.
pub(super) struct Taking<'a> {
    pub(super) backup: &'a PgBackup,
    pub(super) ctx: &'a Ctx,
    pub(super) target: &'a Identity,
    pub(super) id: &'a BackupId,
    pub(super) mode: BackupMode,
    /// The database itself.
    pub(super) endpoint: Endpoint,
    pub(super) folder: Name,
    pub(super) server: ServerFacts,
    pub(super) database: DatabaseFacts,
    pub(super) marks: WriteMarks,
    pub(super) taken_at: Timestamp,
    pub(super) snapshot: Snapshot,
    /// Every relation, those without rows of their own too.
    pub(super) relations: Vec<LiveTable>,
    pub(super) estimates: BTreeMap<TableName, Option<u64>>,
    /// Whether large objects are taken, where rows are.
    pub(super) large_objects: bool,
    /// Whether owners and privileges are, publications and subscriptions.
    pub(super) privileges: bool,
}

/// What is read beside the tables.
pub(super) struct Rest {
    pub(super) sequences: Vec<SequenceEntry>,
    pub(super) views: Vec<MatviewEntry>,
    pub(super) extensions: Vec<(String, String, String)>,
    pub(super) roles: Vec<RoleEntry>,
    pub(super) database_sql: String,
    pub(super) public_rights: Option<Vec<String>>,
}

impl<'a> Taking<'a> {
    /// Opens the snapshot and makes sure that all rows can be read in it.
    pub(super) async fn begin(
        backup: &'a PgBackup,
        ctx: &'a Ctx,
        target: &'a Identity,
        id: &'a BackupId,
        mode: BackupMode,
    ) -> Result<Self> {
        let session = Session::open_at(&backup.endpoint, target, ctx).await?;
        limit_lock_wait(&session, &backup.options).await?;
        let server = server_facts(&session).await?;
        let database = database_facts(&session, DatabaseKey::Current).await?;
        // Marks first: a write that comes between them and the snapshot is in the backup and
        // looks as if it were not, never the other way round.
        let marks = WriteMarks::read(&session).await?;
        let taken_at = Timestamp::now();
        let snapshot = Snapshot::export_from(session).await?;
        let relations = Self::hold_tables(backup, &snapshot, mode).await?;
        let estimates = tables(snapshot.session())
            .await?
            .into_iter()
            .filter(|t| holds_rows(t.kind))
            .map(|t| (t.table, t.estimated_rows))
            .collect();
        Ok(Self {
            endpoint: backup.endpoint.with_database(&target.name),
            folder: backup.shelf().folder(id)?,
            backup,
            ctx,
            target,
            id,
            mode,
            server,
            database,
            marks,
            taken_at,
            snapshot,
            relations,
            estimates,
            large_objects: mode == BackupMode::Full,
            privileges: true,
        })
    }

    async fn hold_tables(
        backup: &PgBackup,
        snapshot: &Snapshot,
        mode: BackupMode,
    ) -> Result<Vec<LiveTable>> {
        if mode == BackupMode::SchemaOnly {
            return list_tables(snapshot.session()).await;
        }
        snapshot.hold(|_| true, &backup.options).await
    }

    async fn finish(self) -> Result<BackupSummary> {
        let together = Together::new(self.ctx);
        let tables = self.with_rows();
        let rows = self.rows(&together.ctx, tables.clone());
        self.finish_with(&together, tables, rows).await
    }

    /// Finishes the backup with `rows`, which are being stored.
    pub(super) async fn finish_with(
        &self,
        together: &Together,
        tables: Vec<LiveTable>,
        rows: impl Future<Output = Result<Vec<StoredRows>>>,
    ) -> Result<BackupSummary> {
        let manifest = Box::pin(self.store(together, tables, rows)).await?;
        self.snapshot.still_held("the backup").await?;
        put_manifest(&self.backup.store, &manifest).await?;
        Ok(manifest.summary())
    }

    /// Stores everything but the rows, whose counts are yet to come, and hands on the snapshot.
    pub(super) async fn hold(self) -> Result<(Manifest, Vec<LiveTable>, Snapshot)> {
        let together = Together::new(self.ctx);
        let tables = self.with_rows();
        let rows = async { Ok(counted(&tables, &BTreeMap::new())) };
        let manifest = Box::pin(self.store(&together, tables.clone(), rows)).await?;
        put_manifest(&self.backup.store, &manifest).await?;
        Ok((manifest, tables, self.snapshot))
    }

    pub(super) fn with_rows(&self) -> Vec<LiveTable> {
        let with_rows = self.relations.iter().filter(|t| t.holds_rows());
        with_rows.cloned().collect()
    }

    /// Stores everything but the manifest.
    async fn store(
        &self,
        together: &Together,
        tables: Vec<LiveTable>,
        rows: impl Future<Output = Result<Vec<StoredRows>>>,
    ) -> Result<Manifest> {
        let rest = self.read_rest().await?;
        let ctx = &together.ctx;
        let (stored, dumped, large_objects) = tokio::join!(
            // Boxed, for a backup is taken deep below a caller, and has to fit on a thread's stack.
            together.part(Box::pin(rows)),
            together.part(Box::pin(self.schema(ctx))),
            together.part(Box::pin(self.large_objects(ctx)))
        );
        let ((stored, dumped), large_objects) = both(both(stored, dumped), large_objects)?;
        if dumped
            .as_ref()
            .is_some_and(|d| d.large_objects != large_objects)
        {
            return Err(Error::corrupt(
                "the large objects in pg_dump's archive are not those of the snapshot",
            ));
        }
        let entries = self.entries(tables, stored);
        self.check_listing(&entries)?;
        self.store_rest(entries, rest, dumped, large_objects).await
    }

    async fn read_rest(&self) -> Result<Rest> {
        let session = self.snapshot.session();
        Ok(Rest {
            public_rights: contents::public_rights(session).await?,
            sequences: contents::sequences(session).await?,
            views: contents::materialized_views(session).await?,
            extensions: extensions(session).await?,
            roles: read_roles(session, self.server.major()).await?,
            database_sql: database_sql(session, &self.database).await?,
        })
    }

    /// The rows of the tables, stored or counted as the mode wants.
    async fn rows(&self, ctx: &Ctx, tables: Vec<LiveTable>) -> Result<Vec<StoredRows>> {
        let counts = match self.mode {
            BackupMode::Full => {
                let mut pieces: Vec<Piece> = parts_of(&tables, &self.backup.options)
                    .into_iter()
                    .map(Piece::Rows)
                    .collect();
                if self.backup.csv {
                    pieces.extend((0..tables.len()).map(Piece::Csv));
                }
                let done = self.rows_out(ctx, tables.clone()).run(pieces).await?;
                return Ok(by_table(&tables, done));
            }
            BackupMode::SchemaOnly => BTreeMap::new(),
            BackupMode::CountsOnly => {
                let limit = self.backup.options.statement_limit;
                let counting = contents::count_rows(self.snapshot.session(), &tables);
                ctx.within(limit, "counting rows", counting).await?
            }
        };
        Ok(counted(&tables, &counts))
    }

    /// The reading of `tables` by this process.
    pub(super) fn rows_out(&self, ctx: &Ctx, tables: Vec<LiveTable>) -> RowsOut {
        RowsOut {
            ctx: ctx.clone(),
            endpoint: self.endpoint.clone(),
            snapshot: self.snapshot.id().to_owned(),
            encoding: self.database.encoding.clone(),
            tables,
            options: self.backup.options.clone(),
            store: self.backup.store.clone(),
            folder: self.folder.clone(),
            share: None,
            hold: None,
        }
    }

    async fn schema(&self, ctx: &Ctx) -> Result<Option<Dumped>> {
        if self.mode == BackupMode::CountsOnly {
            return Ok(None);
        }
        let tools = Tools::find(
            self.backup.tool_folder.as_deref(),
            &self.backup.environment,
            self.server.major(),
            self.backup.options.statement_limit,
        );
        let dump = SchemaDump {
            ctx,
            endpoint: &self.endpoint,
            snapshot: self.snapshot.id(),
            encoding: &self.database.encoding,
            mode: self.mode,
            large_objects: self.large_objects,
            privileges: self.privileges,
            options: &self.backup.options,
            tools: tools.await?,
            store: &self.backup.store,
            folder: &self.folder,
        };
        dump.run().await.map(Some)
    }

    async fn large_objects(&self, ctx: &Ctx) -> Result<LargeObjectEntry> {
        if !self.large_objects {
            return Ok(LargeObjectEntry::default());
        }
        let session = reader(
            &self.endpoint,
            &application(ctx),
            self.snapshot.id(),
            "UTF8",
        )
        .await?;
        large_objects::add_up(ctx, &session, &self.backup.options).await
    }
}

/// Rows that are not stored: those of each table that were counted.
pub(super) fn counted(tables: &[LiveTable], counts: &BTreeMap<TableName, u64>) -> Vec<StoredRows> {
    let of = |t: &LiveTable| {
        let mut tally = Tally::new(t.columns.len());
        tally.rows = counts.get(&t.table).copied().unwrap_or(0);
        StoredRows {
            tally,
            chunks: Vec::new(),
            csv: None,
        }
    };
    tables.iter().map(of).collect()
}

/// Stores the manifest, with which a backup is finished.
///
/// # Errors
/// There is one; the store could not be written.
pub(super) async fn put_manifest(store: &Store, manifest: &Manifest) -> Result<()> {
    let folder = Name::new(folder(&manifest.id))?;
    let name = folder.join(MANIFEST)?;
    store.put_new(&name, manifest.to_bytes()?).await
}

fn holds_rows(kind: TableKind) -> bool {
    matches!(
        kind,
        TableKind::Table | TableKind::Partition | TableKind::Unlogged
    )
}
