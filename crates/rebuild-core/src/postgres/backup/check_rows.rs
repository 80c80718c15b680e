//! Reading the rows of a backup back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::check::ended_early;
use super::manifest::{ChunkEntry, Manifest, TableEntry};
use crate::error::{Error, Result};
use crate::event::{Ctx, Unit};
use crate::model::RowForm;
use crate::postgres::rows::pack::{Unpacker, checksum};
use crate::postgres::rows::scan::{Sum, Tally};
use crate::postgres::rows::units::{Queue, join_workers};
use crate::store::{Name, Store};

/// Bytes that are decompressed at a time.
pub(super) const PIECE: usize = 512 * 1024;

/// KiB of chunks that all workers together may hold.
const MEMORY_KIB: u32 = 48 << 10;

/// What was found.
#[derive(Default)]
pub(super) struct RowFindings {
    /// Chunks in all.
    pub(super) chunks: usize,
    /// Rows that were read.
    pub(super) rows: u64,
    /// What is wrong with chunks, each named by its file.
    pub(super) chunk_complaints: Vec<String>,
    /// What is wrong with tables whose chunks are fine.
    pub(super) table_complaints: Vec<String>,
}

/// A chunk to read, and what its rows are.
pub(super) struct ChunkToRead {
    pub(super) table: usize,
    pub(super) form: RowForm,
    pub(super) columns: usize,
    pub(super) chunk: ChunkEntry,
}

/// What was read back of some chunks, for whoever has the manifest to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadBack {
    /// By the tables' places in the manifest.
    pub(super) tables: Vec<TableRead>,
    /// What is wrong with chunks, each named by its file.
    pub(super) complaints: Vec<String>,
}

/// What was read back of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableRead {
    pub(super) table: usize,
    /// How many sound chunks.
    pub(super) chunks: usize,
    pub(super) tally: Tally,
}

impl ReadBack {
    fn of(found: impl IntoIterator<Item = Found>) -> Self {
        let mut tables: BTreeMap<usize, TableRead> = BTreeMap::new();
        let mut complaints = Vec::new();
        for (table, found) in found {
            match found {
                Ok(tally) => match tables.entry(table) {
                    Entry::Vacant(place) => {
                        place.insert(TableRead {
                            table,
                            chunks: 1,
                            tally,
                        });
                    }
                    Entry::Occupied(mut known) => {
                        known.get_mut().chunks += 1;
                        known.get_mut().tally.merge(&tally);
                    }
                },
                Err(complaint) => complaints.push(complaint),
            }
        }
        Self {
            tables: tables.into_values().collect(),
            complaints,
        }
    }

    /// Adds what somebody else has read of the same backup.
    pub(super) fn extend(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.complaints.extend(other.complaints);
    }

    /// How many chunks were read.
    pub(super) fn chunks(&self) -> usize {
        let sound: usize = self.tables.iter().map(|read| read.chunks).sum();
        sound + self.complaints.len()
    }

    /// Compares with what `manifest` says.
    pub(super) fn findings(self, manifest: &Manifest) -> RowFindings {
        let mut findings = RowFindings {
            chunks: manifest.tables.iter().map(|t| t.chunks.len()).sum(),
            chunk_complaints: self.complaints,
            ..RowFindings::default()
        };
        let mut sums = Sums::new(manifest);
        for read in self.tables {
            findings.rows += read.tally.rows;
            sums.add(&read);
        }
        findings.chunk_complaints.sort();
        findings.table_complaints = sums.complaints(manifest);
        findings
    }
}

struct Reader {
    ctx: Ctx,
    store: Store,
    folder: Name,
    queue: Queue<ChunkToRead>,
    /// One permit for each KiB.
    memory: Semaphore,
    bytes: AtomicU64,
    total: u64,
    look: Arc<Look>,
}

/// What is looked at in a chunk: its rows, or why they cannot be had.
pub(super) type Look = dyn Fn(&ChunkToRead, bytes::Bytes) -> Result<Tally, String> + Send + Sync;

/// The rows of a chunk, by its table, or why they cannot be had.
pub(super) type Found = (usize, Result<Tally, String>);

/// The chunks of `manifest` that are in `whole`.
pub(super) fn chunks_of(manifest: &Manifest, whole: &BTreeSet<String>) -> Vec<ChunkToRead> {
    let tables = manifest.tables.iter().enumerate();
    tables
        .flat_map(|(table, entry)| {
            entry.chunks.iter().map(move |chunk| ChunkToRead {
                table,
                form: entry.form,
                columns: entry.columns.len(),
                chunk: chunk.clone(),
            })
        })
        .filter(|job| whole.contains(&job.chunk.file))
        .collect()
}

/// Reads `chunks` of the backup in `folder`, several at a time.
///
/// # Errors
/// The store could not be read.
pub(super) async fn read_chunks(
    ctx: &Ctx,
    store: &Store,
    folder: &Name,
    chunks: Vec<ChunkToRead>,
    workers: NonZeroUsize,
) -> Result<ReadBack> {
    let found = read(ctx, (store, folder), chunks, workers, Arc::new(check_chunk)).await?;
    Ok(ReadBack::of(found))
}

/// What is wrong with the checksums of `chunks`, each named by its file. Their rows are not looked at.
///
/// # Errors
/// The store could not be read.
pub(super) async fn damaged_chunks(
    ctx: &Ctx,
    store: &Store,
    folder: &Name,
    chunks: Vec<ChunkToRead>,
    workers: NonZeroUsize,
) -> Result<Vec<String>> {
    let look = |job: &ChunkToRead, stored: bytes::Bytes| {
        compare(job, &stored).map(|()| Tally::new(job.columns))
    };
    let found = read(ctx, (store, folder), chunks, workers, Arc::new(look)).await?;
    let mut complaints: Vec<String> = found.into_iter().filter_map(|(_, f)| f.err()).collect();
    complaints.sort();
    Ok(complaints)
}

/// Looks at `chunks` of the backup in `folder`, several at a time.
///
/// # Errors
/// The store could not be read.
pub(super) async fn read(
    ctx: &Ctx,
    (store, folder): (&Store, &Name),
    chunks: Vec<ChunkToRead>,
    workers: NonZeroUsize,
    look: Arc<Look>,
) -> Result<Vec<Found>> {
    let reader = Arc::new(Reader {
        ctx: ctx.clone(),
        store: store.clone(),
        folder: folder.clone(),
        total: chunks.iter().map(|j| j.chunk.stored_bytes).sum(),
        bytes: AtomicU64::new(0),
        queue: Queue::new(chunks),
        memory: Semaphore::new(MEMORY_KIB as usize),
        look,
    });
    let mut running = JoinSet::new();
    for _ in 0..workers.get() {
        running.spawn(reader.clone().work());
    }
    let found = join_workers(running).await?;
    Ok(found.into_iter().flatten().collect())
}

impl Reader {
    async fn work(self: Arc<Self>) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        while let Some(job) = self.queue.next() {
            self.ctx.check_stop("the check of the backup")?;
            let room = u32::try_from(job.chunk.stored_bytes >> 10).unwrap_or(u32::MAX);
            // One that is larger than all the room there is has it for itself.
            let room = self.memory.acquire_many(room.min(MEMORY_KIB));
            let _room = room
                .await
                .map_err(|e| Error::internal("no room").caused_by(e))?;
            let name = self.folder.join(&job.chunk.file)?;
            let stored = self.store.get_sized(&name, job.chunk.stored_bytes).await?;
            let read = stored.len() as u64;
            let (table, look) = (job.table, self.look.clone());
            let checked = tokio::task::spawn_blocking(move || look(&job, stored))
                .await
                .map_err(ended_early)?;
            let bytes = self.bytes.fetch_add(read, Ordering::Relaxed) + read;
            let events = &self.ctx.events;
            events.progress("check", bytes, Some(self.total), Unit::Bytes);
            found.push((table, checked));
        }
        Ok(found)
    }
}

/// What is wrong with the checksum of a chunk, if anything is.
pub(super) fn compare(job: &ChunkToRead, stored: &[u8]) -> Result<(), String> {
    if checksum(stored) == job.chunk.blake3 {
        return Ok(());
    }
    Err(format!(
        "{} does not have the checksum that the manifest says",
        job.chunk.file
    ))
}

fn check_chunk(job: &ChunkToRead, stored: bytes::Bytes) -> Result<Tally, String> {
    let file = &job.chunk.file;
    compare(job, &stored)?;
    let tally = read_rows(job, stored).map_err(|e| format!("{file}: {}", e.chain()))?;
    if tally.rows == job.chunk.rows {
        return Ok(tally);
    }
    Err(format!(
        "{file} holds {} rows, and the manifest says {}",
        tally.rows, job.chunk.rows
    ))
}

fn read_rows(job: &ChunkToRead, stored: bytes::Bytes) -> Result<Tally> {
    let mut unpacker = Unpacker::new(stored, job.chunk.raw_bytes)?;
    let mut sum = Sum::new(job.form, job.columns);
    loop {
        let piece = unpacker.next_piece(PIECE)?;
        if piece.is_empty() {
            return sum.finish();
        }
        sum.feed(&piece)?;
    }
}

/// The sums of the tables, and how many of their chunks are in them.
struct Sums(Vec<(Tally, usize)>);

impl Sums {
    fn new(manifest: &Manifest) -> Self {
        Self(
            manifest
                .tables
                .iter()
                .map(|t| (Tally::new(t.columns.len()), 0))
                .collect(),
        )
    }

    fn add(&mut self, read: &TableRead) {
        // What a worker says of a table that there is not is in no sum.
        if let Some((sum, chunks)) = self.0.get_mut(read.table) {
            sum.merge(&read.tally);
            *chunks += read.chunks;
        }
    }

    /// A table that lacks a chunk is not complained about again: its chunk was.
    fn complaints(&self, manifest: &Manifest) -> Vec<String> {
        self.0
            .iter()
            .zip(&manifest.tables)
            .filter(|((_, chunks), table)| *chunks == table.chunks.len())
            .filter_map(|((sum, _), table)| complaint(sum, table))
            .collect()
    }
}

/// Why `sum` is not what the manifest says of `table`, if it is not.
pub(super) fn complaint(sum: &Tally, table: &TableEntry) -> Option<String> {
    let name = &table.table;
    if sum.rows != table.rows {
        return Some(format!(
            "table {name} has {} rows in its chunks, and the manifest says {}",
            sum.rows, table.rows
        ));
    }
    if sum.hash != table.hash {
        return Some(format!(
            "the rows of table {name} add up to {}, and the manifest says {}",
            sum.hash, table.hash
        ));
    }
    let filled = table.columns.iter().map(|c| c.filled);
    if !filled.eq(sum.non_null.iter().copied()) {
        return Some(format!(
            "the columns of table {name} are not filled as the manifest says"
        ));
    }
    None
}
