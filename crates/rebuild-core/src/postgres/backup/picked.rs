//! What the rows of a backup add up to in some of their columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::check_rows::{ChunkToRead, PIECE, compare, read};
use super::layout;
use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::pack::Unpacker;
use crate::postgres::rows::picked::Picked;
use crate::postgres::rows::scan::{RowScanner, Tally};
use crate::store::{Name, Store};

/// For tables of a backup, by their places in its manifest: the places of some of their columns.
pub(in crate::postgres) type Picks = BTreeMap<usize, Vec<usize>>;

/// Reads the rows of those tables again, and adds them up as if they had those columns alone.
///
/// # Errors
/// A chunk is damaged, or the store cannot be read.
pub(in crate::postgres) async fn add_up_picked(
    ctx: &Ctx,
    store: &Store,
    manifest: &Manifest,
    picks: Picks,
    options: &RowOptions,
) -> Result<BTreeMap<usize, Tally>> {
    let mut sums: BTreeMap<usize, Tally> = BTreeMap::new();
    let mut chunks = Vec::new();
    for (&table, picks) in &picks {
        let entry = &manifest.tables[table];
        sums.insert(table, Tally::new(picks.len()));
        chunks.extend(entry.chunks.iter().map(|chunk| ChunkToRead {
            table,
            form: entry.form,
            columns: entry.columns.len(),
            chunk: chunk.clone(),
        }));
    }
    let folder = Name::new(layout::folder(&manifest.id))?;
    let look = Arc::new(move |job: &ChunkToRead, stored: Bytes| {
        compare(job, &stored)?;
        let file = &job.chunk.file;
        picked(job, stored, &picks[&job.table]).map_err(|e| format!("{file}: {}", e.chain()))
    });
    for (table, found) in read(ctx, (store, &folder), chunks, options.jobs, look).await? {
        let tally = found.map_err(Error::corrupt)?;
        sums.entry(table).or_default().merge(&tally);
    }
    Ok(sums)
}

fn picked(job: &ChunkToRead, stored: Bytes, picks: &[usize]) -> Result<Tally> {
    let mut unpacker = Unpacker::new(stored, job.chunk.raw_bytes)?;
    let mut scanner = RowScanner::new(job.form);
    let mut all = Tally::new(job.columns);
    let mut picked = Picked::new(job.form, picks);
    loop {
        let piece = unpacker.next_piece(PIECE)?;
        if piece.is_empty() {
            break;
        }
        scanner.feed(&piece, &mut all, |rows| picked.add(rows))?;
    }
    scanner.end()?;
    Ok(picked.finish())
}
