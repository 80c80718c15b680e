//! Loading one piece of a table: chunks from the store, through COPY.

use std::ops::Range;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::copy_in::{CopyIn, Piece};
use super::placement::Placement;
use crate::error::{Error, Result};
use crate::model::{BackupId, TableKind};
use crate::postgres::backup::{ChunkEntry, Manifest, layout};
use crate::postgres::rows::pack::{Unpacker, checksum};
use crate::postgres::{Session, qualified};
use crate::store::{Name, Store};

/// Bytes handed to the server at a time.
pub(super) const PIECE: usize = 256 * 1024;
/// Pieces that may wait for the server.
pub(super) const AHEAD: usize = 8;
/// What all workers share.
pub(super) struct Loading<'a> {
    pub(super) copying: CopyIn<'a>,
    pub(super) store: &'a Store,
    pub(super) manifest: &'a Manifest,
}

impl Loading<'_> {
    /// Loads `chunks` of the table, in the transaction of their piece. With `whole`, the table is
    /// emptied first, which also lets its rows be written as frozen.
    ///
    /// # Errors
    /// A chunk is damaged; the rows do not fit; the server failed.
    pub(super) async fn load(
        &self,
        session: &Session,
        placement: &Placement,
        chunks: Range<usize>,
        whole: bool,
    ) -> Result<()> {
        let entry = &self.manifest.tables[placement.entry];
        let begun = self.copying.begin(session, entry, placement, whole);
        let steps = begun.await?;
        let what = || format!("could not restore table {}", entry.table);
        let source = Source {
            store: self.store.clone(),
            backup: self.manifest.id.clone(),
            chunks: entry.chunks[chunks.clone()].to_vec(),
        };
        let (pieces, mut ready) = mpsc::channel(AHEAD);
        let reading = AbortOnDropHandle::new(tokio::spawn(source.read(pieces)));
        for chunk in &entry.chunks[chunks] {
            let copied = self.copying.copy(session, &steps, &chunk.file, &mut ready);
            match copied.await.map_err(|e| e.context(what()))? {
                None => break,
                Some(rows) if rows == chunk.rows => {}
                Some(rows) => {
                    return Err(Error::corrupt(format!(
                        "{} should hold {} rows, and the server took {rows}",
                        chunk.file, chunk.rows
                    ))
                    .context(what()));
                }
            }
        }
        drop(ready);
        reading
            .await
            .map_err(|e| Error::internal("the reading of chunks ended early").caused_by(e))?
            .map_err(|e| e.context(what()))
    }
}

/// The statement that empties the target before its rows are loaded. Of an extension's table,
/// only the user's rows are removed, which `condition` picks.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn empty(condition: Option<&str>, placement: &Placement) -> Result<String> {
    let table = qualified(&placement.target)?;
    Ok(match condition {
        Some(condition) => format!("delete from only {table} {condition}"),
        None if placement.kind == TableKind::Partitioned => format!("truncate {table}"),
        None => format!("truncate only {table}"),
    })
}

/// Reads chunks ahead of the server.
struct Source {
    store: Store,
    backup: BackupId,
    chunks: Vec<ChunkEntry>,
}

impl Source {
    async fn read(self, pieces: mpsc::Sender<Piece>) -> Result<()> {
        for chunk in self.chunks {
            let name = Name::new(format!("{}/{}", layout::folder(&self.backup), chunk.file))?;
            let stored = self.store.get_sized(&name, chunk.stored_bytes).await?;
            let sender = pieces.clone();
            let unpacked = tokio::task::spawn_blocking(move || unpack(&chunk, stored, &sender));
            let goes_on = unpacked
                .await
                .map_err(|e| Error::internal("the unpacking ended early").caused_by(e))??;
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Returns false when nobody wants the pieces any more.
fn unpack(chunk: &ChunkEntry, stored: Bytes, pieces: &mpsc::Sender<Piece>) -> Result<bool> {
    let damaged = |why: &str| Error::corrupt(format!("{} is damaged: {why}", chunk.file));
    if checksum(&stored) != chunk.blake3 {
        return Err(damaged("its checksum is not that of its manifest"));
    }
    let mut unpacker = Unpacker::new(stored, chunk.raw_bytes)?;
    loop {
        let piece = unpacker.next_piece(PIECE)?;
        let last = piece.is_empty();
        let next = if last {
            Piece::End
        } else {
            Piece::Bytes(piece.into())
        };
        if pieces.blocking_send(next).is_err() {
            return Ok(false);
        }
        if last {
            return Ok(true);
        }
    }
}
