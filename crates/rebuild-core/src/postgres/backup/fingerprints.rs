//! What a database holds now, to be compared with a backup.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{Manifest, TableEntry, by_root};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity, TableFingerprint, TableName};
use crate::postgres::Session;
use crate::postgres::rows::RowOptions;
use crate::postgres::rows::fingerprint::{Wanted, add_up};
use crate::postgres::rows::names::Names;
use crate::postgres::rows::snapshot::Snapshot;
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::rows::units::Extent;

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
    fingerprints_of(ctx, endpoint, db, &like.encoding, &all, options).await
}

/// As [`fingerprints`], of some of the tables.
///
/// # Errors
/// As [`fingerprints`].
pub(in crate::postgres) async fn fingerprints_of(
    ctx: &Ctx,
    endpoint: &Endpoint,
    db: &Identity,
    encoding: &str,
    entries: &[&TableEntry],
    options: &RowOptions,
) -> Result<Vec<TableFingerprint>> {
    let session = Session::open_at(endpoint, db, ctx).await?;
    let snapshot = Snapshot::export_from(session).await?;
    let wanted: BTreeSet<&TableName> = entries.iter().map(|e| &e.table).collect();
    let ours = |t: &LiveTable| t.holds_rows() && wanted.contains(&t.table);
    let live: BTreeMap<TableName, LiveTable> = snapshot
        .hold(ours, options)
        .await?
        .into_iter()
        .map(|t| (t.table.clone(), t))
        .collect();
    let names = Names::under(encoding);
    let mut readings = Vec::new();
    let mut roots = Vec::new();
    for entry in entries {
        if let Some(table) = live.get(&entry.table) {
            let (columns, reading) = reading(entry, table, names)?;
            roots.push((entry.root.as_ref(), entry, columns));
            readings.push(reading);
        }
    }
    let endpoint = endpoint.with_database(&db.name);
    let sums = add_up(ctx, &endpoint, &snapshot, encoding, readings, options).await?;
    Ok(by_root(roots.into_iter().zip(sums).map(
        |((root, entry, columns), sum)| {
            let fingerprint = TableFingerprint {
                table: entry.table.clone(),
                columns,
                form: entry.form,
                rows: sum.rows,
                hash: sum.hash,
            };
            (root, fingerprint)
        },
    )))
}

fn reading(entry: &TableEntry, live: &LiveTable, names: Names) -> Result<(Vec<String>, Wanted)> {
    let there = live.column_names();
    let columns: Vec<String> = entry
        .columns
        .iter()
        .map(|c| c.name.clone())
        .filter(|name| there.contains(name))
        .collect();
    let wanted = Wanted {
        table: entry.table.clone(),
        columns: columns
            .iter()
            .map(|name| names.ident(name))
            .collect::<Result<_>>()?,
        plain: true,
        form: entry.form,
        condition: entry.condition.clone(),
        extent: Extent {
            bytes: live.bytes,
            // A condition and a range of pages cannot both pick the rows.
            pages: if entry.condition.is_some() {
                0
            } else {
                live.pages
            },
        },
    };
    Ok((columns, wanted))
}
