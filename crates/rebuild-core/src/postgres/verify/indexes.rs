//! Every index is valid and ready.

use super::amount::{amount, len};
use super::look::Look;
use super::structure::check;
use crate::error::Result;
use crate::model::{Check, TableName};
use crate::postgres::server_error;

/// Every index with what is wrong with it. An index of a partitioned table is made of those of
/// its partitions, so each partition must have one that is attached to it; a foreign table can
/// have none (<https://www.postgresql.org/docs/current/catalog-pg-index.html>).
const INDEXES: &str = "
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
           tn.nspname::pg_catalog.text, t.relname::pg_catalog.text,
           i.indisvalid, i.indisready, i.indislive,
           array(
               select pn.nspname || '.' || p.relname
                 from pg_catalog.pg_inherits h
                 join pg_catalog.pg_class p on p.oid = h.inhrelid
                 join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
                where c.relkind = 'I' and h.inhparent = t.oid and p.relkind in ('r', 'p')
                  and not exists (
                      select from pg_catalog.pg_inherits hi
                        join pg_catalog.pg_index pi on pi.indexrelid = hi.inhrelid
                       where hi.inhparent = c.oid and pi.indrelid = p.oid)
                order by 1)
      from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_class t on t.oid = i.indrelid
      join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
     where t.relpersistence <> 't' and t.relkind in ('r', 'p', 'm')
       and tn.nspname <> 'information_schema' and tn.nspname !~ '^pg_'
     order by 1, 2";

/// Looks at every index of the database's users.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn indexes(look: &Look<'_>) -> Result<Check> {
    let what = "could not list the indexes";
    let rows = look
        .session()
        .query(INDEXES, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut complaints = Vec::new();
    for row in &rows {
        complaints.extend(complaint(row).map_err(|e| server_error(what, e))?);
    }
    Ok(check(
        "indexes",
        amount(len(&rows), "index", "indexes"),
        complaints,
    ))
}

fn complaint(row: &tokio_postgres::Row) -> Result<Option<String>, tokio_postgres::Error> {
    let index = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
    let table = TableName::new(row.try_get::<_, String>(2)?, row.try_get::<_, String>(3)?);
    let mut wrong = Vec::new();
    for (column, word) in [(4, "valid"), (5, "ready"), (6, "live")] {
        if !row.try_get::<_, bool>(column)? {
            wrong.push(format!("not {word}"));
        }
    }
    let missing: Vec<String> = row.try_get(7)?;
    if !missing.is_empty() {
        wrong.push(format!("not attached in {}", missing.join(", ")));
    }
    Ok((!wrong.is_empty()).then(|| format!("index {index} of {table} is {}", wrong.join(" and "))))
}
