//! The rows of a table, from its chunks into a file.

use std::fs::File;
use std::io::BufWriter;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::Export;
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::model::RowForm;
use crate::postgres::backup::check_rows::{PIECE, complaint};
use crate::postgres::backup::manifest::{ChunkEntry, TableEntry};
use crate::postgres::backup::text::{Lines, Rows};
use crate::postgres::rows::pack::{Unpacker, checksum};
use crate::postgres::rows::scan::{RowScanner, Tally};
use crate::store::{Name, Store};

/// Chunks that are fetched while one is written.
const AHEAD: usize = 2;

/// How far an export is.
#[derive(Default)]
pub(super) struct Progress {
    done: AtomicU64,
    total: u64,
}

impl Progress {
    /// Of an export of the chunks of `tables`.
    pub(super) fn of<'a>(tables: impl IntoIterator<Item = &'a TableEntry>) -> Self {
        let chunks = tables.into_iter().flat_map(|table| &table.chunks);
        Self {
            done: AtomicU64::new(0),
            total: chunks.map(|chunk| chunk.stored_bytes).sum(),
        }
    }
}

/// A table on its way into a file.
pub(super) struct TableOut {
    form: RowForm,
    tally: Tally,
    /// How its rows are read.
    pub(super) rows: Rows,
    /// What they become.
    pub(super) lines: Lines,
    /// Where that goes.
    pub(super) file: BufWriter<File>,
}

impl TableOut {
    pub(super) fn new(table: &TableEntry, rows: Rows, lines: Lines, file: BufWriter<File>) -> Self {
        Self {
            form: table.form,
            tally: Tally::new(table.columns.len()),
            rows,
            lines,
            file,
        }
    }

    /// Writes the rows of `stored`, once it is known to be the chunk that the manifest means.
    fn chunk(&mut self, chunk: &ChunkEntry, stored: Bytes) -> Result<()> {
        if checksum(&stored) != chunk.blake3 {
            return Err(Error::corrupt(
                "it does not have the checksum that the manifest says",
            ));
        }
        let before = self.tally.rows;
        let mut unpacker = Unpacker::new(stored, chunk.raw_bytes)?;
        let mut scanner = RowScanner::new(self.form);
        loop {
            let piece = unpacker.next_piece(PIECE)?;
            if piece.is_empty() {
                break;
            }
            let (rows, lines) = (&mut self.rows, &mut self.lines);
            scanner.feed(&piece, &mut self.tally, |whole| rows.write(whole, lines))?;
            self.lines.take(&mut self.file)?;
        }
        scanner.end()?;
        let found = self.tally.rows - before;
        if found == chunk.rows {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "it holds {found} rows, and the manifest says {}",
            chunk.rows
        )))
    }
}

impl Export<'_> {
    /// Writes every row of `table`.
    ///
    /// # Errors
    /// A chunk is missing or damaged, which is named; the rows are not those of the manifest; a
    /// value cannot be written in the encoding that is asked for; the file cannot be written.
    pub(super) async fn rows(
        &self,
        table: &TableEntry,
        mut out: TableOut,
        progress: &Progress,
    ) -> Result<TableOut> {
        let (store, folder) = (
            self.shelf.store.clone(),
            self.shelf.folder(&self.manifest.id)?,
        );
        let chunks = table.chunks.clone().into_iter();
        let fetched = chunks.map(move |chunk| fetch(store.clone(), folder.clone(), chunk));
        let mut fetched = stream::iter(fetched).buffered(AHEAD);
        while let Some(fetched) = fetched.next().await {
            self.ctx.check_stop("the export")?;
            let (chunk, stored) = fetched?;
            let bytes = chunk.stored_bytes;
            out = tokio::task::spawn_blocking(move || {
                out.chunk(&chunk, stored)
                    .map_err(|e| e.context(format!("could not export {}", chunk.file)))?;
                Ok::<_, Error>(out)
            })
            .await
            .map_err(|e| Error::internal("the export ended early").caused_by(e))??;
            let done = progress.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            let events = &self.ctx.events;
            events.progress("export", done, Some(progress.total), Unit::Bytes);
        }
        match complaint(&out.tally, table) {
            None => Ok(out),
            Some(why) => Err(Error::corrupt(why)),
        }
    }
}

async fn fetch(store: Store, folder: Name, chunk: ChunkEntry) -> Result<(ChunkEntry, Bytes)> {
    let name = folder.join(&chunk.file)?;
    let stored = store.get_sized(&name, chunk.stored_bytes).await;
    let stored = stored.map_err(|e| e.context(format!("could not export {}", chunk.file)))?;
    Ok((chunk, stored))
}
