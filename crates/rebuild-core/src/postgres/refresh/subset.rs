//! Subsets of a database's rows that keep every foreign key: a row is copied if it is chosen, and
//! every row that it refers to is copied. Of all sets of rows like that, this is the greatest.
//!
//! What is left out is found by conditions alone, so that the source itself evaluates them, each
//! in the query that copies a table. A condition looks for the rows that are *gone*: by one CTE
//! for each table that has such rows and is referred to, directly or not. Each of them names those
//! before it, so a table that is reached on many ways is still read once. Rows that refer to each
//! other in a circle are found by a recursive query. Everything is joined by the keys' own
//! operators and in ways that the server can hash, so no index is needed on the referring side.

mod graph;
mod queries;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::graph::Graph;
use self::queries::Queries;
use super::mask::require_expression;
use super::references::Reference;
use crate::error::{Error, Result};
use crate::model::TableName;
use crate::postgres::rows::names::Names;

/// What is chosen of a table before its references are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Every row.
    All,
    /// No row.
    None,
    /// The rows for which this SQL expression over the table's columns is true.
    Where(String),
}

/// A table that holds rows, or a partitioned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubsetTable {
    /// Its name.
    pub name: TableName,
    /// For a partition: the partitioned tables that it is a part of, its parent first.
    pub ancestors: Vec<TableName>,
    /// False for partitioned tables.
    pub holds_rows: bool,
    /// The same for all the parts of a partitioned table.
    pub chosen: Chosen,
}

/// For each table that holds rows, and not all of them need be copied: the condition for those that
/// are.
///
/// It stands after `WHERE` in a query over `ONLY` that table, with its schema and without an alias.
/// A table that is not among `tables` is taken for copied whole. A reference to a row that there is
/// not, as constraints allow that were never validated, counts for nothing.
///
/// The conditions agree with each other if they are evaluated under one snapshot, and if the
/// expressions give the same for the same row each time: `random()` does not, nor does `now()`
/// from transaction to transaction.
///
/// # Errors
/// A name cannot be quoted; an expression cannot be sent in the database's encoding; parts of a
/// partitioned table are chosen differently.
pub(crate) fn conditions(
    tables: &[SubsetTable],
    references: &[Reference],
    names: Names,
) -> Result<BTreeMap<TableName, String>> {
    for table in tables {
        if let Chosen::Where(expression) = &table.chosen {
            require_expression(expression, names).map_err(|e| e.context(table.name.to_string()))?;
        }
    }
    let graph = Graph::new(tables, references);
    refuse_uneven(&graph)?;
    let queries = Queries::new(&graph, names);
    let mut conditions = BTreeMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if !graph.loses_rows(at) {
            continue;
        }
        for table in node.tables.iter().filter(|t| t.holds_rows) {
            if let Some(condition) = queries.condition(at, table)? {
                conditions.insert(table.name.clone(), condition);
            }
        }
    }
    Ok(conditions)
}

fn refuse_uneven(graph: &Graph<'_>) -> Result<()> {
    for node in &graph.nodes {
        if let Some(other) = node.tables.iter().find(|t| t.chosen != *node.chosen) {
            return Err(Error::refused(format!(
                "other rows are chosen of the partition {} than of {}",
                other.name, node.name
            )));
        }
    }
    Ok(())
}
