//! Which rows and columns of a database are carried, by the rules of the spec and its catalog.

use std::collections::{BTreeMap, BTreeSet};

use super::mask::{Mask, MaskedColumn};
use super::references::{Reference, references};
use super::rules::RefreshRules;
use super::subset::{Chosen, SubsetTable, conditions};
use crate::error::Result;
use crate::model::{TableKind, TableName};
use crate::postgres::rows::columns::LiveColumn;
use crate::postgres::rows::names::Names;
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::{Session, server_error};

/// What the rules make of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Every column that is masked, and how.
    pub(crate) masked: Vec<(TableName, String, String)>,
    /// Every table of which not all rows are carried, and how they are chosen.
    pub(crate) chosen: Vec<(TableName, String)>,
    /// Why it cannot be done, a line each.
    pub(crate) problems: Vec<String>,
}

/// A column of a table, or of a tree of partitions.
type Column = (TableName, String);

/// Fills in what the rules make of `tables`, for statements with `names`.
///
/// # Errors
/// The server could not be asked. What does not fit is among the problems.
pub(super) async fn carry(
    session: &Session,
    rules: &RefreshRules,
    tables: &mut [LiveTable],
    names: Names,
) -> Result<Carried> {
    let references = references(session).await?;
    let mut carried = Carried::default();
    let chosen = choose(rules, tables, &mut carried);
    let masks = masks(rules, tables, &references, &mut carried.problems);
    refuse_keys(session, &masks, &mut carried.problems).await?;
    require(rules, tables, &masks, &chosen, &mut carried.problems);
    mask(tables, &masks, names, &mut carried);
    filter(tables, &references, &chosen, names, &mut carried);
    Ok(carried)
}

/// The table as the spec names it: partitions go by the root of their tree.
fn spoken(table: &LiveTable) -> &TableName {
    table.ancestors.last().unwrap_or(&table.table)
}

/// What is chosen of each table before references are looked at.
fn choose(
    rules: &RefreshRules,
    tables: &[LiveTable],
    carried: &mut Carried,
) -> BTreeMap<TableName, Chosen> {
    let mut chosen = BTreeMap::new();
    let mut used = BTreeSet::new();
    for table in tables.iter().filter(|t| t.takes_rows()) {
        let name = spoken(table);
        let rule = rules.tables.iter().position(|r| r.tables.matches(name));
        let Some(at) = rule else { continue };
        used.insert(at);
        let rows = &rules.tables[at].chosen;
        if table.condition.is_some() && *rows != Chosen::None {
            carried.problems.push(format!(
                "source.table: {name} belongs to an extension, which says which of its rows are \
                 copied; only rows = false is possible"
            ));
        }
        chosen.insert(name.clone(), rules.tables[at].chosen.clone());
    }
    let unused = |(at, _): &(usize, _)| !used.contains(at);
    for (_, rule) in rules.tables.iter().enumerate().filter(unused) {
        let pattern = &rule.pattern;
        carried.problems.push(format!(
            "source.table: {pattern} matches no table of the source, or none that an earlier \
             pattern does not"
        ));
    }
    chosen
}

/// The mask of every column that has one: that of the first rule that matches it, or that of a
/// column it refers to.
fn masks(
    rules: &RefreshRules,
    tables: &[LiveTable],
    references: &[Reference],
    problems: &mut Vec<String>,
) -> BTreeMap<Column, Mask> {
    let mut masks = BTreeMap::new();
    let mut used = BTreeSet::new();
    for table in tables.iter().filter(|t| t.takes_rows()) {
        let name = spoken(table);
        for column in &table.columns {
            let matches = |at: &usize| rules.masks[*at].columns.matches_column(name, &column.name);
            if let Some(at) = (0..rules.masks.len()).find(matches) {
                used.insert(at);
                let key = (name.clone(), column.name.clone());
                masks.insert(key, rules.masks[at].mask.clone());
            }
        }
    }
    let unused = |(at, _): &(usize, _)| !used.contains(at);
    for (_, rule) in rules.masks.iter().enumerate().filter(unused) {
        let pattern = &rule.pattern;
        problems.push(format!(
            "mask.column: {pattern} matches no column of the source that could be masked"
        ));
    }
    follow(&mut masks, references, problems);
    refuse_other_types(tables, &masks, references, problems);
    masks
}

/// Masks what refers to a masked column in the same way.
fn follow(
    masks: &mut BTreeMap<Column, Mask>,
    references: &[Reference],
    problems: &mut Vec<String>,
) {
    let pairs = || {
        references.iter().flat_map(|r| {
            let child = r.columns.iter().map(|c| (r.child.clone(), c.clone()));
            let parent = r
                .parent_columns
                .iter()
                .map(|c| (r.parent.clone(), c.clone()));
            child
                .zip(parent)
                .map(move |(child, parent)| (r, child, parent))
        })
    };
    loop {
        let missing: Vec<(Column, Mask)> = pairs()
            .filter(|(_, child, _)| !masks.contains_key(child))
            .filter_map(|(_, child, parent)| Some((child, masks.get(&parent)?.clone())))
            .filter(|(_, mask)| mask.keeps_keys())
            .collect();
        if missing.is_empty() {
            break;
        }
        masks.extend(missing);
    }
    for (reference, child, parent) in pairs() {
        let (of_child, of_parent) = (masks.get(&child), masks.get(&parent));
        let same = of_child == of_parent && of_child.is_none_or(Mask::keeps_keys);
        if same || of_child == Some(&Mask::Null) {
            continue;
        }
        let shown = |mask: Option<&Mask>| mask.map_or("not masked".to_owned(), Mask::describe);
        problems.push(format!(
            "mask: {}.{} refers to {}.{} ({}); they are masked by hash, keep-format or email on \
             both sides, or not at all, and here they are: {}, {}",
            child.0,
            child.1,
            parent.0,
            parent.1,
            reference.name,
            shown(of_child),
            shown(of_parent)
        ));
    }
}

/// A hash is cut to what its column has room for, and letters count in one type and not in
/// another; integers of any width agree.
fn refuse_other_types(
    tables: &[LiveTable],
    masks: &BTreeMap<Column, Mask>,
    references: &[Reference],
    problems: &mut Vec<String>,
) {
    const INTEGERS: [&str; 3] = ["smallint", "integer", "bigint"];
    let types: BTreeMap<Column, &str> = tables
        .iter()
        .flat_map(|t| t.columns.iter().map(move |c| (t, c)))
        .map(|(t, c)| ((t.table.clone(), c.name.clone()), c.type_name.as_str()))
        .collect();
    for reference in references {
        for (column, referred) in reference.columns.iter().zip(&reference.parent_columns) {
            let child = (reference.child.clone(), column.clone());
            let parent = (reference.parent.clone(), referred.clone());
            let (Some(here), Some(there)) = (types.get(&child), types.get(&parent)) else {
                continue;
            };
            let agree = here == there || INTEGERS.contains(here) && INTEGERS.contains(there);
            if masks.get(&child).is_some_and(Mask::keeps_keys) && !agree {
                problems.push(format!(
                    "mask: {}.{column} is {here} and refers to {}.{referred}, which is {there}; \
                     masked, they might differ",
                    child.0, parent.0
                ));
            }
        }
    }
}

/// Masked, rows would not find their partition, or would meet what a sequence gives next.
async fn refuse_keys(
    session: &Session,
    masks: &BTreeMap<Column, Mask>,
    problems: &mut Vec<String>,
) -> Result<()> {
    const KEYS: &str = "
        select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text,
               'decides in which partition a row is'
          from pg_catalog.pg_partitioned_table p
          join pg_catalog.pg_class c
            on c.oid = (select r.relid from pg_catalog.pg_partition_ancestors(p.partrelid)
                          with ordinality r (relid, n) order by r.n desc limit 1)
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_attribute a on a.attrelid = p.partrelid
           and (a.attnum = any (p.partattrs)
                or exists (select from pg_catalog.pg_depend d
                            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                              and d.objid = p.partrelid and d.objsubid = 0 and d.deptype = 'i'
                              and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                              and d.refobjid = p.partrelid and d.refobjsubid = a.attnum))
        union all
        select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text,
               'takes its values from a sequence, which would give them again'
          from pg_catalog.pg_depend d
          join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
          join pg_catalog.pg_class c on c.oid = d.refobjid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
         where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           and d.deptype in ('a', 'i')";
    if masks.is_empty() {
        return Ok(());
    }
    let rows = session.query(KEYS, &[]).await;
    let rows = rows.map_err(|e| server_error("could not read the keys of tables", e))?;
    for row in rows {
        let table = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let column: String = row.get(2);
        if masks.contains_key(&(table.clone(), column.clone())) {
            problems.push(format!(
                "mask: {table}.{column} {}, so it cannot be masked",
                row.get::<_, &str>(3)
            ));
        }
    }
    Ok(())
}

/// Every column whose name says that it must be masked is, or is allowed not to be.
fn require(
    rules: &RefreshRules,
    tables: &[LiveTable],
    masks: &BTreeMap<Column, Mask>,
    chosen: &BTreeMap<TableName, Chosen>,
    problems: &mut Vec<String>,
) {
    let mut open = BTreeSet::new();
    for table in tables.iter().filter(|t| t.takes_rows()) {
        let name = spoken(table);
        if matches!(chosen.get(name), Some(Chosen::None)) {
            continue;
        }
        for column in &table.columns {
            let masked = masks.contains_key(&(name.clone(), column.name.clone()));
            let allowed = rules.allow.matches_column(name, &column.name);
            if rules.require.matches(&column.name) && !masked && !allowed {
                open.insert(format!("{name}.{}", column.name));
            }
        }
    }
    if !open.is_empty() {
        let open: Vec<String> = open.into_iter().collect();
        problems.push(format!(
            "mask.require: neither masked nor allowed to stay as they are: {}",
            open.join(", ")
        ));
    }
}

/// Writes the expressions of masked columns into `tables`.
fn mask(
    tables: &mut [LiveTable],
    masks: &BTreeMap<Column, Mask>,
    names: Names,
    carried: &mut Carried,
) {
    let mut told = BTreeSet::new();
    for table in tables.iter_mut().filter(|t| t.takes_rows()) {
        let name = spoken(table).clone();
        for column in &mut table.columns {
            let key = (name.clone(), column.name.clone());
            let Some(mask) = masks.get(&key) else {
                continue;
            };
            let first = told.insert(key);
            match mask.expression(&masked_column(column), names) {
                Ok(expression) => column.masked = Some(expression),
                Err(e) if first => {
                    let problem = format!("mask: {name}.{}: {}", column.name, e.chain());
                    carried.problems.push(problem);
                }
                Err(_) => {}
            }
            if first {
                let masked = (name.clone(), column.name.clone(), mask.describe());
                carried.masked.push(masked);
            }
        }
    }
}

fn masked_column(column: &LiveColumn) -> MaskedColumn<'_> {
    MaskedColumn {
        name: &column.name,
        type_name: &column.type_name,
        // A label that is none would not be taken.
        base_name: match column.is_enum() {
            true => &column.type_name,
            false => &column.base_name,
        },
        not_null: column.not_null,
    }
}

/// Writes which rows are carried into `tables`.
fn filter(
    tables: &mut [LiveTable],
    references: &[Reference],
    chosen: &BTreeMap<TableName, Chosen>,
    names: Names,
    carried: &mut Carried,
) {
    let subset: Vec<SubsetTable> = tables
        .iter()
        .filter(|t| t.takes_rows())
        .map(|t| SubsetTable {
            name: t.table.clone(),
            ancestors: t.ancestors.clone(),
            holds_rows: t.holds_rows(),
            chosen: chosen.get(spoken(t)).cloned().unwrap_or(Chosen::All),
        })
        .collect();
    let conditions = match conditions(&subset, references, names) {
        Ok(conditions) => conditions,
        Err(e) => {
            return carried
                .problems
                .push(format!("source.table: {}", e.chain()));
        }
    };
    let mut told = BTreeSet::new();
    for table in tables {
        let name = spoken(table).clone();
        if table.kind == TableKind::Partitioned {
            continue;
        }
        table.filter = conditions.get(&table.table).cloned();
        if table.filter.is_some() {
            // What follows references looks at other tables, for each part of this one anew.
            table.pages = 0;
        }
        if table.filter.is_some() && told.insert(name.clone()) {
            let how = match chosen.get(&name) {
                Some(Chosen::None) => "no rows".to_owned(),
                Some(Chosen::Where(condition)) => format!("where {condition}"),
                Some(Chosen::All) | None => "rows whose references are copied".to_owned(),
            };
            carried.chosen.push((name, how));
        }
    }
}

#[cfg(test)]
mod tests;
