//! Rows straight from the database they are in.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::copy_in::{CopyIn, Piece};
use super::load::empty;
use super::placement::{Placement, Placements};
use super::prepare::NOT_FROZEN;
use super::run::{Origin, run};
use super::work::{Item, Work};
use super::{PgRestorer, sequences};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::backup::{Held, Manifest, TableEntry, both};
use crate::postgres::rows::copy_out::{Patience, PieceWork, copy_out};
use crate::postgres::rows::moment::{Hold, Moment};
use crate::postgres::rows::names::Names;
use crate::postgres::rows::scan::{Sum, Tally};
use crate::postgres::rows::snapshot::{TableReader, reader};
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::rows::units::{Extent, Reading, units};
use crate::postgres::{Chooser, Session, application};

/// Pieces that may wait for the server they go to.
const AHEAD: usize = 2;

impl PgRestorer {
    /// As [`restore`](crate::traits::Restorer::restore), with the rows straight from the
    /// database that is `held`. Only then does the backup say what they add up to.
    ///
    /// `chooser` is the one that `held` was chosen by, if any.
    ///
    /// *Repeats:* it cannot be repeated; a database that it filled in part is of no use.
    ///
    /// # Errors
    /// Either server failed; rows have no place in `db`.
    pub(crate) async fn stream(
        &self,
        ctx: &Ctx,
        db: &Identity,
        held: Held,
        chooser: Option<Arc<dyn Chooser>>,
    ) -> Result<()> {
        let jobs = self.options.jobs.get();
        let (session, placements, items) = self.list_streams(ctx, db, &held, jobs).await?;
        let manifest = held.manifest().clone();
        let streams = Arc::new(Streams::of_held(&held, chooser));
        let origin = Origin::Source(streams.clone());
        run(self, ctx, db, &manifest, &placements, items, origin).await?;
        sequences::restore(ctx, &session, &manifest.sequences).await?;
        session.close().await;
        held.complete(&streams.tallies()).await
    }

    /// Makes the list of work in `db`, for `jobs` sessions in all.
    ///
    /// # Errors
    /// The server failed; rows have no place in `db`.
    pub(super) async fn list_streams(
        &self,
        ctx: &Ctx,
        db: &Identity,
        held: &Held,
        jobs: usize,
    ) -> Result<(Session, Placements, Vec<Item>)> {
        let session = self.open(ctx, db).await?;
        let manifest = held.manifest();
        let placements = self.placements(&session, manifest).await?;
        require_all(manifest, &placements)?;
        let rows = self.streams(held, &placements, jobs)?;
        let items = self.record(&session, manifest, &placements, rows).await?;
        Ok((session, placements, items))
    }

    /// The work that brings the rows and the large objects.
    fn streams(&self, held: &Held, placements: &Placements, jobs: usize) -> Result<Vec<Work>> {
        let extents: Vec<Extent> = held.tables.iter().map(LiveTable::extent).collect();
        let total: u64 = extents.iter().map(|e| e.bytes).sum();
        let jobs = jobs as u64;
        // What is no more than one session's share of the whole is not divided: only rows that
        // come in one piece can be written as frozen.
        let share = match jobs {
            1 => u64::MAX,
            _ => self.options.split_bytes.max(total / (jobs * 2)),
        };
        let mut list = Vec::new();
        let mut emptied = BTreeSet::new();
        for unit in units(&extents, share) {
            let placement = placements.of(unit.table)?;
            let condition = held.tables[unit.table].condition.as_deref();
            // What the schema made is empty, but for the tables of extensions.
            let filled = condition.is_some();
            let whole = unit.pages.is_none() && !placement.shared;
            let whole = whole && (filled || unit.weight > NOT_FROZEN);
            if !whole && filled && emptied.insert(&placement.target) {
                let sql = empty(condition, placement)?;
                list.push(Work::Before { sql });
            }
            list.push(Work::Stream {
                entry: unit.table,
                pages: unit.pages,
                bytes: unit.weight,
                whole,
                sum: None,
            });
        }
        if held.manifest().large_objects.count > 0 {
            list.push(Work::LargeObjects);
        }
        Ok(list)
    }
}

/// Makes sure that every row has a place, for it is not known yet which tables have any.
///
/// # Errors
/// A refusal that names what has none.
fn require_all(manifest: &Manifest, placements: &Placements) -> Result<()> {
    let has_place = |at: usize| {
        let placed = placements.placed.iter().find(|p| p.entry == at);
        placed.is_some_and(|p| p.columns.iter().all(|c| c.into.is_some()))
    };
    let tables = manifest.tables.iter().enumerate();
    let missing: Vec<String> = tables
        .filter(|(at, _)| !has_place(*at))
        .map(|(_, entry)| entry.table.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the target has no place for all columns of {}",
        missing.join(", ")
    ))
    .hint("install the same versions of its extensions on the target's server"))
}

/// The rows of a database, on their way to another.
pub(super) struct Streams {
    /// The database itself.
    endpoint: Endpoint,
    /// The name of the snapshot that sees the rows, and the encoding to read them in.
    snapshot: String,
    encoding: String,
    /// The tables, in the order of the manifest.
    tables: Vec<LiveTable>,
    chooser: Option<Arc<dyn Chooser>>,
    sums: Sums,
}

/// What becomes of what the rows add up to.
enum Sums {
    /// It is added up here.
    Here(Mutex<Vec<Tally>>),
    /// It is kept with the rows, for the process that holds the database.
    Kept(Box<Hold>),
}

impl Streams {
    /// True if every row of a table is read, and with the values that it has.
    pub(super) fn reads_as_it_is(&self, table: usize) -> bool {
        let table = &self.tables[table];
        table.filter.is_none() && table.columns.iter().all(|c| c.masked.is_none())
    }

    /// The rows of a database that this process holds.
    fn of_held(held: &Held, chooser: Option<Arc<dyn Chooser>>) -> Self {
        let nothing = |t: &LiveTable| Tally::new(t.columns.len());
        Self {
            endpoint: held.endpoint.clone(),
            snapshot: held.snapshot.id().to_owned(),
            encoding: held.manifest().encoding.clone(),
            tables: held.tables.clone(),
            chooser,
            sums: Sums::Here(Mutex::new(held.tables.iter().map(nothing).collect())),
        }
    }

    /// The rows of `tables` of the database at `endpoint`, which another process holds at `moment`.
    pub(super) fn held_elsewhere(
        endpoint: &Endpoint,
        moment: &Moment,
        encoding: &str,
        tables: Vec<LiveTable>,
        hold: Hold,
    ) -> Self {
        Self {
            endpoint: endpoint.with_database(&moment.of.name),
            snapshot: moment.snapshot().to_owned(),
            encoding: encoding.to_owned(),
            tables,
            chooser: None,
            sums: Sums::Kept(Box::new(hold)),
        }
    }

    /// What has been added up here.
    fn tallies(&self) -> Vec<Tally> {
        match &self.sums {
            Sums::Here(tallies) => tallies
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            Sums::Kept(_) => Vec::new(),
        }
    }

    /// Adds what a piece of the table at `entry` came to; gives it back if it is to be kept.
    pub(super) fn add(&self, entry: usize, tally: Tally) -> Option<Tally> {
        let Sums::Here(tallies) = &self.sums else {
            return Some(tally);
        };
        let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies[entry].merge(&tally);
        None
    }

    /// Makes sure that whoever holds the source elsewhere is there still.
    async fn require_held(&self) -> Result<()> {
        match &self.sums {
            Sums::Here(_) => Ok(()),
            Sums::Kept(hold) => hold.require().await,
        }
    }

    /// A session that reads rows.
    ///
    /// # Errors
    /// The source could not be reached, or is no longer held.
    pub(super) async fn reader(&self, ctx: &Ctx) -> Result<TableReader> {
        self.require_held().await?;
        let application = application(ctx);
        let opened = reader(&self.endpoint, &application, &self.snapshot, &self.encoding).await;
        let session = opened.map_err(|e| e.context("could not read the source"))?;
        if let Some(chooser) = &self.chooser {
            chooser.prepare(&session).await?;
        }
        TableReader::new(session).await
    }

    /// Brings the rows of a table, or of some of its `pages`, from the session `from` to `to`,
    /// in the transaction of their piece; returns what they add up to.
    ///
    /// # Errors
    /// Either server failed; the rows do not fit; the source is no longer held.
    pub(super) async fn bring(
        &self,
        copying: &CopyIn<'_>,
        (from, to): (&Session, &Session),
        (entry, placement): (&TableEntry, &Placement),
        pages: Option<(u32, Option<u32>)>,
        whole: bool,
    ) -> Result<Tally> {
        self.require_held().await?;
        let steps = copying.begin(to, entry, placement, whole).await?;
        let (pieces, mut ready) = mpsc::channel(AHEAD);
        let read = self.read(copying, from, placement.entry, pages, pieces);
        let source = format!("the rows of {}", entry.table);
        // It takes the receiving end with it, so that the reading ends if the writing fails.
        let write = async move { copying.copy(to, &steps, &source, &mut ready).await };
        let (read, written) = tokio::join!(read, write);
        let (tally, rows) = both(read, written)
            .map_err(|e| e.context(format!("could not copy table {}", entry.table)))?;
        if rows != Some(tally.rows) {
            return Err(Error::corrupt(format!(
                "{} rows of {} were read, and the server took {}",
                tally.rows,
                entry.table,
                rows.unwrap_or(0)
            )));
        }
        Ok(tally)
    }

    async fn read(
        &self,
        copying: &CopyIn<'_>,
        session: &Session,
        index: usize,
        pages: Option<(u32, Option<u32>)>,
        ready: mpsc::Sender<Piece>,
    ) -> Result<Tally> {
        let table = &self.tables[index];
        let names = Names::under(copying.encoding);
        let form = table.form();
        let reading = Reading {
            table: &table.table,
            columns: &table.selected(names)?,
            plain: table.is_plain(),
            form,
            pages,
            condition: table.condition.as_deref(),
            filter: table.filter.as_deref(),
        };
        let patience = Patience {
            ctx: copying.ctx,
            stall: copying.options.stall,
        };
        let what = format!("table {}", table.table);
        let relay = Relay(Sum::new(form, table.columns.len()));
        let sql = reading.sql(names)?;
        let read = copy_out(&patience, session, &sql, &what, relay, &ready).await;
        let Relay(sum) = match read {
            Err(e) if !table.is_plain() || table.filter.is_some() => {
                return Err(without_values(&e, &what));
            }
            read => read?,
        };
        let tally = sum.finish()?;
        // Nobody takes it only if the writing failed, which is the error to show.
        let _ = ready.send(Piece::End).await;
        Ok(tally)
    }
}

/// What the server says of an expression of the spec may quote what it was evaluated on, which
/// is to be hidden.
fn without_values(e: &Error, what: &str) -> Error {
    const STATE: &str = "(SQLSTATE ";
    if e.kind() != ErrorKind::Server {
        return Error::new(e.kind(), format!("could not read {what}"));
    }
    let said = e.chain();
    let state = said
        .rfind(STATE)
        .and_then(|at| said.get(at + STATE.len()..)?.get(..5));
    Error::new(
        ErrorKind::Server,
        format!(
            "the source could not evaluate what the spec says of {what} (SQLSTATE {})",
            state.unwrap_or("unknown")
        ),
    )
    .hint("its message may hold what is to be hidden; it is in the source's own log")
}

/// Adds rows up and hands them on.
struct Relay(Sum);

impl PieceWork for Relay {
    type Ready = Piece;

    fn take(&mut self, piece: BytesMut) -> Result<Option<Piece>> {
        self.0.feed(&piece)?;
        Ok(Some(Piece::Bytes(piece.freeze())))
    }
}
