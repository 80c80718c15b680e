//! The keys of the rows in which a table differs from a backup.

use std::sync::atomic::AtomicU64;

use super::PgRestorer;
use super::changed::casts;
use super::copy_in::CopyIn;
use super::load::Loading;
use super::placement::{Placed, Placement};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Identity, TableKind, TableName};
use crate::postgres::backup::{Manifest, TableEntry};
use crate::postgres::compare::{KeyDifferences, Keys, primary_keys};
use crate::postgres::room::Room;
use crate::postgres::rows::columns::of_any_length;
use crate::postgres::rows::fingerprint::Casts;
use crate::postgres::rows::tables::list_tables;
use crate::postgres::{Session, ident, qualified, server_error};

/// Takes the rows of the backup beside those of the database; it ends with its session.
const THEN: &str = "rebuild_then";

impl PgRestorer {
    /// The rows in which a table of the database `db` differs from the backup: `placed` are the tables of
    /// the backup whose rows it has. Nothing if it has no primary key, or another one.
    ///
    /// *Destroys:* nothing. The rows of the backup are loaded into a temporary table.
    ///
    /// # Errors
    /// A chunk is damaged; the server failed, may not make temporary tables, or has no room.
    pub(super) async fn keys_that_differ(
        &self,
        ctx: &Ctx,
        db: &Identity,
        manifest: &Manifest,
        placed: &[&Placement],
    ) -> Result<Option<KeyDifferences>> {
        let Some(&first) = placed.first() else {
            return Ok(None);
        };
        let now = Session::open_at(&self.endpoint, db, ctx).await?;
        let key = key_of(&now, &first.target).await?;
        let both = first.columns.iter().filter(|c| c.into.is_some());
        let both: Vec<String> = both.map(|c| c.name.clone()).collect();
        if key.is_empty() || !key.iter().all(|column| both.contains(column)) {
            now.close().await;
            return Ok(None);
        }
        let then = Session::open_at(&self.endpoint, db, ctx).await?;
        let loading = self.load_beside(ctx, &then, manifest, placed);
        let room = Room::of(ctx, &self.endpoint, db, &self.options.free_space).await?;
        let what = || format!("loading {} to compare it", first.target);
        room.keep(what, loading).await?;
        let keys = Keys {
            table: &first.target,
            all: &both,
            columns: &key,
        };
        let casts = casts(&now, manifest, placed).await?;
        let from = from(&manifest.tables[first.entry], first, (&both, &casts))?;
        let beside = format!("pg_temp.{THEN}");
        let found = keys.compare(ctx, (&then, &beside), (&now, &from), &self.options);
        let found = found.await?;
        tokio::join!(then.close(), now.close());
        Ok(Some(found))
    }

    /// Loads the rows of `placed` into a temporary table of `session`.
    async fn load_beside(
        &self,
        ctx: &Ctx,
        session: &Session,
        manifest: &Manifest,
        placed: &[&Placement],
    ) -> Result<()> {
        let entries = || placed.iter().map(|p| &manifest.tables[p.entry]);
        let bytes = entries().flat_map(|e| e.chunks.iter().map(|c| c.raw_bytes));
        let loaded = AtomicU64::new(0);
        let loading = Loading {
            copying: CopyIn {
                ctx,
                options: &self.options,
                encoding: &manifest.encoding,
                loaded: &loaded,
                total: bytes.sum(),
            },
            store: &self.store,
            manifest,
        };
        for (place, placement) in placed.iter().enumerate() {
            let entry = &manifest.tables[placement.entry];
            let beside = beside(entry, placement);
            if place == 0 {
                // A database that is set aside may be read only by default.
                let may_write = "set default_transaction_read_only = off";
                for sql in [may_write, &*table(&beside)?] {
                    let done = session.batch_execute(sql).await;
                    done.map_err(|e| server_error("could not make a temporary table", e))?;
                }
            }
            let chunks = 0..entry.chunks.len();
            loading.load(session, &beside, chunks, false).await?;
        }
        Ok(())
    }
}

/// Where the rows of `entry` go that are to be compared: each column with the type it had, or what reads the
/// same values.
fn beside(entry: &TableEntry, placement: &Placement) -> Placement {
    let columns = entry.columns.iter().zip(&placement.columns);
    let columns = columns.map(|(column, placed)| Placed {
        name: column.name.clone(),
        into: Some(match placed.same {
            true => column.type_name.clone(),
            false => of_any_length(&column.base),
        }),
        same: true,
        redefined: false,
    });
    Placement {
        entry: placement.entry,
        target: TableName::new("pg_temp", THEN),
        kind: TableKind::Table,
        columns: columns.collect(),
        shared: true,
    }
}

/// What makes the temporary table.
fn table(beside: &Placement) -> Result<String> {
    let column = |c: &Placed| -> Result<String> {
        let type_name = c.into.as_deref().unwrap_or_default();
        Ok(format!("{} {type_name}", ident(&c.name)?))
    };
    let columns: Vec<String> = beside.columns.iter().map(column).collect::<Result<_>>()?;
    Ok(format!(
        "create temporary table {THEN} ({})",
        columns.join(", ")
    ))
}

/// What a `SELECT` reads the same rows from in the database, each column as the type it had.
fn from(
    entry: &TableEntry,
    placement: &Placement,
    (columns, casts): (&[String], &Casts),
) -> Result<String> {
    let only = match placement.kind {
        TableKind::Partitioned => "",
        _ => "only ",
    };
    let condition = entry.condition.as_deref().unwrap_or_default();
    let rows = format!("{only}{} {condition}", qualified(&placement.target)?);
    if casts.is_empty() {
        return Ok(rows);
    }
    let column = |name: &String| -> Result<String> {
        let column = ident(name)?;
        Ok(match casts.get(name) {
            Some(type_name) => format!("{column}::{type_name} as {column}"),
            None => column,
        })
    };
    let columns: Vec<String> = columns.iter().map(column).collect::<Result<_>>()?;
    Ok(format!(
        "(select {} from {rows}) as now",
        columns.join(", ")
    ))
}

async fn key_of(session: &Session, table: &TableName) -> Result<Vec<String>> {
    let listed = list_tables(session).await?;
    let oid = listed.iter().find(|t| t.table == *table).map(|t| t.oid);
    let oids: Vec<u32> = oid.into_iter().collect();
    let mut keys = primary_keys(session, &oids).await?;
    Ok(keys.pop_first().map(|(_, key)| key).unwrap_or_default())
}
