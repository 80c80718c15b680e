//! From the workers' results to the rows of the backup.

use std::collections::{BTreeMap, BTreeSet};

use super::super::check_rows::ReadBack;
use super::super::layout::{ROWS, chunk_file};
use super::super::rows_out::UnitDone;
use super::super::shelf::Shelf;
use super::{BackupResult, BackupTask};
use crate::error::{Error, Result};
use crate::postgres::rows::units::Unit;
use crate::work::{Counted, is_attempt};

/// Puts `results` together, of which there is one for each share, and removes the chunks of
/// attempts that do not count.
///
/// # Errors
/// A result is not of its share; a chunk that it names is not in the store; the store failed.
pub(super) async fn gather(
    shelf: &Shelf,
    task: &BackupTask,
    results: Vec<Counted<BackupResult>>,
) -> Result<(Vec<UnitDone>, ReadBack)> {
    let files = shelf.files(&task.backup).await?;
    let mut units = Vec::new();
    let mut read = ReadBack::default();
    for (index, (counted, share)) in results.into_iter().zip(&task.shares).enumerate() {
        let fits = check(task, share, &counted, &files);
        fits.map_err(|why| {
            Error::corrupt(format!(
                "the result of worker {index} is not of its share: {why}"
            ))
        })?;
        units.extend(counted.result.stored);
        read.extend(counted.result.read);
    }
    let named: BTreeSet<&str> = (units.iter())
        .flat_map(|unit| &unit.chunks)
        .map(|chunk| chunk.file.as_str())
        .collect();
    let folder = shelf.folder(&task.backup)?;
    let rows = format!("{ROWS}/");
    for file in files.keys() {
        if file.starts_with(&rows) && !named.contains(file.as_str()) {
            shelf.store.delete(&folder.join(file)?).await?;
        }
    }
    Ok((units, read))
}

/// Makes sure that a result is of exactly the parts of `share`, and that its chunks are there.
fn check(
    task: &BackupTask,
    share: &[Unit],
    counted: &Counted<BackupResult>,
    files: &BTreeMap<String, u64>,
) -> Result<(), String> {
    if !is_attempt(&counted.attempt) {
        return Err("it names no attempt".to_owned());
    }
    let wanted: BTreeSet<(usize, u32)> = share.iter().map(|u| (u.table, u.part)).collect();
    let stored = &counted.result.stored;
    let found: BTreeSet<(usize, u32)> = stored.iter().map(|u| (u.table, u.part)).collect();
    if wanted != found || stored.len() != share.len() {
        return Err(format!(
            "it has {} parts, and {} of the {} that it should have",
            stored.len(),
            found.intersection(&wanted).count(),
            share.len()
        ));
    }
    for unit in stored {
        check_unit(task, unit, &counted.attempt, files).map_err(|why| {
            let table = &task.moment.tables[unit.table].table;
            format!("part {} of table {table}: {why}", unit.part)
        })?;
    }
    Ok(())
}

fn check_unit(
    task: &BackupTask,
    unit: &UnitDone,
    attempt: &str,
    files: &BTreeMap<String, u64>,
) -> Result<(), String> {
    if unit.tally.non_null.len() != task.moment.tables[unit.table].columns.len() {
        return Err("it has other columns".to_owned());
    }
    let mut rows = 0u64;
    for (place, chunk) in unit.chunks.iter().enumerate() {
        let file = &chunk.file;
        // So it is a name of this backup's, and named once.
        if *file != chunk_file(unit.table, unit.part, place, Some(attempt)) {
            return Err(format!("it names the file {file:?}"));
        }
        match files.get(file) {
            Some(size) if *size == chunk.stored_bytes => {}
            Some(size) => {
                return Err(format!(
                    "{file} has {size} bytes, not {}",
                    chunk.stored_bytes
                ));
            }
            None => return Err(format!("{file} is missing")),
        }
        rows = rows.saturating_add(chunk.rows);
    }
    if rows != unit.tally.rows {
        return Err(format!(
            "there are {rows} rows in its chunks, and {} are counted",
            unit.tally.rows
        ));
    }
    Ok(())
}
