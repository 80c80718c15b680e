//! Fingerprints of tables as they are now.

use bytes::BytesMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::copy_out::{Patience, PieceWork, copy_out};
use super::names::Names;
use super::options::RowOptions;
use super::scan::{Sum, Tally};
use super::snapshot::{Snapshot, TableReader, reader};
use super::units::{Extent, Queue, Reading, Unit, join_workers, units};
use crate::error::Result;
use crate::event::{Ctx, Unit as Counted};
use crate::model::{Endpoint, RowForm, TableName};

/// A table whose rows are to be added up.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The table; rows of tables that inherit from it are not its own.
    pub table: TableName,
    /// One SQL expression for each column, names quoted for a session in `encoding`.
    pub columns: Vec<String>,
    /// True if the expressions are plain column names.
    pub plain: bool,
    /// The form to read them in.
    pub form: RowForm,
    /// A `WHERE` clause, for configuration tables of extensions.
    pub condition: Option<String>,
    /// Its size.
    pub extent: Extent,
}

/// Adds up the rows of each of `wanted`, as the snapshot sees them, on several sessions. The
/// sums are in the order of `wanted`.
///
/// # Errors
/// A table could not be read.
pub(crate) async fn add_up(
    ctx: &Ctx,
    endpoint: &Endpoint,
    snapshot: &Snapshot,
    encoding: &str,
    wanted: Vec<Wanted>,
    options: &RowOptions,
) -> Result<Vec<Tally>> {
    let extents: Vec<Extent> = wanted.iter().map(|w| w.extent).collect();
    let mut sums: Vec<Tally> = wanted.iter().map(|w| Tally::new(w.columns.len())).collect();
    let queue = Queue::new(units(&extents, options.split_bytes));
    let jobs = options.jobs.get().min(queue.len());
    let work = Arc::new(AddingUp {
        ctx: ctx.clone(),
        endpoint: endpoint.clone(),
        snapshot: snapshot.id().to_owned(),
        encoding: encoding.to_owned(),
        wanted,
        options: options.clone(),
        queue,
        rows: AtomicU64::new(0),
    });
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        workers.spawn(work.clone().worker());
    }
    for (table, part) in join_workers(workers).await?.into_iter().flatten() {
        sums[table].merge(&part);
    }
    Ok(sums)
}

struct AddingUp {
    ctx: Ctx,
    endpoint: Endpoint,
    snapshot: String,
    encoding: String,
    wanted: Vec<Wanted>,
    options: RowOptions,
    queue: Queue<Unit>,
    rows: AtomicU64,
}

impl AddingUp {
    async fn worker(self: Arc<Self>) -> Result<Vec<(usize, Tally)>> {
        let application = format!("rebuild/{}", self.ctx.run);
        let session = reader(&self.endpoint, &application, &self.snapshot, &self.encoding).await?;
        let mut reader = TableReader::new(session).await?;
        let patience = Patience {
            ctx: &self.ctx,
            stall: self.options.stall,
        };
        let names = Names::under(&self.encoding);
        let (nothing, _none) = mpsc::channel(1);
        let mut sums = Vec::new();
        while let Some(unit) = self.queue.next() {
            let wanted = &self.wanted[unit.table];
            let reading = Reading {
                table: &wanted.table,
                columns: &wanted.columns,
                plain: wanted.plain,
                form: wanted.form,
                pages: unit.pages,
                condition: wanted.condition.as_deref(),
                filter: None,
            };
            let sum = Sum::new(wanted.form, wanted.columns.len());
            let sum = copy_out(
                &patience,
                reader.next().await?,
                &reading.sql(names)?,
                &format!("table {}", wanted.table),
                sum,
                &nothing,
            )
            .await?;
            let tally = sum.finish()?;
            let rows = self.rows.fetch_add(tally.rows, Ordering::Relaxed) + tally.rows;
            let events = &self.ctx.events;
            events.progress("fingerprint", rows, None, Counted::Rows);
            sums.push((unit.table, tally));
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
