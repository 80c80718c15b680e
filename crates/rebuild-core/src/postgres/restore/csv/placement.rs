//! Which table each CSV file is of, and where its columns go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::folder::CsvFile;
use super::record::Filled;
use crate::error::{Error, Result};
use crate::model::{TableKind, TableName};
use crate::postgres::Session;
use crate::postgres::backup::layout::csv_stem;
use crate::postgres::restore::placement::{
    Placed, Placement, Placements, RestoreChoice, is_a_migrators, is_bookkeeping,
};
use crate::postgres::rows::tables::{LiveTable, read_tables};
use crate::traits::Unplaced;

/// The files, and where their rows go.
pub(super) struct Found {
    pub(super) files: Vec<CsvFile>,
    /// The table of each file.
    pub(super) tables: Vec<TableName>,
    /// For each file, which rows of its table are the user's, where that is not all.
    pub(super) conditions: Vec<Option<String>>,
    /// By the files' places in the list.
    pub(super) placements: Placements,
    /// Tables that get no rows.
    pub(super) without_file: Vec<TableName>,
}

/// Compares the files with the database that `session` is in. `own_schema` is true where the
/// schema came from a backup.
///
/// # Errors
/// A refusal if it cannot be told which table a file is of; the database or a file could not be
/// read.
pub(super) async fn find(
    session: &Session,
    folder: &Path,
    files: Vec<CsvFile>,
    choice: &RestoreChoice,
    own_schema: bool,
) -> Result<Found> {
    let live = read_tables(session).await?;
    let by_name: BTreeMap<&TableName, &LiveTable> = live.iter().map(|t| (&t.table, t)).collect();
    let chosen = |table: &TableName| choice.tables.is_empty() || choice.tables.matches(table);
    let mut found = Found {
        tables: Vec::new(),
        conditions: Vec::new(),
        placements: Placements::default(),
        without_file: Vec::new(),
        files: Vec::new(),
    };
    for (index, file) in files.iter().enumerate() {
        let table = table_of(file, &live)?;
        if let Some(twice) = found.tables.iter().position(|t| *t == table) {
            return Err(Error::refused(format!(
                "{} and {} are both of table {table}",
                files[twice].name, file.name
            )));
        }
        let target = by_name.get(&table).copied();
        let condition = target.and_then(|t| t.condition.clone());
        found.conditions.push(condition.filter(|c| !c.is_empty()));
        if !chosen(&table) {
            // Stays where it is.
        } else if !own_schema && is_bookkeeping(session, &table, &by_name).await? {
            found.placements.kept.push(table.clone());
        } else {
            let root = target.and_then(|t| t.root.as_ref());
            let target = root.and_then(|root| by_name.get(root).copied()).or(target);
            place(&mut found.placements, folder, (index, file), &table, target).await?;
        }
        found.tables.push(table);
    }
    found.placements.mark_shared();
    found.without_file = without_file(&live, &found.tables);
    found.without_file.retain(chosen);
    found.files = files;
    Ok(found)
}

/// The tables that none of `tables` stands for. A file of a partition stands for the whole tree: what else is
/// in it is not known.
fn without_file(live: &[LiveTable], tables: &[TableName]) -> Vec<TableName> {
    let parts = live.iter().filter(|t| tables.contains(&t.table));
    let trees: BTreeSet<&TableName> = parts.filter_map(|t| t.ancestors.last()).collect();
    let whole = |t: &&LiveTable| match t.kind {
        TableKind::Table | TableKind::Unlogged => true,
        TableKind::Partitioned => t.ancestors.is_empty(),
        _ => false,
    };
    let tables = live
        .iter()
        .filter(whole)
        .map(|t| &t.table)
        .filter(|t| !is_a_migrators(t) && !tables.contains(t) && !trees.contains(t));
    tables.cloned().collect()
}

async fn count(folder: &Path, file: &CsvFile) -> Result<Filled> {
    let (folder, file) = (folder.to_path_buf(), file.clone());
    tokio::task::spawn_blocking(move || file.count(&folder))
        .await
        .map_err(|e| Error::internal("the counting of values ended early").caused_by(e))?
}

/// The table that the folder's list names; or the one that is called as the file; or the one
/// table for which a backup would have chosen that name.
fn table_of(file: &CsvFile, live: &[LiveTable]) -> Result<TableName> {
    if let Some(listed) = &file.listed {
        return Ok(listed.clone());
    }
    let stem = file.stem();
    let hint = "name the table in tables.json: {\"file without .csv\": {\"schema\": \"…\", \
                \"name\": \"…\"}}";
    let only = |of: &dyn Fn(&LiveTable) -> bool| {
        let fits: Vec<&TableName> = live.iter().filter(|t| of(t)).map(|t| &t.table).collect();
        match fits.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => {
                let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(Error::refused(format!(
                    "{} may be of any of these tables: {}",
                    file.name,
                    names.join(", ")
                ))
                .hint(hint))
            }
        }
    };
    if let Some(table) = only(&|t| t.table.to_string() == stem)? {
        return Ok(table);
    }
    let numbered = stem
        .split_once('-')
        .filter(|(n, _)| n.len() == 5 && n.bytes().all(|b| b.is_ascii_digit()));
    if let Some((number, _)) = numbered {
        let number: usize = number.parse().unwrap_or_default();
        if let Some(table) = only(&|t| csv_stem(number, &t.table) == stem)? {
            return Ok(table);
        }
    }
    match stem.split_once('.') {
        Some((schema, name)) => Ok(TableName::new(schema, name)),
        None => Err(
            Error::refused(format!("it cannot be told which table {} is of", file.name)).hint(hint),
        ),
    }
}

async fn place(
    placements: &mut Placements,
    folder: &Path,
    (entry, file): (usize, &CsvFile),
    table: &TableName,
    target: Option<&LiveTable>,
) -> Result<()> {
    let target = target.filter(|t| t.holds_rows() || t.kind == TableKind::Partitioned);
    let Some(target) = target else {
        placements.unplaced.push(Unplaced {
            table: table.clone(),
            column: None,
            rows: count(folder, file).await?.records,
            why: None,
        });
        return Ok(());
    };
    let types: BTreeMap<&str, &str> = target
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.type_name.as_str()))
        .collect();
    let columns: Vec<Placed> = file
        .columns
        .iter()
        .map(|name| {
            let into = types.get(name.as_str()).map(|t| (*t).to_owned());
            Placed {
                name: name.clone(),
                same: into.is_some(),
                redefined: false,
                into,
            }
        })
        .collect();
    if columns.iter().any(|c| c.into.is_none()) {
        let filled = count(folder, file).await?.columns;
        let lost = columns.iter().zip(filled).filter(|(c, _)| c.into.is_none());
        placements.unplaced.extend(lost.map(|(c, rows)| Unplaced {
            table: table.clone(),
            column: Some(c.name.clone()),
            rows,
            why: None,
        }));
    }
    if columns.iter().all(|c| c.into.is_none()) && !target.columns.is_empty() {
        return Err(Error::refused(format!(
            "{} has no column of table {table}",
            file.name
        )));
    }
    let known: BTreeSet<&str> = file.columns.iter().map(String::as_str).collect();
    for column in &target.columns {
        if !known.contains(column.name.as_str()) {
            placements
                .new_columns
                .push((table.clone(), column.name.clone()));
        }
    }
    placements.placed.push(Placement {
        entry,
        target: target.table.clone(),
        kind: target.kind,
        columns,
        shared: false,
    });
    Ok(())
}
