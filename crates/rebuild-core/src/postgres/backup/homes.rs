//! Where the rows of a backup's tables belong in a database whose trees of partitions may differ.

use std::collections::BTreeSet;

use super::manifest::TableEntry;
use crate::model::TableName;

/// For each of `entries`, the table that takes its rows in a database in which the tables are
/// `there`: the root of its tree where only that can tell the rows' partitions, otherwise the
/// table of its name. If a partition that has rows is not there and its root is, as a tree of
/// other partitions or as an ordinary table, all of its tree belong to the root.
pub(in crate::postgres) fn homes<'a>(
    entries: impl Iterator<Item = &'a TableEntry> + Clone,
    there: impl Fn(&TableName) -> bool,
) -> Vec<&'a TableName> {
    let rebuilt: BTreeSet<&TableName> = entries
        .clone()
        .filter(|e| e.rows > 0 && !there(&e.table))
        .filter_map(|e| e.partition_of.as_ref())
        .filter(|root| there(root))
        .collect();
    let home = |entry: &'a TableEntry| {
        let root = entry.root.as_ref().filter(|root| there(root));
        let tree = || entry.partition_of.as_ref().filter(|t| rebuilt.contains(t));
        root.or_else(tree).unwrap_or(&entry.table)
    };
    entries.map(home).collect()
}
