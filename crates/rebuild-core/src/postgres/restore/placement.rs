//! Where each table and column of a backup goes in the database it is restored into.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::model::{TableKind, TableName};
use crate::postgres::backup::{ColumnEntry, Manifest, TableEntry, homes};
use crate::postgres::rows::columns::LiveColumn;
use crate::postgres::rows::tables::{LiveTable, list_tables};
use crate::postgres::{Session, qualified, server_error};
use crate::spec::TablePatterns;
use crate::traits::{RestoreOutline, Unplaced};

/// Tables in which a migrator keeps which migrations it has applied. What it wrote there while
/// it made the new schema is right; what the old database had is not.
const VERSION_TABLES: [&str; 8] = [
    "alembic_version",
    "ar_internal_metadata",
    "django_migrations",
    "flyway_schema_history",
    "_prisma_migrations",
    "refinery_schema_history",
    "schema_migrations",
    "_sqlx_migrations",
];

/// Our own history of schema files. Somebody may have other tables in a schema of that name.
const OUR_HISTORY: (&str, &str) = ("rebuild", "schema_history");

/// True for the table of our own history.
fn is_our_history(table: &TableName) -> bool {
    (table.schema.as_str(), table.name.as_str()) == OUR_HISTORY
}

/// Which rows are restored, and which may be left behind.
#[derive(Clone, Debug, Default)]
pub struct RestoreChoice {
    /// Tables to restore; empty for all.
    pub tables: TablePatterns,
    /// Data that may have no place.
    pub may_drop: TablePatterns,
}

impl RestoreChoice {
    /// True if rows of a table of the backup are restored. A partitioned table stands for its partitions.
    pub(crate) fn takes(&self, entry: &TableEntry) -> bool {
        let matches = |table: &TableName| self.tables.matches(table);
        self.tables.is_empty() || named(entry).any(matches)
    }

    /// True if the data may be left behind.
    pub(super) fn may_leave(&self, data: &Unplaced) -> bool {
        match &data.column {
            Some(column) => self.may_drop.matches_column(&data.table, column),
            None => self.may_drop.matches(&data.table),
        }
    }

    /// Makes sure that each pattern means a table: one that was mistyped would leave that table empty, which
    /// compares well with nothing.
    ///
    /// # Errors
    /// A refusal: the backup has tables, and one of the patterns matches none of them.
    pub(crate) fn require_some(&self, manifest: &Manifest) -> Result<()> {
        let tables = &manifest.tables;
        let names: Vec<&TableName> = tables.iter().flat_map(named).collect();
        let without = self.tables.without_match(&names);
        if tables.is_empty() || without.is_empty() {
            return Ok(());
        }
        Err(Error::refused(format!(
            "restore.tables: {} matches none of the {} tables of {}",
            without.join(", "),
            tables.len(),
            manifest.id
        ))
        .hint("its patterns are written schema.table"))
    }
}

/// Where the rows of one table of the backup go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// The table's place in the manifest.
    pub(super) entry: usize,
    /// The table that takes them.
    pub(super) target: TableName,
    /// What that is.
    pub(super) kind: TableKind,
    /// The columns of the stream, in order.
    pub(super) columns: Vec<Placed>,
    /// True if other tables' rows go into the same target, which is emptied beforehand.
    pub(super) shared: bool,
}

/// The names that a table of the backup goes by: its own, and that of what it is a partition of.
fn named(entry: &TableEntry) -> impl Iterator<Item = &TableName> {
    let trees = entry.partition_of.iter().chain(&entry.root);
    std::iter::once(&entry.table).chain(trees)
}

/// Where one column of the stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its name, in the backup and in the target.
    pub(super) name: String,
    /// The type that its values are given to the target as; `None` if it is left out.
    pub(super) into: Option<String>,
    /// True if that is the type it had.
    pub(super) same: bool,
    /// The type has the name that it had, and is another: a domain of another base or precision, a composite type
    /// whose attributes are of other types. What is written as the one would be read as the other.
    pub(super) redefined: bool,
}

impl Placement {
    /// True if the stream can go straight into the target.
    pub(super) fn is_direct(&self) -> bool {
        self.columns.iter().all(|c| c.same)
    }
}

/// Where everything goes, and what has no place.
#[derive(Clone, Debug, Default)]
pub(super) struct Placements {
    pub(super) placed: Vec<Placement>,
    pub(super) new_columns: Vec<(TableName, String)>,
    pub(super) unplaced: Vec<Unplaced>,
    /// Tables whose rows in the target stay as the migrator wrote them.
    pub(super) kept: Vec<TableName>,
}

impl Placements {
    /// Compares the manifest with the database that `session` is in. `own_schema` is true where
    /// the schema came from the backup itself.
    ///
    /// # Errors
    /// The database could not be read, or the choice takes none of the backup's tables.
    pub(super) async fn find(
        session: &Session,
        manifest: &Manifest,
        choice: &RestoreChoice,
        own_schema: bool,
    ) -> Result<Self> {
        choice.require_some(manifest)?;
        // Without their sizes, for which one would wait for whoever is loading one of them.
        let live = list_tables(session).await?;
        let mut found = Self::default();
        let by_name: BTreeMap<&TableName, &LiveTable> =
            live.iter().map(|t| (&t.table, t)).collect();
        let chosen = (manifest.tables.iter().enumerate()).filter(|(_, e)| choice.takes(e));
        let takes = |table: &TableName| by_name.get(table).copied().filter(|t| t.takes_rows());
        let homes = homes(chosen.clone().map(|(_, entry)| entry), takes);
        for ((index, entry), home) in chosen.zip(homes) {
            if !own_schema && is_bookkeeping(session, &entry.table, &by_name).await? {
                found.kept.push(entry.table.clone());
                continue;
            }
            found.place(index, entry, takes(home));
        }
        found.mark_shared();
        Ok(found)
    }

    fn place(&mut self, index: usize, entry: &TableEntry, target: Option<&LiveTable>) {
        let Some(target) = target else {
            if entry.rows > 0 {
                self.unplaced.push(Unplaced {
                    table: entry.table.clone(),
                    column: None,
                    rows: entry.rows,
                    why: None,
                });
            }
            return;
        };
        let columns: BTreeMap<&str, &LiveColumn> = target
            .columns
            .iter()
            .map(|c| (c.name.as_str(), c))
            .collect();
        let mut placed = Vec::new();
        for column in &entry.columns {
            let now = columns.get(column.name.as_str()).copied();
            let why = now.and_then(|now| column.has_place_in(now).err());
            let into = now.filter(|_| why.is_none());
            if into.is_none() && column.filled > 0 {
                self.unplaced.push(Unplaced {
                    table: entry.table.clone(),
                    column: Some(column.name.clone()),
                    rows: column.filled,
                    why,
                });
            }
            let redefined = into.is_some_and(|now| is_redefined(column, now));
            placed.push(Placed {
                name: column.name.clone(),
                into: into.map(LiveColumn::assigned_from),
                same: into.is_some_and(|now| now.type_name == column.type_name) && !redefined,
                redefined,
            });
        }
        self.leave_generated(entry, &columns);
        let known: BTreeSet<&str> = entry.columns.iter().map(|c| c.name.as_str()).collect();
        for column in &target.columns {
            if !known.contains(column.name.as_str()) {
                self.new_columns
                    .push((entry.table.clone(), column.name.clone()));
            }
        }
        self.placed.push(Placement {
            entry: index,
            target: target.table.clone(),
            kind: target.kind,
            columns: placed,
            shared: false,
        });
    }

    /// Columns that the database computed, and does not any more: nobody would fill them.
    fn leave_generated(&mut self, entry: &TableEntry, columns: &BTreeMap<&str, &LiveColumn>) {
        let plain = (entry.generated.iter()).filter(|name| columns.contains_key(name.as_str()));
        let unplaced = plain.filter(|_| entry.rows > 0).map(|name| Unplaced {
            table: entry.table.clone(),
            column: Some(name.clone()),
            rows: entry.rows,
            why: Some("it was generated, and a backup has no values of generated columns".into()),
        });
        self.unplaced.extend(unplaced);
    }

    /// Where the rows of the table go that is at `entry` in the manifest.
    ///
    /// # Errors
    /// Nowhere.
    pub(super) fn of(&self, entry: usize) -> Result<&Placement> {
        let placed = self.placed.iter().find(|p| p.entry == entry);
        placed.ok_or_else(|| Error::internal(format!("table {entry} of the manifest has no place")))
    }

    /// Finds the targets that take more than one table's rows.
    pub(super) fn mark_shared(&mut self) {
        let mut uses: BTreeMap<TableName, usize> = BTreeMap::new();
        for placement in &self.placed {
            *uses.entry(placement.target.clone()).or_default() += 1;
        }
        for placement in &mut self.placed {
            placement.shared = uses[&placement.target] > 1;
        }
    }

    /// Splits what has no place into what may be left out, and the rest, which is a refusal.
    ///
    /// # Errors
    /// A refusal that names every table and column whose data has no place.
    pub(super) fn require_places(&self, choice: &RestoreChoice) -> Result<Vec<Unplaced>> {
        let (left_out, forbidden): (Vec<_>, Vec<_>) =
            (self.unplaced.iter().cloned()).partition(|u| choice.may_leave(u));
        if forbidden.is_empty() {
            return Ok(left_out);
        }
        let names: Vec<String> = forbidden.iter().map(describe).collect();
        Err(Error::refused(format!(
            "the new schema has no place for this data: {}",
            names.join(", ")
        ))
        .hint(
            "give the schema a place for it, or name it in restore.allow_dropped; it stays where \
             it was read from either way",
        ))
    }

    pub(super) fn outline(&self, manifest: &Manifest) -> RestoreOutline {
        RestoreOutline {
            tables: self
                .placed
                .iter()
                .map(|p| manifest.tables[p.entry].table.clone())
                .collect(),
            new_columns: self.new_columns.clone(),
            unplaced: self.unplaced.clone(),
        }
    }
}

pub(super) fn describe(unplaced: &Unplaced) -> String {
    let (table, rows) = (&unplaced.table, unplaced.rows);
    match (&unplaced.column, &unplaced.why) {
        (Some(column), None) => {
            format!("column {table}.{column} ({rows} rows have a value there)")
        }
        (Some(column), Some(why)) => format!("column {table}.{column} ({rows} rows; {why})"),
        (None, _) => format!("table {table} ({rows} rows)"),
    }
}

/// True if the type of a column goes by the name that it had, and is made of something else. What the types of an
/// older backup were made of is not known.
fn is_redefined(then: &ColumnEntry, now: &LiveColumn) -> bool {
    let other_parts = then.shape.is_some() && then.shape != now.shape;
    then.type_name == now.type_name && (then.base != now.base_name || other_parts)
}

/// True for a table in which a migrator, or we ourselves, keep book of what was applied.
pub(super) fn is_a_migrators(table: &TableName) -> bool {
    is_our_history(table) || VERSION_TABLES.contains(&table.name.as_str())
}

/// True if the rows that the new schema's migrator wrote there are the right ones.
///
/// # Errors
/// The table could not be read.
pub(super) async fn is_bookkeeping(
    session: &Session,
    table: &TableName,
    live: &BTreeMap<&TableName, &LiveTable>,
) -> Result<bool> {
    if is_our_history(table) {
        return Ok(true);
    }
    let here = live.get(table).filter(|t| t.holds_rows());
    if here.is_none() || !is_a_migrators(table) {
        return Ok(false);
    }
    let sql = format!("select exists (select from {})", qualified(table)?);
    let row = session
        .query_one(&sql, &[])
        .await
        .map_err(|e| server_error(format!("could not read table {table}"), e))?;
    Ok(row.get(0))
}
