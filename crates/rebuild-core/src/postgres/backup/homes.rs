//! Where the rows of a backup's tables belong in a database whose trees of partitions may differ.

use std::collections::BTreeSet;

use super::manifest::TableEntry;
use crate::model::TableName;
use crate::postgres::rows::tables::LiveTable;

/// For each of `entries`, the table that takes its rows in a database whose tables that take rows are `live`:
/// the root of its tree where only that can tell the rows' partitions, otherwise the table of its name. If a
/// partition that has rows is not there and its root is, as a tree of other partitions or as an ordinary table,
/// all of its tree belong to the root, but for what has become a table of its own. And what is a part now of a
/// table that takes another entry's rows, as one that was attached to it, belongs to that: what is emptied and
/// compared as one takes its rows as one.
pub(in crate::postgres) fn homes<'a, 'l>(
    entries: impl Iterator<Item = &'a TableEntry> + Clone,
    live: impl Fn(&TableName) -> Option<&'l LiveTable>,
) -> Vec<&'a TableName> {
    let there = |table: &TableName| live(table).is_some();
    let rebuilt: BTreeSet<&TableName> = entries
        .clone()
        .filter(|e| e.rows > 0 && !there(&e.table))
        .filter_map(|e| e.partition_of.as_ref())
        .filter(|root| there(root))
        .collect();
    let home = |entry: &'a TableEntry| {
        let root = entry.root.as_ref().filter(|root| there(root));
        let on_its_own =
            |tree: &TableName| live(&entry.table).is_some_and(|now| !now.ancestors.contains(tree));
        let tree = || {
            let tree = entry.partition_of.as_ref()?;
            (rebuilt.contains(tree) && !on_its_own(tree)).then_some(tree)
        };
        root.or_else(tree).unwrap_or(&entry.table)
    };
    let homes: Vec<&TableName> = entries.map(home).collect();
    let taken: BTreeSet<&TableName> = homes.iter().copied().collect();
    let outermost = |home: &'a TableName| {
        let mut around = live(home)
            .into_iter()
            .flat_map(|t| t.ancestors.iter().rev());
        let outer = around.find_map(|table| taken.get(table).copied());
        outer.unwrap_or(home)
    };
    homes.into_iter().map(outermost).collect()
}
