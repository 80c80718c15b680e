//! How two catalogs differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{CatalogObject, CatalogSnapshot};
use crate::model::TableName;
use crate::plan::{Drift, TableDrift};

/// The attribute of a table that changes with its columns and is compared apart.
const ORDER: &str = "column order";

impl CatalogSnapshot {
    /// The difference between a `live` database and the one its schema `files` describe.
    ///
    /// What goes with a table that only one side has (its columns, indexes, constraints,
    /// triggers, owned sequences) is not listed again. A different order of columns is no lost
    /// column but a difference of the table. An object's line names what of it differs, and not
    /// how: a definition may be long, and hold what is nobody's business. How many rows a lost
    /// table has is not in a catalog; that is left open.
    pub fn diff(live: &Self, files: &Self) -> Drift {
        let only_live = Lacking::new(live, files);
        let only_files = Lacking::new(files, live);
        let mut drift = Drift {
            new_tables: only_files.tables(),
            lost_tables: only_live.tables().into_iter().map(|t| (t, None)).collect(),
            ..Drift::default()
        };
        let mut changed = BTreeMap::new();
        let identities: BTreeSet<&String> =
            live.objects.keys().chain(files.objects.keys()).collect();
        for identity in identities {
            match (live.objects.get(identity), files.objects.get(identity)) {
                (Some(a), Some(b)) => both(identity, a, b, &mut changed, &mut drift),
                (Some(a), None) => one(('-', &only_live), identity, a, &mut changed, &mut drift),
                (None, Some(b)) => one(('+', &only_files), identity, b, &mut changed, &mut drift),
                (None, None) => {}
            }
        }
        drift.tables = changed.into_values().collect();
        drift
    }
}

/// The relations that one side has and the other has not, or has as something else; true for
/// tables, which hold rows.
struct Lacking<'a>(BTreeMap<&'a TableName, bool>);

impl<'a> Lacking<'a> {
    fn new(here: &'a CatalogSnapshot, there: &CatalogSnapshot) -> Self {
        let relations = here
            .objects
            .iter()
            .filter(|(identity, object)| {
                object.is_relation() && !there.objects.contains_key(*identity)
            })
            .filter_map(|(_, object)| Some((object.table.as_ref()?, object.is_table())));
        Self(relations.collect())
    }

    fn tables(&self) -> Vec<TableName> {
        self.0
            .iter()
            .filter(|(_, is_table)| **is_table)
            .map(|(name, _)| (*name).clone())
            .collect()
    }

    /// True for what goes without saying: a table, which is listed apart, and what goes with a
    /// relation.
    fn implies(&self, object: &CatalogObject) -> bool {
        if object.is_relation() {
            return object.is_table();
        }
        object
            .table
            .as_ref()
            .is_some_and(|t| self.0.contains_key(t))
    }
}

/// An object that only the side of `sign` has.
fn one(
    (sign, side): (char, &Lacking<'_>),
    identity: &str,
    object: &CatalogObject,
    changed: &mut BTreeMap<TableName, TableDrift>,
    drift: &mut Drift,
) {
    if side.implies(object) {
        return;
    }
    match (&object.table, &object.column) {
        (Some(table), Some(column)) if object.kind == "column" => {
            let column = (column.clone(), object.get("type").unwrap_or("").to_owned());
            let of = table_drift(changed, table);
            if sign == '-' {
                of.lost_columns.push(column);
            } else {
                of.new_columns.push(column);
            }
        }
        _ => drift.objects.push((sign, identity.to_owned())),
    }
}

/// An object that both sides have.
fn both(
    identity: &str,
    live: &CatalogObject,
    files: &CatalogObject,
    changed: &mut BTreeMap<TableName, TableDrift>,
    drift: &mut Drift,
) {
    let names: BTreeSet<&String> = live
        .attributes
        .keys()
        .chain(files.attributes.keys())
        .collect();
    let mut differ: Vec<&str> = names
        .into_iter()
        .map(String::as_str)
        .filter(|name| live.get(name) != files.get(name))
        .filter(|name| *name != ORDER || reordered(live, files))
        .collect();
    if let (Some(table), Some(column)) = (&live.table, &live.column)
        && differ.contains(&"type")
        && live.kind == "column"
    {
        let of = |object: &CatalogObject| object.get("type").unwrap_or("").to_owned();
        table_drift(changed, table)
            .changed_columns
            .push((column.clone(), of(live), of(files)));
        differ.retain(|name| *name != "type");
    }
    if !differ.is_empty() {
        drift
            .objects
            .push(('~', format!("{identity}: {}", differ.join(", "))));
    }
}

/// True if the columns that both sides have come in another order.
fn reordered(live: &CatalogObject, files: &CatalogObject) -> bool {
    let (a, b) = (
        live.get(ORDER).unwrap_or_default(),
        files.get(ORDER).unwrap_or_default(),
    );
    let (in_a, in_b): (BTreeSet<&str>, BTreeSet<&str>) = (a.lines().collect(), b.lines().collect());
    a.lines()
        .filter(|name| in_b.contains(name))
        .ne(b.lines().filter(|name| in_a.contains(name)))
}

fn table_drift<'a>(
    changed: &'a mut BTreeMap<TableName, TableDrift>,
    table: &TableName,
) -> &'a mut TableDrift {
    changed.entry(table.clone()).or_insert_with(|| TableDrift {
        table: table.clone(),
        new_columns: Vec::new(),
        lost_columns: Vec::new(),
        changed_columns: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
