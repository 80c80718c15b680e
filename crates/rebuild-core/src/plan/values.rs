//! Warnings of values and settings that the new database has otherwise than the old one.

use std::collections::BTreeSet;

use super::build::rows_about;
use super::{RowsFrom, Rules, Survey};
use crate::model::{TableFacts, TableKind, TableName};

/// What to warn of.
pub(super) fn warnings(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    let changed: Vec<Changed<'_>> = match rules.rows {
        RowsFrom::Backup => changed(survey).collect(),
        _ => Vec::new(),
    };
    let mut warnings = Vec::new();
    warnings.extend(other_types(rules, &changed));
    warnings.extend(time_zones(&changed));
    warnings.extend(read_only(survey));
    warnings
}

/// Tables with rows that the spec does not restore.
pub(super) fn left_behind(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    if rules.rows != RowsFrom::Backup {
        return Vec::new();
    }
    // What the new schema lacks is told as that.
    let lost: BTreeSet<&TableName> = survey.lost_tables().map(|(table, _)| table).collect();
    let taken = |t: &TableFacts| {
        let names = std::iter::once(&t.table).chain(&t.partition_of);
        names.into_iter().any(|name| (rules.takes)(name))
    };
    let left = survey.inventory.tables.iter().filter(|t| {
        let kinds = [TableKind::Table, TableKind::Partition, TableKind::Unlogged];
        kinds.contains(&t.kind)
            && t.estimated_rows != Some(0)
            && !taken(t)
            && !lost.contains(&t.table)
    });
    let told = left.map(|t| {
        format!(
            "not in restore.tables: {} with {}, which stay in the retired database",
            t.table,
            rows_about(t.estimated_rows)
        )
    });
    told.collect()
}

/// A column that gets another type.
struct Changed<'a> {
    table: &'a TableName,
    column: &'a str,
    live: &'a str,
    new: &'a str,
}

fn changed(survey: &Survey) -> impl Iterator<Item = Changed<'_>> {
    let tables = survey.drift.iter().flat_map(|drift| &drift.tables);
    tables.flat_map(|t| {
        let columns = t.changed_columns.iter();
        columns.map(|(column, live, new)| Changed {
            table: &t.table,
            column,
            live,
            new,
        })
    })
}

/// A value that is too long for its new type is refused, and one that is rounded is not.
fn other_types(rules: &Rules<'_>, changed: &[Changed<'_>]) -> Option<String> {
    let described = |c: &Changed<'_>| format!("{}.{} ({} -> {})", c.table, c.column, c.live, c.new);
    let columns: Vec<String> = changed.iter().map(described).collect();
    (!rules.compares_content && !columns.is_empty()).then(|| {
        format!(
            "values of {} are given another type; [[verify]] with kind = \"content\" finds those that do \
             not survive it",
            columns.join(", ")
        )
    })
}

/// `ALTER TABLE` would take the time zone of its session. Here it is always the same one, which is said, for
/// nothing in the values tells which one was meant.
fn time_zones(changed: &[Changed<'_>]) -> Option<String> {
    let zoned = |c: &&Changed<'_>| {
        is_zoned(c.live) != is_zoned(c.new) && is_a_time(c.live) && is_a_time(c.new)
    };
    let columns = changed.iter().filter(zoned);
    let columns: Vec<String> = columns
        .map(|c| format!("{}.{}", c.table, c.column))
        .collect();
    (!columns.is_empty()).then(|| {
        format!(
            "{} gets or loses its time zone: values without one are taken for UTC",
            columns.join(", ")
        )
    })
}

fn is_a_time(type_name: &str) -> bool {
    type_name.starts_with("time") || type_name == "date"
}

fn is_zoned(type_name: &str) -> bool {
    type_name.contains("with time zone")
}

/// The new database has to be filled, and the run itself sets the old one read-only.
fn read_only(survey: &Survey) -> Option<String> {
    let setting = "default_transaction_read_only";
    let database = &survey.inventory.database;
    let is_on = |(role, text): &(Option<String>, String)| {
        role.is_none() && text.eq_ignore_ascii_case(&format!("{setting}=on"))
    };
    let name = &database.identity.name;
    database.settings.iter().any(is_on).then(|| {
        format!(
            "{name} has {setting} = on, which does not come along; after the run: ALTER DATABASE \"{}\" \
             SET {setting} = on",
            name.replace('"', "\"\"")
        )
    })
}
