//! The workers.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::PgRestorer;
use super::copy_in::CopyIn;
use super::csv::{CsvFiles, CsvLoading};
use super::keys::{proven_key, rows_changed};
use super::load::Loading;
use super::placement::{Placement, Placements};
use super::schedule::{Next, Schedule, Weight};
use super::settings;
use super::stream::Streams;
use super::work::{self, Item, Work};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::backup::Manifest;
use crate::postgres::room::Room;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::snapshot::TableReader;
use crate::postgres::rows::units::join_workers;
use crate::postgres::{Session, qualified, server_error};
use crate::store::Store;

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
        let rows = |table: &String| rows_of_table.get(table).copied().unwrap_or(0);
        let table = match work {
            Work::Build { table, .. } => Some(table),
            Work::ForeignKey { tables, .. } => tables.iter().max_by_key(|t| rows(t)),
            _ => work.rows_of().and_then(|entry| tables.get(&entry)),
        };
        (table.cloned(), table.map_or(0, rows))
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
        whole_tables: OnceCell::new(),
    });
    if open == 0 {
        return Ok(());
    }
    let load = async {
        let mut workers = JoinSet::new();
        for _ in 0..restorer.options.jobs.get().min(open) {
            workers.spawn(work.clone().worker(restorer.options.jobs));
        }
        join_workers(workers).await
    };
    let what = || {
        let loaded = work.loaded.load(Ordering::Relaxed);
        format!("the load, of which {loaded} of about {total} bytes were in,")
    };
    let room = Room::of(ctx, &restorer.endpoint, db, &restorer.options.free_space).await?;
    room.keep(what, load).await?;
    Ok(())
}

pub(super) fn weight(manifest: &Manifest, work: &Work) -> Weight {
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

pub(super) struct Shared {
    pub(super) ctx: Ctx,
    pub(super) endpoint: Endpoint,
    pub(super) db: Identity,
    pub(super) store: Store,
    pub(super) options: RowOptions,
    pub(super) manifest: Manifest,
    pub(super) placed: HashMap<usize, Placement>,
    /// The quoted name of each target.
    pub(super) tables: HashMap<usize, String>,
    pub(super) schedule: Schedule,
    pub(super) loaded: AtomicU64,
    pub(super) total: u64,
    pub(super) origin: Origin,
    /// True if rows of other tables were left out.
    pub(super) some_tables: bool,
    /// True if the schema is the backup's own.
    pub(super) own_schema: bool,
    pub(super) large_objects: super::large_objects::LargeObjects,
    /// The quoted names of the tables whose rows are exactly the snapshot's, once it was asked.
    pub(super) whole_tables: OnceCell<HashSet<String>>,
}

impl Shared {
    /// One session of `jobs`.
    async fn worker(self: Arc<Self>, jobs: NonZeroUsize) -> Result<()> {
        let session = Session::open_at(&self.endpoint, &self.db, &self.ctx).await?;
        session
            .batch_execute(&settings::of_worker(jobs))
            .await
            .map_err(|e| server_error("could not prepare a session for the restore", e))?;
        let mut source = None;
        loop {
            // Asked for before looking, so that no change is missed.
            let changed = self.schedule.changed();
            let items = match self.schedule.next() {
                Next::Do(items) => items,
                Next::Wait => {
                    changed.await;
                    continue;
                }
                Next::Nothing => break,
            };
            self.ctx.check_stop("the restore")?;
            if let Err(e) = self.pieces(&session, &mut source, &items).await {
                self.schedule.fail();
                return Err(e);
            }
            let table = |work: &Work| self.tables.get(&work.rows_of()?).map(String::as_str);
            self.schedule.done(&items, table);
        }
        session.close().await;
        Ok(())
    }

    /// Does pieces in `session`, and marks them as done, all or nothing. `source` is opened when
    /// it is first needed.
    async fn pieces(
        &self,
        session: &Session,
        source: &mut Option<TableReader>,
        items: &[Item],
    ) -> Result<()> {
        if let [item] = items
            && item.work == Work::LargeObjects
        {
            self.large_objects
                .restore(&self.ctx, session, &self.db, &self.manifest)
                .await?;
        }
        if items.len() > 1 && self.together(session, items).await? {
            return Ok(());
        }
        let open = self.begin(session, items).await?;
        if open.is_empty() {
            return Ok(());
        }
        for item in open {
            self.piece(session, source, item).await?;
        }
        self.statement(session, "commit").await
    }

    /// Begins the transaction of `items`, and gives those that are to be done. Without any, there
    /// is no transaction.
    async fn begin<'a>(&self, session: &Session, items: &'a [Item]) -> Result<Vec<&'a Item>> {
        let ids: Vec<i32> = items.iter().map(|i| i.id).collect();
        let limit = self.options.statement_limit;
        let begun = work::begin(session, &ids);
        let open = self.ctx.within(limit, "taking up work", begun).await?;
        Ok(items.iter().filter(|i| open.contains(&i.id)).collect())
    }

    /// Does pieces that are nothing but statements in one message, and says whether it did. What
    /// fails is done again, one after the other, so that the error is of one statement.
    async fn together(&self, session: &Session, items: &[Item]) -> Result<bool> {
        let mut statements = Vec::new();
        let mut proven = 0;
        for item in items {
            statements.push(match &item.work {
                Work::Build { sql, .. } => sql.clone(),
                Work::ForeignKey {
                    sql,
                    tables,
                    held_as: Some(name),
                } if self.rows_prove(session, tables).await? => {
                    proven += 1;
                    proven_key(sql, &tables[0], name)?
                }
                _ => return Ok(false),
            });
        }
        let open = self.begin(session, items).await?.len();
        if open == 0 {
            return Ok(true);
        }
        let run = async { Ok(session.simple_query(&statements.join("\n;\n")).await) };
        let limit = self.options.statement_limit;
        let mut done = false;
        if open == items.len() {
            let answers = self.ctx.within(limit, &statements[0], run).await?;
            done = answers.is_ok_and(|answers| rows_changed(&answers) == proven);
        }
        let end = if done { "commit" } else { "rollback" };
        self.statement(session, end).await?;
        Ok(done)
    }

    /// Does a piece in the transaction of `session`.
    async fn piece(
        &self,
        session: &Session,
        source: &mut Option<TableReader>,
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
                loading.load(session, placement, *from..*to, *whole).await
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
                let sessions = (from.next().await?, session);
                let table = (&self.manifest.tables[*entry], placement);
                let copying = self.copying();
                let bringing = streams.bring(&copying, sessions, table, *pages, *whole);
                let tally = bringing.await?;
                match streams.add(*entry, tally) {
                    None => Ok(()),
                    Some(tally) => {
                        let kept = work::keep(item.id, &item.work.with_sum(tally))?;
                        self.statement(session, &kept).await
                    }
                }
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
            // They are there; they do not come in a transaction of ours.
            Work::LargeObjects => Ok(()),
            Work::ForeignKey {
                sql,
                tables,
                held_as,
            } => {
                let added = match held_as {
                    Some(name) if self.rows_prove(session, tables).await? => {
                        self.add_proven_key(session, sql, &tables[0], name).await
                    }
                    _ => self.statement(session, sql).await,
                };
                added.map_err(|e| self.broken_key(e, tables))
            }
            Work::Before { sql }
            | Work::Build { sql, .. }
            | Work::Attach { sql }
            | Work::Then { sql } => self.statement(session, sql).await,
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

    pub(super) async fn statement(&self, session: &Session, sql: &str) -> Result<()> {
        let head = sql.lines().last().unwrap_or_default();
        let what = format!("{:.120}", head.trim());
        let run = async {
            let done = session.batch_execute(sql).await;
            done.map_err(|e| server_error(format!("could not run {sql:.400?}"), e))
        };
        let limit = self.options.statement_limit;
        self.ctx.within(limit, &what, run).await
    }
}
