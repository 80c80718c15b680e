//! What holds data.

use super::unsigned;
use crate::error::Result;
use crate::model::{TableFacts, TableKind, TableName};
use crate::postgres::{Session, qualified, server_error};

/// A condition on `pg_class c` joined to its `pg_namespace n`: relations that hold rows of the
/// database's users. Tables that an extension made are left out, unless the extension says that
/// users put rows into them (`extconfig`): the extension fills the others itself
/// (<https://www.postgresql.org/docs/current/extend-extensions.html>).
pub(super) const HOLDS_ROWS: &str = "
    c.relkind in ('r', 'p', 'm', 'f') and c.relpersistence <> 't'
    and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    and not exists (
        select from pg_catalog.pg_depend p
          join pg_catalog.pg_extension e on e.oid = p.refobjid
         where p.classid = 'pg_catalog.pg_class'::regclass and p.objid = c.oid and p.objsubid = 0
           and p.refclassid = 'pg_catalog.pg_extension'::regclass and p.deptype = 'e'
           and c.oid <> all (coalesce(e.extconfig, '{}')))";

/// Every relation that holds rows, by name.
///
/// An estimate is given where the table was analysed, and left out where that was before it had
/// any pages; a partitioned table has none, for its rows are counted with its partitions.
///
/// # Errors
/// The server could not be asked.
pub async fn tables(session: &Session) -> Result<Vec<TableFacts>> {
    let sql = format!(
        "select n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
                c.relispartition,
                case when c.relkind = 'p' or c.reltuples < 0 then null
                     when c.relpages = 0 and c.relkind <> 'f' then null
                     else c.reltuples::int8 end,
                coalesce(pg_catalog.pg_total_relation_size(c.oid), 0),
                root.nspname::text, root.relname::text
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join lateral (
                select rn.nspname, r.relname
                  from pg_catalog.pg_class r
                  join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
                 where c.relispartition and r.oid = pg_catalog.pg_partition_root(c.oid)) root on true
          where {HOLDS_ROWS}
          order by n.nspname, c.relname"
    );
    let rows = session
        .query(&sql, &[])
        .await
        .map_err(|e| server_error("could not list the tables", e))?;
    Ok(rows
        .iter()
        .map(|row| TableFacts {
            table: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            kind: kind(row.get(2), row.get(3), row.get(4)),
            estimated_rows: row.get::<_, Option<i64>>(5).map(unsigned),
            bytes: unsigned(row.get(6)),
            partition_of: row
                .get::<_, Option<String>>(7)
                .zip(row.get::<_, Option<String>>(8))
                .map(|(schema, name)| TableName::new(schema, name)),
        })
        .collect())
}

/// That rows are lost in a crash weighs more than that they are part of a partitioned table.
fn kind(relkind: &str, persistence: &str, is_partition: bool) -> TableKind {
    match (relkind, persistence, is_partition) {
        ("p", ..) => TableKind::Partitioned,
        ("m", ..) => TableKind::MaterializedView,
        ("f", ..) => TableKind::Foreign,
        (_, "u", _) => TableKind::Unlogged,
        (.., true) => TableKind::Partition,
        _ => TableKind::Table,
    }
}

/// Counts the rows of each of `tables` by reading it: its own rows, without those of partitions
/// or of tables that inherit from it.
///
/// # Errors
/// A table does not exist or cannot be read whole, or the server could not be asked.
pub async fn exact_counts(
    session: &Session,
    tables: &[TableName],
) -> Result<Vec<(TableName, u64)>> {
    let mut counts = Vec::with_capacity(tables.len());
    for table in tables {
        let sql = format!("select pg_catalog.count(*) from only {}", qualified(table)?);
        let row = session
            .query_one(&sql, &[])
            .await
            .map_err(|e| server_error(format!("could not count the rows of {table}"), e))?;
        counts.push((table.clone(), unsigned(row.get(0))));
    }
    Ok(counts)
}

/// Extensions as (name, version, schema), by name.
pub(crate) async fn extensions(session: &Session) -> Result<Vec<(String, String, String)>> {
    let rows = session
        .query(
            "select e.extname::text, e.extversion, n.nspname::text
               from pg_catalog.pg_extension e
               join pg_catalog.pg_namespace n on n.oid = e.extnamespace
              order by e.extname",
            &[],
        )
        .await
        .map_err(|e| server_error("could not list the extensions", e))?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect())
}

/// How many large objects there are.
pub(super) async fn large_objects(session: &Session) -> Result<u64> {
    let row = session
        .query_one(
            "select count(*) from pg_catalog.pg_largeobject_metadata",
            &[],
        )
        .await
        .map_err(|e| server_error("could not count the large objects", e))?;
    Ok(unsigned(row.get(0)))
}
