//! Which tables lose rows because of which others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Chosen, SubsetTable};
use crate::model::TableName;
use crate::postgres::refresh::references::Reference;

/// A table, or a partitioned table with all its parts.
pub(super) struct Node<'a> {
    /// The table's name, or that of the root.
    pub(super) name: &'a TableName,
    pub(super) chosen: &'a Chosen,
    /// It, and its parts.
    pub(super) tables: Vec<&'a SubsetTable>,
}

/// A reference through which rows can be lost.
pub(super) struct Link<'a> {
    pub(super) reference: &'a Reference,
    /// The node whose rows refer.
    pub(super) child: usize,
    /// The node that they refer to. It loses rows.
    pub(super) parent: usize,
}

/// Nodes that refer to each other in a circle, or one alone.
pub(super) struct Group {
    pub(super) nodes: BTreeSet<usize>,
    pub(super) cyclic: bool,
}

pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) links: Vec<Link<'a>>,
    /// Whatever a group refers to is in one before it. Only nodes that lose rows are in one.
    pub(super) groups: Vec<Group>,
    group_of: BTreeMap<usize, usize>,
    /// For each node that loses rows, itself and those that it refers to, directly or not.
    reach: BTreeMap<usize, BTreeSet<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(tables: &'a [SubsetTable], references: &'a [Reference]) -> Self {
        let (nodes, node_of) = nodes(tables);
        let mut links: Vec<Link<'a>> = references
            .iter()
            .filter_map(|reference| {
                Some(Link {
                    reference,
                    child: *node_of.get(&reference.child)?,
                    parent: *node_of.get(&reference.parent)?,
                })
            })
            // Where no row is chosen, references can take nothing more away.
            .filter(|link| *nodes[link.child].chosen != Chosen::None)
            .collect();
        let losing = losing(&nodes, &links);
        links.retain(|link| losing.contains(&link.parent));
        let reach: BTreeMap<usize, BTreeSet<usize>> = losing
            .iter()
            .map(|node| (*node, reach(*node, &links)))
            .collect();
        let groups = groups(&reach, &links);
        let group_of = groups
            .iter()
            .enumerate()
            .flat_map(|(at, group)| group.nodes.iter().map(move |node| (*node, at)))
            .collect();
        Self {
            nodes,
            links,
            groups,
            group_of,
            reach,
        }
    }

    /// True if not all rows of the node need be copied.
    pub(super) fn loses_rows(&self, node: usize) -> bool {
        self.reach.contains_key(&node)
    }

    /// The group of a node that loses rows.
    pub(super) fn group_of(&self, node: usize) -> usize {
        self.group_of[&node]
    }

    /// The groups of a node that loses rows and of those that it refers to, in their order.
    pub(super) fn groups_behind(&self, node: usize) -> BTreeSet<usize> {
        self.reach[&node]
            .iter()
            .map(|n| self.group_of(*n))
            .collect()
    }

    /// The columns of a node that others refer to.
    pub(super) fn key_columns(&self, node: usize) -> BTreeSet<&'a str> {
        self.links
            .iter()
            .filter(|link| link.parent == node)
            .flat_map(|link| link.reference.parent_columns.iter().map(String::as_str))
            .collect()
    }
}

fn nodes(tables: &[SubsetTable]) -> (Vec<Node<'_>>, BTreeMap<TableName, usize>) {
    let mut by_root: BTreeMap<&TableName, Vec<&SubsetTable>> = BTreeMap::new();
    for table in tables {
        let root = table.ancestors.last().unwrap_or(&table.name);
        by_root.entry(root).or_default().push(table);
    }
    let mut nodes = Vec::new();
    let mut node_of = BTreeMap::new();
    for (name, mut tables) in by_root {
        // The root first.
        tables.sort_by_key(|t| t.ancestors.len());
        for table in &tables {
            node_of.insert(table.name.clone(), nodes.len());
        }
        nodes.push(Node {
            name,
            chosen: &tables[0].chosen,
            tables,
        });
    }
    (nodes, node_of)
}

/// The nodes of which rows are left out, or which refer to such nodes.
fn losing(nodes: &[Node<'_>], links: &[Link<'_>]) -> BTreeSet<usize> {
    let mut losing: BTreeSet<usize> = (0..nodes.len())
        .filter(|at| *nodes[*at].chosen != Chosen::All)
        .collect();
    loop {
        let before = losing.len();
        for link in links {
            if losing.contains(&link.parent) {
                losing.insert(link.child);
            }
        }
        if losing.len() == before {
            return losing;
        }
    }
}

fn reach(from: usize, links: &[Link<'_>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        for link in links.iter().filter(|link| link.child == node) {
            if reached.insert(link.parent) {
                open.push(link.parent);
            }
        }
    }
    reached
}

/// Nodes that reach each other together; who reaches fewer comes first, for who reaches another
/// group reaches all that it does, and itself.
fn groups(reach: &BTreeMap<usize, BTreeSet<usize>>, links: &[Link<'_>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut grouped = BTreeSet::new();
    let mut nodes: Vec<usize> = reach.keys().copied().collect();
    nodes.sort_by_key(|node| reach[node].len());
    for node in nodes {
        if !grouped.insert(node) {
            continue;
        }
        let mutual = reach[&node].iter().filter(|n| reach[n].contains(&node));
        let nodes: BTreeSet<usize> = mutual.copied().collect();
        let itself = |link: &Link<'_>| link.child == node && link.parent == node;
        grouped.extend(&nodes);
        groups.push(Group {
            cyclic: nodes.len() > 1 || links.iter().any(itself),
            nodes,
        });
    }
    groups
}
