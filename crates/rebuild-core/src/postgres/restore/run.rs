//! The workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::task::JoinSet;

use super::PgRestorer;
use super::copy_in::CopyIn;
use super::csv::{CsvFiles, CsvLoading};
use super::load::Loading;
use super::placement::{Placement, Placements};
use super::schedule::{Next, Schedule, Weight};
use super::stream::Streams;
use super::work::{self, Item, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::backup::Manifest;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::units::join_workers;
use crate::postgres::{Session, qualified, server_error};
use crate::store::Store;

/// Settings of every worker: those that pg_dump's own scripts set, and those that make the
/// building of indexes fast. A lost commit is redone by the next call, and the promote's own
/// commit makes everything before it durable.
const WORKER: &str = "
    set synchronous_commit = off;
    set check_function_bodies = off;
    set client_min_messages = warning;
    set default_tablespace = '';
    select pg_catalog.set_config('maintenance_work_mem', greatest(
        pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')),
        least(pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')),
              pg_catalog.pg_size_bytes('1GB')) / 2)::pg_catalog.text || 'B', false)";

/// Where the rows come from.
pub(super) enum Origin {
    /// The backup.
    Backup,
    /// CSV files.
    Csv(Arc<CsvFiles>),
    /// The database that holds them.
    Source(Arc<Streams>),
}

/// Does every piece of `items` that is not done.
///
/// # Errors
/// The first error of any piece; the others are left for the next call.
pub(super) async fn run(
    restorer: &PgRestorer,
    ctx: &Ctx,
    db: &Identity,
    manifest: &Manifest,
    placements: &Placements,
    items: Vec<Item>,
    origin: Origin,
) -> Result<()> {
    let placed: HashMap<usize, Placement> = placements
        .placed
        .iter()
        .map(|p| (p.entry, p.clone()))
        .collect();
    let total = items.iter().map(|i| weight(manifest, &i.work)).sum();
    let open = items.iter().filter(|i| !i.done).count();
    let mut tables = HashMap::new();
    for (entry, placement) in &placed {
        tables.insert(*entry, qualified(&placement.target)?);
    }
    let mut rows_of_table: HashMap<String, Weight> = HashMap::new();
    for item in &items {
        if let Some(table) = item.work.rows_of().and_then(|entry| tables.get(&entry)) {
            *rows_of_table.entry(table.clone()).or_default() += weight(manifest, &item.work);
        }
    }
    // The table with the most to do goes first, from its rows to its last index: what is left in
    // the end should be small.
    let schedule = Schedule::new(items, |work| {
        let table = match work {
            Work::Build { table, .. } => Some(table),
            _ => work.rows_of().and_then(|entry| tables.get(&entry)),
        };
        let weight = table.and_then(|t| rows_of_table.get(t)).copied();
        (table.cloned(), weight.unwrap_or(0))
    });
    let work = Arc::new(Shared {
        ctx: ctx.clone(),
        endpoint: restorer.endpoint.clone(),
        db: db.clone(),
        store: restorer.store.clone(),
        options: restorer.options.clone(),
        manifest: manifest.clone(),
        placed,
        tables,
        schedule,
        loaded: AtomicU64::new(0),
        total,
        origin,
        some_tables: !restorer.choice.tables.is_empty(),
        own_schema: restorer.own_schema,
        large_objects: super::large_objects::LargeObjects::of(restorer),
    });
    let mut workers = JoinSet::new();
    for _ in 0..restorer.options.jobs.get().min(open) {
        workers.spawn(work.clone().worker());
    }
    join_workers(workers).await?;
    Ok(())
}

fn weight(manifest: &Manifest, work: &Work) -> Weight {
    match work {
        Work::Rows {
            entry, from, to, ..
        } => manifest.tables[*entry].chunks[*from..*to]
            .iter()
            .map(|c| c.raw_bytes)
            .sum(),
        Work::CsvFile { bytes, .. } | Work::Stream { bytes, .. } => *bytes,
        _ => 0,
    }
}

struct Shared {
    ctx: Ctx,
    endpoint: Endpoint,
    db: Identity,
    store: Store,
    options: RowOptions,
    manifest: Manifest,
    placed: HashMap<usize, Placement>,
    /// The quoted name of each target.
    tables: HashMap<usize, String>,
    schedule: Schedule,
    loaded: AtomicU64,
    total: u64,
    origin: Origin,
    /// True if rows of other tables were left out.
    some_tables: bool,
    /// True if the schema is the backup's own.
    own_schema: bool,
    large_objects: super::large_objects::LargeObjects,
}

impl Shared {
    async fn worker(self: Arc<Self>) -> Result<()> {
        let session = Session::open_at(&self.endpoint, &self.db, &self.ctx).await?;
        session
            .batch_execute(WORKER)
            .await
            .map_err(|e| server_error("could not prepare a session for the restore", e))?;
        let mut source = None;
        loop {
            // Asked for before looking, so that no change is missed.
            let changed = self.schedule.changed();
            let item = match self.schedule.next() {
                Next::Do(item) => item,
                Next::Wait => {
                    changed.await;
                    continue;
                }
                Next::Nothing => break,
            };
            self.ctx.check_stop("the restore")?;
            if let Err(e) = self.piece(&session, &mut source, &item).await {
                self.schedule.fail();
                return Err(e);
            }
            let table = item.work.rows_of().and_then(|e| self.tables.get(&e));
            self.schedule.done(&item, table.map(String::as_str));
        }
        session.close().await;
        Ok(())
    }

    /// Does a piece in `session`. `source` is opened when it is first needed.
    async fn piece(
        &self,
        session: &Session,
        source: &mut Option<Session>,
        item: &Item,
    ) -> Result<()> {
        match &item.work {
            Work::Rows {
                entry,
                from,
                to,
                whole,
            } => {
                let placement = self.placed.get(entry).ok_or_else(|| {
                    Error::refused("the spec chooses other tables than when the restore began")
                        .hint("put restore.tables back as it was")
                })?;
                let loading = Loading {
                    copying: self.copying(),
                    store: &self.store,
                    manifest: &self.manifest,
                };
                loading
                    .load(session, item.id, placement, *from..*to, *whole)
                    .await
            }
            Work::Stream {
                entry,
                pages,
                whole,
                ..
            } => {
                let (Origin::Source(streams), Some(placement)) =
                    (&self.origin, self.placed.get(entry))
                else {
                    return Err(Error::refused("a copy that was cut off cannot go on")
                        .hint("remove what it made, and copy again"));
                };
                let from = match source {
                    Some(from) => from,
                    None => source.insert(streams.reader(&self.ctx).await?),
                };
                let sessions = (&*from, session);
                streams
                    .bring(
                        &self.copying(),
                        sessions,
                        item.id,
                        placement,
                        *pages,
                        *whole,
                    )
                    .await
            }
            Work::CsvFile { entry, whole, .. } => {
                let (Origin::Csv(csv), Some(placement)) = (&self.origin, self.placed.get(entry))
                else {
                    return Err(Error::refused("the restore began from CSV files")
                        .hint("put restore.source and restore.tables back as they were"));
                };
                let loading = CsvLoading {
                    ctx: &self.ctx,
                    files: csv,
                    options: &self.options,
                    loaded: &self.loaded,
                    total: self.total,
                };
                loading.load(session, item, placement, *whole).await
            }
            Work::LargeObjects => {
                self.large_objects
                    .restore(&self.ctx, session, &self.db, &self.manifest)
                    .await?;
                self.statement(session, item.id, "").await
            }
            Work::ForeignKey {
                sql,
                tables,
                held_as,
            } => {
                let added = match held_as {
                    Some(name) if self.rows_prove(session, tables).await? => {
                        self.proven_key(session, item.id, sql, &tables[0], name)
                            .await
                    }
                    _ => self.statement(session, item.id, sql).await,
                };
                added.map_err(|e| self.broken_key(e, tables))
            }
            Work::Before { sql }
            | Work::Build { sql, .. }
            | Work::Attach { sql }
            | Work::Then { sql } => self.statement(session, item.id, sql).await,
        }
    }

    fn copying(&self) -> CopyIn<'_> {
        CopyIn {
            ctx: &self.ctx,
            options: &self.options,
            encoding: &self.manifest.encoding,
            loaded: &self.loaded,
            total: self.total,
        }
    }

    /// True if a foreign key between `tables` that held in the backup's snapshot must hold here
    /// too: all rows of both are exactly the snapshot's. Only a superuser may say so to the
    /// server, and only of tables that are no partitions and have none.
    async fn rows_prove(&self, session: &Session, tables: &[String]) -> Result<bool> {
        let whole = |name: &String| {
            let placement = self.placed.iter().find(|(entry, placement)| {
                self.tables.get(entry) == Some(name)
                    && placement.is_direct()
                    && self.manifest.tables[**entry].condition.is_none()
            });
            placement.is_some()
        };
        let from_files = matches!(self.origin, Origin::Csv(_));
        if !self.own_schema || from_files || self.some_tables || !tables.iter().all(whole) {
            return Ok(false);
        }
        let row = session
            .query_one(
                "select pg_catalog.current_setting('is_superuser') = 'on'
                        and pg_catalog.bool_and(relkind = 'r' and not relispartition)
                   from pg_catalog.pg_class
                  where oid in (select t::pg_catalog.regclass
                                  from pg_catalog.unnest($1::pg_catalog.text[]) t)",
                &[&tables],
            )
            .await;
        row.and_then(|row| row.try_get(0))
            .map_err(|e| server_error("could not look at the tables of a foreign key", e))
    }

    /// Adds a foreign key without having the server look every row up again.
    async fn proven_key(
        &self,
        session: &Session,
        id: i32,
        sql: &str,
        table: &str,
        name: &str,
    ) -> Result<()> {
        let failed = |e| server_error(format!("could not run {sql:.400?}"), e);
        self.ctx
            .within(self.options.statement_limit, name, async {
                if !work::begin(session, id).await? {
                    return Ok(());
                }
                let added = session.batch_execute(&format!("{sql} NOT VALID")).await;
                added.map_err(failed)?;
                let checked = session
                    .execute(
                        "update pg_catalog.pg_constraint set convalidated = true
                          where contype = 'f' and not convalidated and conname = $1
                            and conrelid = $2::pg_catalog.text::pg_catalog.regclass",
                        &[&name, &table],
                    )
                    .await
                    .map_err(failed)?;
                if checked != 1 {
                    return Err(Error::internal(format!(
                        "foreign key {name:?} of {table} is there {checked} times"
                    )));
                }
                session.batch_execute("commit").await.map_err(failed)
            })
            .await
    }

    /// With rows of some tables alone, a foreign key need not hold.
    fn broken_key(&self, e: Error, tables: &[String]) -> Error {
        if !self.some_tables || e.kind() != ErrorKind::Server {
            return e;
        }
        e.context(format!(
            "a foreign key between {} does not hold with the rows of the chosen tables alone",
            tables.join(" and ")
        ))
        .hint("choose the table that it refers to as well")
    }

    /// Runs a statement and marks its piece as done, all or nothing.
    async fn statement(&self, session: &Session, id: i32, sql: &str) -> Result<()> {
        let head = sql.lines().last().unwrap_or_default();
        let what = format!("{:.120}", head.trim());
        self.ctx
            .within(self.options.statement_limit, &what, async {
                if !work::begin(session, id).await? {
                    return Ok(());
                }
                let done = session.batch_execute(&format!("{sql};\ncommit")).await;
                done.map_err(|e| server_error(format!("could not run {sql:.400?}"), e))
            })
            .await
    }
}
