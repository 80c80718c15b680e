//! What a database holds now, to be compared with a backup.

use std::collections::{BTreeMap, BTreeSet};

use super::homes::homes;
use super::manifest::{ColumnEntry, Manifest, TableEntry};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{ContentHash, Endpoint, Identity, TableFingerprint, TableName};
use crate::postgres::Session;
use crate::postgres::compare::Adders;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{Casts, ToAddUp, Wanted};
use crate::postgres::rows::scan::Tally;
use crate::postgres::rows::snapshot::Snapshot;
use crate::postgres::rows::tables::{LiveTable, list_tables};

/// Adds up every table of the manifest `like` as it is now in the database `db` on the server of
/// `endpoint`, in one snapshot: the manifest's columns, in its form and encoding. The result
/// compares with [`Manifest::fingerprints`]: a table that is not there has no fingerprint, and
/// one that lacks columns is added up without them, which its list of columns shows.
///
/// *Repeats:* reads again. *Destroys:* nothing.
///
/// # Errors
/// The database is not `db`, a table cannot be read whole, or the server could not be asked.
pub async fn fingerprints(
    ctx: &Ctx,
    endpoint: &Endpoint,
    db: &Identity,
    like: &Manifest,
    options: &RowOptions,
) -> Result<Vec<TableFingerprint>> {
    let all: Vec<&TableEntry> = like.tables.iter().collect();
    let at = (endpoint, db);
    let none = Casts::new();
    let compared = compare_rows(ctx, at, like, (&all, &none), options, Adders::Here).await?;
    Ok(compared.into_iter().filter_map(|c| c.now).collect())
}

/// What one table adds up to.
pub(in crate::postgres) struct Compared {
    /// In the backup. Its tables whose rows are in one table now are one.
    pub(in crate::postgres) then: TableFingerprint,
    /// Now, with the columns that there are; `None` if the table is not there.
    pub(in crate::postgres) now: Option<TableFingerprint>,
}

/// As [`fingerprints`], of some of the tables, beside what they were, by `adders`. Of a table that is
/// partitioned now, the rows are those of all its partitions. Columns that are in the casts are read as
/// other types than they have now, which workers cannot do.
///
/// # Errors
/// As [`fingerprints`]; a worker failed.
pub(in crate::postgres) async fn compare_rows(
    ctx: &Ctx,
    (endpoint, db): (&Endpoint, &Identity),
    like: &Manifest,
    (entries, casts): (&[&TableEntry], &Casts),
    options: &RowOptions,
    adders: Adders<'_>,
) -> Result<Vec<Compared>> {
    let session = Session::open_at(endpoint, db, ctx).await?;
    let snapshot = Snapshot::export_from(session).await?;
    let listed: BTreeMap<TableName, LiveTable> = list_tables(snapshot.session())
        .await?
        .into_iter()
        .filter(LiveTable::takes_rows)
        .map(|t| (t.table.clone(), t))
        .collect();
    let groups = grouped(entries, &listed);
    let homes: BTreeSet<&TableName> = groups.iter().map(|(home, _)| *home).collect();
    let of_a_home = |t: &LiveTable| {
        let mut names = t.ancestors.iter().chain([&t.table]);
        t.holds_rows() && names.any(|name| homes.contains(name))
    };
    let live = snapshot.hold(of_a_home, options).await?;
    let parts = parts_of(&live);
    let mut wanted = Vec::new();
    let mut compared = Vec::new();
    for (home, entries) in groups {
        let then = sum_of(home, &entries);
        let now = listed
            .get(home)
            .map(|table| nothing_of(&then, &entries, table));
        let mut count = 0;
        if let Some(now) = &now {
            for &part in parts.get(home).into_iter().flatten() {
                wanted.push(wanted_of(like, entries[0], (&now.columns, casts), part));
                count += 1;
            }
        }
        compared.push((Compared { then, now }, count));
    }
    let tables = ToAddUp {
        endpoint: &endpoint.with_database(&db.name),
        of: db,
        snapshot: &snapshot,
        encoding: &like.encoding,
        wanted,
    };
    let sums = adders.of_one(ctx, &tables, like, options).await?;
    Ok(with_sums(compared, sums))
}

/// The tables of `live` that hold the rows of each table: those of its tree of partitions, or
/// itself.
fn parts_of(live: &[LiveTable]) -> BTreeMap<&TableName, Vec<&LiveTable>> {
    let mut parts: BTreeMap<&TableName, Vec<&LiveTable>> = BTreeMap::new();
    for part in live {
        for name in part.ancestors.iter().chain([&part.table]) {
            parts.entry(name).or_default().push(part);
        }
    }
    parts
}

/// Adds to each table as many of `sums` as it has parts.
fn with_sums(compared: Vec<(Compared, usize)>, sums: Vec<Tally>) -> Vec<Compared> {
    let mut sums = sums.into_iter();
    let added = compared.into_iter().map(|(mut compared, parts)| {
        for sum in sums.by_ref().take(parts) {
            if let Some(now) = &mut compared.now {
                now.rows += sum.rows;
                now.hash.merge(sum.hash);
            }
        }
        compared
    });
    added.collect()
}

/// The entries by the table that takes their rows in a database in which tables are `listed`, in
/// the order of the first of each.
fn grouped<'a>(
    entries: &[&'a TableEntry],
    listed: &BTreeMap<TableName, LiveTable>,
) -> Vec<(&'a TableName, Vec<&'a TableEntry>)> {
    let mut groups: Vec<(&TableName, Vec<&TableEntry>)> = Vec::new();
    let mut places: BTreeMap<&TableName, usize> = BTreeMap::new();
    let homes = homes(entries.iter().copied(), |table| listed.get(table));
    for (home, entry) in homes.into_iter().zip(entries) {
        let place = *places.entry(home).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(entry),
            None => groups.push((home, vec![entry])),
        }
    }
    groups
}

/// What `entries`, whose rows are in `home`, add up to in the backup.
fn sum_of(home: &TableName, entries: &[&TableEntry]) -> TableFingerprint {
    let mut sum = TableFingerprint {
        table: home.clone(),
        ..entries[0].fingerprint()
    };
    for entry in &entries[1..] {
        sum.rows += entry.rows;
        sum.hash.merge(entry.hash);
    }
    sum
}

/// The sum of no rows of `table`, with those of the columns that all `entries` had, that it has and that values
/// could have been given to.
fn nothing_of(
    then: &TableFingerprint,
    entries: &[&TableEntry],
    table: &LiveTable,
) -> TableFingerprint {
    let fits = |column: &ColumnEntry| {
        let mut same_name = table.columns.iter().filter(|now| now.name == column.name);
        same_name.any(|now| column.has_place_in(now).is_ok())
    };
    let had = |entry: &TableEntry, name: &str| {
        let mut same_name = entry.columns.iter().filter(|then| then.name == name);
        same_name.any(fits)
    };
    let of_all = |column: &&ColumnEntry| entries.iter().all(|e| had(e, &column.name));
    let columns = entries[0].columns.iter().filter(of_all);
    let columns = columns.map(|c| c.name.clone());
    TableFingerprint {
        columns: columns.collect(),
        rows: 0,
        hash: ContentHash::default(),
        ..then.clone()
    }
}

/// Reads `live` as `entry` of the manifest `like` was read.
fn wanted_of(
    like: &Manifest,
    entry: &TableEntry,
    (columns, casts): (&[String], &Casts),
    live: &LiveTable,
) -> Wanted {
    Wanted {
        table: live.clone(),
        columns: columns.to_vec(),
        casts: casts.clone(),
        form: entry.form,
        condition: entry.condition.clone(),
        entry: like.tables.iter().position(|e| e.table == entry.table),
    }
}
