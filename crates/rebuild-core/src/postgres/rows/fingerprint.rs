//! Fingerprints of tables as they are now.

use bytes::BytesMut;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::copy_out::{Patience, PieceWork, copy_out};
use super::moment::Hold;
use super::names::Names;
use super::options::RowOptions;
use super::scan::{Sum, Tally};
use super::snapshot::{Snapshot, TableReader, reader};
use super::tables::LiveTable;
use super::units::{Extent, Queue, Reading, Unit, join_workers, units};
use crate::error::Result;
use crate::event::{Ctx, Unit as Counted};
use crate::model::{Endpoint, Identity, RowForm};
use crate::postgres::application;

/// For columns, by their names: types.
pub(crate) type Casts = BTreeMap<String, String>;

/// A table whose rows are to be added up.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The table as the snapshot sees it; rows of tables that inherit from it are not its own.
    pub table: LiveTable,
    /// The names of the columns to read.
    pub columns: Vec<String>,
    /// The types that some of them are read as, if not their own.
    pub casts: Casts,
    /// The form to read them in.
    pub form: RowForm,
    /// A `WHERE` clause, for configuration tables of extensions.
    pub condition: Option<String>,
    /// The place of the table in the manifest whose condition that is, if it is not its own.
    pub entry: Option<usize>,
}

impl Wanted {
    fn extent(&self) -> Extent {
        Extent {
            bytes: self.table.bytes,
            // A condition and a range of pages cannot both pick the rows.
            pages: if self.condition.is_some() {
                0
            } else {
                self.table.pages
            },
        }
    }
}

/// Tables of one database that are to be added up as its snapshot sees them.
pub(crate) struct ToAddUp<'a> {
    /// The database itself.
    pub endpoint: &'a Endpoint,
    /// Which one that is.
    pub of: &'a Identity,
    /// What sees them.
    pub snapshot: &'a Snapshot,
    /// The encoding to read them in.
    pub encoding: &'a str,
    /// The tables.
    pub wanted: Vec<Wanted>,
}

impl ToAddUp<'_> {
    /// The parts in which they are read.
    pub(crate) fn parts(&self, options: &RowOptions) -> Vec<Unit> {
        let extents: Vec<Extent> = self.wanted.iter().map(Wanted::extent).collect();
        units(&extents, options.split_bytes)
    }

    /// Adds them up on several sessions of this process. The sums are in their order.
    ///
    /// # Errors
    /// A table could not be read.
    pub(crate) async fn add_up(&self, ctx: &Ctx, options: &RowOptions) -> Result<Vec<Tally>> {
        let adding = AddingUp {
            ctx: ctx.clone(),
            endpoint: self.endpoint.clone(),
            snapshot: self.snapshot.id().to_owned(),
            encoding: self.encoding.to_owned(),
            wanted: self.wanted.clone(),
            options: options.clone(),
            hold: None,
        };
        Ok(self.sums(&adding.run(self.parts(options)).await?))
    }

    /// What the parts of each table come to, in the tables' order.
    pub(crate) fn sums(&self, parts: &[PartSum]) -> Vec<Tally> {
        let nothing = |w: &Wanted| Tally::new(w.columns.len());
        let mut sums: Vec<Tally> = self.wanted.iter().map(nothing).collect();
        for part in parts {
            sums[part.table].merge(&part.tally);
        }
        sums
    }
}

/// What the rows of a part of a table add up to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartSum {
    /// The table's place in the list.
    pub table: usize,
    /// Which part.
    pub part: u32,
    /// The sum.
    pub tally: Tally,
}

/// How parts of tables are added up.
pub(crate) struct AddingUp {
    pub ctx: Ctx,
    /// The database itself.
    pub endpoint: Endpoint,
    /// The name of the snapshot that sees the rows.
    pub snapshot: String,
    /// The encoding to read them in.
    pub encoding: String,
    /// The tables.
    pub wanted: Vec<Wanted>,
    pub options: RowOptions,
    /// Whether somebody else still holds the snapshot, if it is not ours.
    pub hold: Option<Hold>,
}

impl AddingUp {
    /// Adds up `parts` in their order, on several sessions.
    ///
    /// # Errors
    /// A table could not be read; the snapshot is no longer held.
    pub(crate) async fn run(self, parts: Vec<Unit>) -> Result<Vec<PartSum>> {
        let jobs = self.options.jobs.get().min(parts.len());
        let work = Arc::new(Work {
            how: self,
            queue: Queue::new(parts),
            rows: AtomicU64::new(0),
        });
        let mut workers = JoinSet::new();
        for _ in 0..jobs {
            workers.spawn(work.clone().worker());
        }
        Ok(join_workers(workers).await?.into_iter().flatten().collect())
    }

    async fn require_held(&self) -> Result<()> {
        match &self.hold {
            Some(hold) => hold.require().await,
            None => Ok(()),
        }
    }

    async fn add_up(&self, reader: &mut TableReader, unit: &Unit) -> Result<Tally> {
        let wanted = &self.wanted[unit.table];
        let table = &wanted.table.table;
        let names = Names::under(&self.encoding);
        let columns = wanted.columns.iter().map(|name| {
            let column = names.ident(name)?;
            Ok(match wanted.casts.get(name) {
                Some(type_name) => format!("{column}::{type_name}"),
                None => column,
            })
        });
        let reading = Reading {
            table,
            columns: &columns.collect::<Result<Vec<_>>>()?,
            plain: wanted.casts.is_empty(),
            form: wanted.form,
            pages: unit.pages,
            condition: wanted.condition.as_deref(),
            filter: None,
        };
        let patience = Patience {
            ctx: &self.ctx,
            stall: self.options.stall,
        };
        let (nothing, _none) = mpsc::channel(1);
        let sum = Sum::new(wanted.form, wanted.columns.len());
        let what = format!("table {table}");
        let sql = reading.sql(names)?;
        let session = reader.next().await?;
        let sum = copy_out(&patience, session, &sql, &what, sum, &nothing).await?;
        sum.finish()
    }
}

struct Work {
    how: AddingUp,
    queue: Queue<Unit>,
    rows: AtomicU64,
}

impl Work {
    async fn worker(self: Arc<Self>) -> Result<Vec<PartSum>> {
        let how = &self.how;
        how.require_held().await?;
        let application = application(&how.ctx);
        let opening = reader(&how.endpoint, &application, &how.snapshot, &how.encoding);
        let mut reader = TableReader::new(opening.await?).await?;
        let mut sums = Vec::new();
        while let Some(unit) = self.queue.next() {
            how.require_held().await?;
            let tally = how.add_up(&mut reader, &unit).await?;
            let rows = self.rows.fetch_add(tally.rows, Ordering::Relaxed) + tally.rows;
            let events = &how.ctx.events;
            events.progress("fingerprint", rows, None, Counted::Rows);
            sums.push(PartSum {
                table: unit.table,
                part: unit.part,
                tally,
            });
        }
        Ok(sums)
    }
}

impl PieceWork for Sum {
    type Ready = std::convert::Infallible;

    fn take(&mut self, piece: BytesMut) -> Result<Option<Self::Ready>> {
        self.feed(&piece)?;
        Ok(None)
    }
}
