//! Tables whose columns are others than in the backup, and what they have kept of it.

use std::collections::BTreeMap;

use super::PgRestorer;
use super::placement::Placement;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::postgres::backup::{Compared, Manifest, Picks, add_up_picked};
use crate::postgres::rows::columns::of_any_length;
use crate::postgres::rows::fingerprint::Casts;
use crate::postgres::{Session, server_error};

/// The types to read columns of a table of the database of `session` as that are of other types than in the
/// backup, where its rows are those of `placed`: the types they had, or built-in ones that read the same
/// values. So a value that its new type could not keep is another value.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn casts(
    session: &Session,
    manifest: &Manifest,
    placed: &[&Placement],
) -> Result<Casts> {
    let mut casts = Casts::new();
    let Some(first) = placed.first() else {
        return Ok(casts);
    };
    let columns = manifest.tables[first.entry].columns.iter();
    for (column, placed) in columns.zip(&first.columns) {
        if placed.into.is_none() || placed.same {
            continue;
        }
        // The domain itself may be another one by now.
        let domain_of = column.shape.as_ref().and_then(|s| s.domain_of.as_ref());
        let type_name = if is_cut_by_a_cast(&column.base) {
            of_any_length(&column.base)
        } else if let Some(domain_of) = domain_of {
            domain_of.clone()
        } else if !placed.redefined && is_there(session, &column.type_name).await? {
            column.type_name.clone()
        } else {
            of_any_length(&column.base)
        };
        casts.insert(column.name.clone(), type_name);
    }
    Ok(casts)
}

/// True for types that write a value the same whatever their length is: a cast to a length would cut a value that
/// is longer now than it was, and hide that.
fn is_cut_by_a_cast(base: &str) -> bool {
    let element = base.strip_suffix("[]").unwrap_or(base);
    ["character varying", "bit varying"].contains(&element)
}

/// Whether the database has a type of that name. One that cannot be sent in every encoding counts as none.
async fn is_there(session: &Session, type_name: &str) -> Result<bool> {
    if !type_name.is_ascii() {
        return Ok(false);
    }
    let sql = "select pg_catalog.to_regtype($1) is not null";
    let row = session.query_one(sql, &[&type_name]).await;
    let row = row.map_err(|e| server_error(format!("could not look for type {type_name}"), e))?;
    Ok(row.get(0))
}

impl PgRestorer {
    /// Makes every table of `compared` comparable: where the database lacks columns of the backup, or has
    /// them in another order, what the rows of the backup add up to without those is found from its chunks.
    ///
    /// # Errors
    /// A chunk is damaged; the store cannot be read.
    pub(super) async fn pick_columns(
        &self,
        ctx: &Ctx,
        manifest: &Manifest,
        placed: &[&Placement],
        compared: &mut [Compared],
    ) -> Result<()> {
        let mut picks = Picks::new();
        let mut homes: BTreeMap<usize, usize> = BTreeMap::new();
        for (home, one) in compared.iter().enumerate() {
            let Some(now) = &one.now else { continue };
            let entries = placed.iter().filter(|p| p.target == one.then.table);
            let entries: Vec<usize> = entries.map(|p| p.entry).collect();
            let names = |entry: usize| manifest.tables[entry].columns.iter().map(|c| &c.name);
            if now.rows != one.then.rows || entries.iter().all(|&e| names(e).eq(&now.columns)) {
                continue;
            }
            for entry in entries {
                let place = |column: &String| {
                    let place = names(entry).position(|name| name == column);
                    place.ok_or_else(|| {
                        let table = &manifest.tables[entry].table;
                        Error::corrupt(format!("table {table} of the backup has no {column}"))
                    })
                };
                picks.insert(entry, now.columns.iter().map(place).collect::<Result<_>>()?);
                homes.insert(entry, home);
            }
        }
        let changed: Vec<usize> = homes.values().copied().collect();
        for &home in &changed {
            let one = &mut compared[home];
            one.then.hash = Default::default();
            one.then.columns = one.now.iter().flat_map(|now| now.columns.clone()).collect();
        }
        let sums = add_up_picked(ctx, &self.store, manifest, picks, &self.options).await?;
        for (entry, sum) in sums {
            compared[homes[&entry]].then.hash.merge(sum.hash);
        }
        Ok(())
    }
}
