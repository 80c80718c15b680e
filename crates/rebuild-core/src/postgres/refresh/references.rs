//! The foreign keys of a database.

use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{Session, server_error};

/// A foreign key, as it was declared: of a partitioned table there is one, not one for each
/// partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Its name.
    pub name: String,
    /// The table whose rows refer.
    pub child: TableName,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub parent: TableName,
    /// The columns there, in the same order.
    pub parent_columns: Vec<String>,
    /// By which operator a column there matches a column here: its schema and name. It is the one
    /// that the constraint itself uses; under another search path `=` can be another one.
    pub operators: Vec<(String, String)>,
    /// `MATCH FULL`: either all columns are null or none.
    pub full: bool,
}

/// <https://www.postgresql.org/docs/current/catalog-pg-constraint.html>; `conparentid` is set in
/// the constraints that partitions have from their root.
const REFERENCES: &str = "
    select c.conname::pg_catalog.text,
           cn.nspname::pg_catalog.text, cc.relname::pg_catalog.text,
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.conkey) with ordinality k (attnum, n)
                   join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
                  order by k.n),
           pn.nspname::pg_catalog.text, pc.relname::pg_catalog.text,
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.confkey) with ordinality k (attnum, n)
                   join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum
                  order by k.n),
           c.confmatchtype = 'f',
           array(select n.nspname::pg_catalog.text
                   from pg_catalog.unnest(c.conpfeqop) with ordinality k (oid, n)
                   join pg_catalog.pg_operator o on o.oid = k.oid
                   join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
                  order by k.n),
           array(select o.oprname::pg_catalog.text
                   from pg_catalog.unnest(c.conpfeqop) with ordinality k (oid, n)
                   join pg_catalog.pg_operator o on o.oid = k.oid
                  order by k.n)
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_class cc on cc.oid = c.conrelid
      join pg_catalog.pg_namespace cn on cn.oid = cc.relnamespace
      join pg_catalog.pg_class pc on pc.oid = c.confrelid
      join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
     where c.contype = 'f' and c.conparentid = 0
     order by cn.nspname collate \"C\", cc.relname collate \"C\", c.conname collate \"C\"";

/// Every foreign key, by table and name.
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn references(session: &Session) -> Result<Vec<Reference>> {
    let rows = session
        .query(REFERENCES, &[])
        .await
        .map_err(|e| server_error("could not read the foreign keys", e))?;
    Ok(rows
        .iter()
        .map(|row| Reference {
            name: row.get(0),
            child: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            columns: row.get(3),
            parent: TableName::new(row.get::<_, String>(4), row.get::<_, String>(5)),
            parent_columns: row.get(6),
            full: row.get(7),
            operators: std::iter::zip(row.get::<_, Vec<String>>(8), row.get::<_, Vec<String>>(9))
                .collect(),
        })
        .collect())
}
