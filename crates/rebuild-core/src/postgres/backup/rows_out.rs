//! The rows of every table, from the server into the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::csv::CsvPacker;
use super::files::HashedFile;
use super::layout::{chunk_file, csv_file};
use super::manifest::{ChunkEntry, FileEntry};
use super::together::{Together, both};
use crate::error::{Error, Result};
use crate::event::{Ctx, Unit as Counted};
use crate::model::{Endpoint, RowForm};
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::copy_out::{Patience, PieceWork, copy_out};
use crate::postgres::rows::moment::Hold;
use crate::postgres::rows::names::Names;
use crate::postgres::rows::pack::{PackedChunk, Packer};
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::{TableReader, reader};
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::rows::units::{Extent, Queue, Reading, Unit, units};
use crate::postgres::{Session, application};
use crate::store::{Name, Store};
use crate::work::Share;

/// Bytes of compressed chunks that all workers together may hold. Each has a chunk that grows,
/// one that waits and one on its way to the store.
const MEMORY: u64 = 48 << 20;
const CHUNKS_EACH: u64 = 3;

/// What is read, from where, and where it goes.
pub(super) struct RowsOut {
    pub(super) ctx: Ctx,
    /// The database itself.
    pub(super) endpoint: Endpoint,
    /// The id of the exported snapshot.
    pub(super) snapshot: String,
    /// The database's encoding.
    pub(super) encoding: String,
    /// The tables, in the order of the manifest.
    pub(super) tables: Vec<LiveTable>,
    pub(super) options: RowOptions,
    pub(super) store: Store,
    /// The backup's folder.
    pub(super) folder: Name,
    /// The share of a work that this is, if it is one.
    pub(super) share: Option<Share>,
    /// Whether the coordinator of that work is there still.
    pub(super) hold: Option<Hold>,
}

/// The rows of one table, stored.
pub(super) struct StoredRows {
    pub(super) tally: Tally,
    pub(super) chunks: Vec<ChunkEntry>,
    pub(super) csv: Option<FileEntry>,
}

/// What one session reads at a time.
pub(super) enum Piece {
    Rows(Unit),
    Csv(usize),
}

/// What has been stored of a piece.
pub(super) enum Done {
    Rows(UnitDone),
    Csv(usize, FileEntry),
}

/// The rows of a part of a table, stored.
#[derive(Serialize, Deserialize)]
pub(super) struct UnitDone {
    pub(super) table: usize,
    pub(super) part: u32,
    pub(super) tally: Tally,
    pub(super) chunks: Vec<ChunkEntry>,
}

struct Work {
    out: RowsOut,
    queue: Queue<Piece>,
    bytes: AtomicU64,
    rows: AtomicU64,
    total: u64,
}

/// The parts that the tables are read in.
pub(super) fn parts_of(tables: &[LiveTable], options: &RowOptions) -> Vec<Unit> {
    let extents: Vec<Extent> = tables.iter().map(LiveTable::extent).collect();
    units(&extents, options.split_bytes)
}

/// What has been stored of each of `tables`, in their order.
pub(super) fn by_table(
    tables: &[LiveTable],
    done: impl IntoIterator<Item = Done>,
) -> Vec<StoredRows> {
    let nothing = |t: &LiveTable| StoredRows {
        tally: Tally::new(t.columns.len()),
        chunks: Vec::new(),
        csv: None,
    };
    let mut stored: Vec<StoredRows> = tables.iter().map(nothing).collect();
    for done in done {
        match done {
            Done::Rows(unit) => {
                stored[unit.table].tally.merge(&unit.tally);
                stored[unit.table].chunks.extend(unit.chunks);
            }
            Done::Csv(table, file) => stored[table].csv = Some(file),
        }
    }
    for table in &mut stored {
        table.chunks.sort_by(|a, b| a.file.cmp(&b.file));
    }
    stored
}

impl Piece {
    /// Bytes of rows in it, about; those of a CSV file are counted with the rows.
    fn weight(&self) -> u64 {
        match self {
            Self::Rows(unit) => unit.weight,
            Self::Csv(_) => 0,
        }
    }
}

impl RowsOut {
    /// Reads and stores `pieces` in their order, on several sessions.
    ///
    /// # Errors
    /// A table could not be read, or the store could not be written.
    pub(super) async fn run(self, pieces: Vec<Piece>) -> Result<Vec<Done>> {
        let count = self.options.jobs.get().min(pieces.len());
        let together = Together::new(&self.ctx);
        let work = Arc::new(Work {
            total: pieces.iter().map(Piece::weight).sum(),
            queue: Queue::new(pieces),
            bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            out: Self {
                ctx: together.ctx.clone(),
                ..self
            },
        });
        let mut workers = JoinSet::new();
        for _ in 0..count {
            workers.spawn(work.clone().worker());
        }
        let done = together.workers(workers).await?;
        Ok(done.into_iter().flatten().collect())
    }
}

/// The most bytes that a chunk may have after compression.
fn stored_bytes(options: &RowOptions) -> u64 {
    MEMORY / (CHUNKS_EACH * options.jobs.get() as u64)
}

impl Work {
    async fn worker(self: Arc<Self>) -> Result<Vec<Done>> {
        let out = &self.out;
        let session = reader(
            &out.endpoint,
            &application(&out.ctx),
            &out.snapshot,
            &out.encoding,
        )
        .await?;
        let mut reader = TableReader::new(session).await?;
        let mut done = Vec::new();
        while let Some(piece) = self.queue.next() {
            let session = reader.next().await?;
            done.push(match piece {
                Piece::Rows(unit) => self.rows_of(session, &unit).await?,
                Piece::Csv(table) => self.csv_of(session, table).await?,
            });
        }
        Ok(done)
    }

    async fn rows_of(&self, session: &Session, unit: &Unit) -> Result<Done> {
        if let Some(hold) = &self.out.hold {
            hold.require().await?;
        }
        let table = &self.out.tables[unit.table];
        let form = table.form();
        let names = Names::under(&self.out.encoding);
        let reading = Reading {
            table: &table.table,
            columns: &table.quoted_columns(names)?,
            plain: true,
            form,
            pages: unit.pages,
            condition: table.condition.as_deref(),
            filter: None,
        };
        let (send, mut ready) = mpsc::channel(1);
        let sql = reading.sql(names)?;
        let read = self.read(session, table, form, &sql, send);
        // It takes the receiving end with it, so that the reading ends if the storing fails.
        let store = async move {
            let mut chunks = Vec::new();
            while let Some(chunk) = ready.recv().await {
                let attempt = self.out.share.as_ref().map(Share::attempt);
                let file = chunk_file(unit.table, unit.part, chunks.len(), attempt);
                chunks.push(self.store_chunk(file, chunk).await?);
            }
            Ok(chunks)
        };
        let (tally, chunks) = tokio::join!(read, store);
        let (tally, chunks) = both(tally, chunks)?;
        Ok(Done::Rows(UnitDone {
            table: unit.table,
            part: unit.part,
            tally,
            chunks,
        }))
    }

    async fn read(
        &self,
        session: &Session,
        table: &LiveTable,
        form: RowForm,
        sql: &str,
        ready: mpsc::Sender<PackedChunk>,
    ) -> Result<Tally> {
        let options = &self.out.options;
        let columns = table.columns.len();
        let packer = Packer::new(form, columns, options.level, options.chunk_bytes)?
            .bounded(stored_bytes(options));
        let what = format!("table {}", table.table);
        let packer = copy_out(&self.patience(), session, sql, &what, packer, &ready).await?;
        let (last, tally) = tokio::task::spawn_blocking(move || packer.finish())
            .await
            .map_err(|e| Error::internal("the work on rows ended early").caused_by(e))?
            .map_err(|e| e.context(format!("could not read {what}")))?;
        if let Some(chunk) = last {
            // Nobody takes it only if storing failed, which is the error to show.
            let _ = ready.send(chunk).await;
        }
        Ok(tally)
    }

    fn patience(&self) -> Patience<'_> {
        Patience {
            ctx: &self.out.ctx,
            stall: self.out.options.stall,
        }
    }

    async fn store_chunk(&self, file: String, chunk: PackedChunk) -> Result<ChunkEntry> {
        let entry = ChunkEntry {
            rows: chunk.rows,
            raw_bytes: chunk.raw_bytes,
            stored_bytes: chunk.stored.len() as u64,
            blake3: chunk.checksum,
            file,
        };
        if let Some(share) = &self.out.share {
            // Nobody would read it, nor remove it.
            share.require_open().await?;
        }
        let name = self.out.folder.join(&entry.file)?;
        self.out.store.put_new(&name, chunk.stored).await?;
        let bytes = self.bytes.fetch_add(entry.raw_bytes, Ordering::Relaxed) + entry.raw_bytes;
        let rows = self.rows.fetch_add(entry.rows, Ordering::Relaxed) + entry.rows;
        let events = &self.out.ctx.events;
        events.progress("backup", bytes, Some(self.total.max(bytes)), Counted::Bytes);
        events.progress("backup rows", rows, None, Counted::Rows);
        Ok(entry)
    }

    /// The rows of a table once more, as CSV with a header.
    async fn csv_of(&self, session: &Session, index: usize) -> Result<Done> {
        let out = &self.out;
        let table = &out.tables[index];
        let names = Names::under(&out.encoding);
        let sql = format!(
            "copy (select {} from only {} {}) to stdout with (format csv, header true{})",
            table.quoted_columns(names)?.join(", "),
            names.table(&table.table)?,
            table.condition.as_deref().unwrap_or_default(),
            // Other programs expect UTF-8; from SQL_ASCII the bytes come as they are.
            if out.encoding == "SQL_ASCII" {
                ""
            } else {
                ", encoding 'UTF8'"
            }
        );
        let (send, mut ready) = mpsc::channel(1);
        let what = format!("table {} as CSV", table.table);
        let read = async move {
            let packer = CsvPacker::new(out.options.level)?;
            let packer = copy_out(&self.patience(), session, &sql, &what, packer, &send).await?;
            // Nobody takes it only if storing failed, which is the error to show.
            let _ = send.send(packer.finish()?).await;
            Ok::<_, Error>(())
        };
        let store = async move {
            let file = csv_file(index, &table.table);
            let mut file = HashedFile::create(&out.store, &out.folder, &file).await?;
            while let Some(bytes) = ready.recv().await {
                file.write(&bytes).await?;
            }
            Ok(file)
        };
        let (read, file) = tokio::join!(read, store);
        let ((), file) = both(read, file)?;
        Ok(Done::Csv(index, file.finish().await?))
    }
}

impl PieceWork for Packer {
    type Ready = PackedChunk;

    fn take(&mut self, piece: BytesMut) -> Result<Option<PackedChunk>> {
        self.push(&piece)
    }
}
