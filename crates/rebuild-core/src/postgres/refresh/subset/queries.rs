//! The queries for rows that are gone.
//!
//! Columns of a table are written with its schema and name, which no alias hides; the expressions
//! that somebody wrote stand in queries over their own table alone, so that they see no columns but
//! its.

use std::collections::BTreeSet;

use super::graph::{Graph, Group, Link};
use super::{Chosen, SubsetTable};
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::qualified;
use crate::postgres::rows::names::Names;

pub(super) struct Queries<'a> {
    graph: &'a Graph<'a>,
    names: Names,
    holders: BTreeSet<&'a TableName>,
}

impl<'a> Queries<'a> {
    pub(super) fn new(graph: &'a Graph<'a>, names: Names) -> Self {
        let tables = graph.nodes.iter().flat_map(|node| &node.tables);
        let holders = tables.filter(|t| t.holds_rows).map(|t| &t.name).collect();
        Self {
            graph,
            names,
            holders,
        }
    }

    /// The condition for the rows of `table`, a part of the node, that are copied.
    pub(super) fn condition(&self, node: usize, table: &SubsetTable) -> Result<Option<String>> {
        let group = self.graph.group_of(node);
        if self.graph.groups[group].cyclic {
            let gone = self.with(&self.graph.groups_behind(node), &format!("rows_{group}"))?;
            let at = self.at(&table.name)?;
            return Ok(Some(format!(
                "not exists (select from ({gone}) g where {at})"
            )));
        }
        let mut parts = match self.graph.nodes[node].chosen {
            Chosen::All => Vec::new(),
            Chosen::None => return Ok(Some("false".to_owned())),
            Chosen::Where(expression) => vec![format!("((\n{expression}\n) is true)")],
        };
        for link in self.graph.links.iter().filter(|link| link.child == node) {
            let declared = &link.reference.child;
            if *declared != table.name && !table.ancestors.contains(declared) {
                continue;
            }
            parts.push(if *self.graph.nodes[link.parent].chosen == Chosen::None {
                format!("not ({})", self.refers_at_all(link, &table.name)?)
            } else {
                let behind = self.graph.groups_behind(link.parent);
                let gone = self.with(&behind, &format!("gone_{}", link.parent))?;
                let matches = self.matches(link, &table.name)?;
                format!("not exists (select from ({gone}) g where {matches})")
            });
        }
        Ok((!parts.is_empty()).then(|| parts.join("\n and ")))
    }

    /// A query for the rows of a CTE that comes with those of `groups`.
    fn with(&self, groups: &BTreeSet<usize>, of: &str) -> Result<String> {
        let mut tables = Vec::new();
        for at in groups {
            let group = &self.graph.groups[*at];
            if group.cyclic {
                tables.extend(self.circle(*at, group)?);
            } else {
                for node in &group.nodes {
                    // Who refers to it is gone, and need not look.
                    if *self.graph.nodes[*node].chosen != Chosen::None {
                        tables.push(self.gone(*node)?);
                    }
                }
            }
        }
        Ok(format!(
            "with recursive {} select * from {of}",
            tables.join(",\n")
        ))
    }

    /// The CTE of the rows of a node that are gone, by their keys.
    fn gone(&self, node: usize) -> Result<String> {
        let keys = |table: &TableName| self.keys(node, table);
        let lost = self.lost(node, &keys, |_| true)?;
        Ok(format!("gone_{node} as ({lost})"))
    }

    /// The CTEs of the rows of a group that are gone, by their places, and those of its nodes, by
    /// their keys: seeds are gone whatever the circle does, and what refers to one that is gone
    /// follows.
    fn circle(&self, at: usize, group: &Group) -> Result<Vec<String>> {
        let place = |table: &TableName| {
            let table = self.names.table(table)?;
            let place = place(&table);
            Ok(format!("{table}.tableoid as rel, {place} as place"))
        };
        let outward = |link: &Link<'_>| !group.nodes.contains(&link.parent);
        let mut seeds = Vec::new();
        for node in &group.nodes {
            let lost = self.lost(*node, &place, outward)?;
            seeds.extend((!lost.is_empty()).then_some(lost));
        }
        let inward = |link: &&Link<'_>| group.nodes.contains(&link.child) && !outward(link);
        let edges: Vec<String> = self
            .graph
            .links
            .iter()
            .filter(inward)
            .map(|link| self.edges(link))
            .collect::<Result<_>>()?;
        let mut tables = vec![
            format!("edges_{at} as materialized ({})", edges.join(" union all ")),
            format!(
                "rows_{at} (rel, place) as ({} union
                     select e.rel, e.place from rows_{at} g
                       join edges_{at} e on e.to_rel = g.rel and e.to_place = g.place)",
                seeds.join(" union all ")
            ),
        ];
        for node in &group.nodes {
            let name = self.graph.nodes[*node].name;
            tables.push(format!(
                "gone_{node} as (select {} from {} where exists (
                     select from rows_{at} g where {}))",
                self.keys(*node, name)?,
                self.relation(name)?,
                self.at(name)?
            ));
        }
        Ok(tables)
    }

    /// A query for the rows of a node that are not chosen, or refer to a row that is gone through
    /// a link that is `wanted`; with `columns` of each.
    fn lost(
        &self,
        node: usize,
        columns: &dyn Fn(&TableName) -> Result<String>,
        wanted: impl Fn(&Link<'_>) -> bool,
    ) -> Result<String> {
        let name = self.graph.nodes[node].name;
        let mut queries = Vec::new();
        if let Chosen::Where(expression) = self.graph.nodes[node].chosen {
            queries.push(format!(
                "select {} from {} where (\n{expression}\n) is not true",
                columns(name)?,
                self.relation(name)?
            ));
        }
        let from_here = |link: &&Link<'_>| link.child == node && wanted(link);
        for link in self.graph.links.iter().filter(from_here) {
            let child = &link.reference.child;
            let refers = if *self.graph.nodes[link.parent].chosen == Chosen::None {
                self.refers_at_all(link, child)?
            } else {
                let matches = self.matches(link, child)?;
                format!(
                    "exists (select from gone_{} g where {matches})",
                    link.parent
                )
            };
            queries.push(format!(
                "select {} from {} where {refers}",
                columns(child)?,
                self.relation(child)?
            ));
        }
        Ok(queries.join(" union all "))
    }

    /// A query for which row refers to which.
    fn edges(&self, link: &Link<'_>) -> Result<String> {
        let reference = link.reference;
        let mut on = Vec::new();
        for (at, column) in reference.columns.iter().enumerate() {
            let there = self.names.ident(&reference.parent_columns[at])?;
            let here = self.names.ident(column)?;
            on.push(format!("p.{there} {} c.{here}", self.operator(link, at)?));
        }
        Ok(format!(
            "select c.tableoid as rel, {} as place, p.tableoid as to_rel, {} as to_place
               from {} c join {} p on {}",
            place("c"),
            place("p"),
            self.relation(&reference.child)?,
            self.relation(&reference.parent)?,
            on.join(" and ")
        ))
    }

    /// True of a row of `table` that refers to the row `g` of the parent's.
    fn matches(&self, link: &Link<'_>, table: &TableName) -> Result<String> {
        let keys = self.graph.key_columns(link.parent);
        let mut on = Vec::new();
        for (at, column) in link.reference.columns.iter().enumerate() {
            let there = link.reference.parent_columns[at].as_str();
            let nth = keys.iter().position(|key| *key == there);
            let nth = nth.expect("every column that is referred to is among the keys");
            let operator = self.operator(link, at)?;
            on.push(format!(
                "g.c{nth} {operator} {}",
                self.column(table, column)?
            ));
        }
        on.extend(self.within(link)?);
        Ok(on.join(" and "))
    }

    /// Where a part of the parent is referred to: that `g` is a row of that part, for the keys of
    /// the others may be the same.
    fn within(&self, link: &Link<'_>) -> Result<Option<String>> {
        let (parent, node) = (&link.reference.parent, &self.graph.nodes[link.parent]);
        if parent == node.name {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for table in node.tables.iter().filter(|t| t.holds_rows) {
            if table.name == *parent || table.ancestors.contains(parent) {
                let name = self.names.literal(&qualified(&table.name)?)?;
                parts.push(format!("{name}::pg_catalog.regclass::pg_catalog.oid"));
            }
        }
        let parts = parts.join(", ");
        Ok(Some(format!(
            "g.rel = any (array[{parts}]::pg_catalog.oid[])"
        )))
    }

    /// True of a row of `table` that refers to any row.
    fn refers_at_all(&self, link: &Link<'_>, table: &TableName) -> Result<String> {
        let columns = link.reference.columns.iter();
        let set: Vec<String> = columns
            .map(|column| Ok(format!("{} is not null", self.column(table, column)?)))
            .collect::<Result<_>>()?;
        Ok(set.join(" and "))
    }

    /// The columns of a node's CTE, from its rows in `table`.
    fn keys(&self, node: usize, table: &TableName) -> Result<String> {
        let mut columns = vec![format!("{}.tableoid as rel", self.names.table(table)?)];
        for (nth, key) in self.graph.key_columns(node).iter().enumerate() {
            columns.push(format!("{} as c{nth}", self.column(table, key)?));
        }
        Ok(columns.join(", "))
    }

    /// True of the row of `table` that is at the place `g`.
    fn at(&self, table: &TableName) -> Result<String> {
        let table = self.names.table(table)?;
        let place = place(&table);
        Ok(format!("g.rel = {table}.tableoid and g.place = {place}"))
    }

    fn operator(&self, link: &Link<'_>, at: usize) -> Result<String> {
        let (schema, name) = &link.reference.operators[at];
        Ok(format!("operator({}.{name})", self.names.ident(schema)?))
    }

    fn column(&self, table: &TableName, column: &str) -> Result<String> {
        let table = self.names.table(table)?;
        Ok(format!("{table}.{}", self.names.ident(column)?))
    }

    /// A partitioned table stands for its partitions; any other for itself alone.
    fn relation(&self, table: &TableName) -> Result<String> {
        let quoted = self.names.table(table)?;
        Ok(if self.holders.contains(table) {
            format!("only {quoted}")
        } else {
            quoted
        })
    }
}

/// Where a row of `table` is, which is its name for as long as the snapshot is held: page and line
/// in one number, for servers before 14 cannot hash a `tid`.
fn place(table: &str) -> String {
    let [page, line] = [0, 1].map(|part| {
        format!("({table}.ctid::pg_catalog.text::pg_catalog.point)[{part}]::pg_catalog.int8")
    });
    format!("({page} << 16 | {line})")
}
