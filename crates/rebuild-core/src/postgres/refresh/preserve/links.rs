//! The foreign keys of preserved tables in the new database.

use super::shape::{Shape, own_rows};
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{Session, ident, server_error};

/// A foreign key.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Its oid.
    pub(super) oid: u32,
    /// Its name.
    pub(super) name: String,
    /// The columns that refer.
    pub(super) columns: Vec<String>,
    /// The table that they refer to.
    pub(super) parent: TableName,
    /// How that is named where its own rows are meant.
    pub(super) parent_rows: String,
    /// Its columns, in the same order.
    pub(super) parent_columns: Vec<String>,
    /// As well, quoted.
    pub(super) parent_names: Vec<String>,
    /// `operator(schema.=)` for each, the parent's column on its left.
    pub(super) equals: Vec<String>,
    /// `MATCH FULL`.
    pub(super) full: bool,
    /// The preserved tables, by their place, that hold rows which are referred to.
    pub(super) parents: Vec<usize>,
}

impl Link {
    /// Why a row that has no parent is left out.
    pub(super) fn reason(&self) -> String {
        let reason = format!("no {} row for {}", self.parent, self.name);
        crate::error::clean(&reason)
    }
}

/// A foreign key to a partitioned table has one of its own for each partition there, and one on
/// each partition of the table that refers; of those only the latter are of interest, where a
/// partition is preserved by itself. What is not enforced, or is about periods, the server alone
/// decides (<https://www.postgresql.org/docs/current/catalog-pg-constraint.html>).
const LINKS: &str = "
    select c.conrelid, c.oid, c.conname::pg_catalog.text, c.confrelid,
           n.nspname::pg_catalog.text, p.relname::pg_catalog.text, p.relkind = 'p',
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.conkey) with ordinality k (attnum, n)
                   join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
                  order by k.n),
           array(select a.attname::pg_catalog.text
                   from pg_catalog.unnest(c.confkey) with ordinality k (attnum, n)
                   join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum
                  order by k.n),
           array(select pg_catalog.format('operator(%I.%s)', s.nspname, o.oprname)
                   from pg_catalog.unnest(c.conpfeqop) with ordinality k (op, n)
                   join pg_catalog.pg_operator o on o.oid = k.op
                   join pg_catalog.pg_namespace s on s.oid = o.oprnamespace
                  order by k.n),
           c.confmatchtype = 'f'
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_class p on p.oid = c.confrelid
      join pg_catalog.pg_namespace n on n.oid = p.relnamespace
     where c.contype = 'f' and c.conrelid = any ($1)
       and not exists (select from pg_catalog.pg_constraint up
                        where up.oid = c.conparentid and up.conrelid = c.conrelid)
       and coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::pg_catalog.bool, true)
       and not coalesce((pg_catalog.to_jsonb(c) ->> 'conperiod')::pg_catalog.bool, false)
     order by c.conrelid, c.conname collate \"C\"";

/// The foreign keys of each of `shapes`, in their order.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn links(session: &Session, shapes: &[&Shape]) -> Result<Vec<Vec<Link>>> {
    let oids: Vec<u32> = shapes.iter().map(|s| s.oid).collect();
    let rows = session
        .query(LINKS, &[&oids])
        .await
        .map_err(|e| server_error("could not read the foreign keys of preserved tables", e))?;
    let mut all = vec![Vec::new(); shapes.len()];
    for row in &rows {
        let child: u32 = row.get(0);
        let Some(at) = oids.iter().position(|oid| *oid == child) else {
            continue;
        };
        let to: u32 = row.get(3);
        let parent = TableName::new(row.get::<_, String>(4), row.get::<_, String>(5));
        let holds = |(_, s): &(usize, &&Shape)| s.shares_rows(to);
        let parent_columns: Vec<String> = row.get(8);
        let quoted = parent_columns.iter().map(|c| ident(c));
        all[at].push(Link {
            oid: row.get(1),
            name: row.get(2),
            columns: row.get(7),
            parent_rows: own_rows(&parent, row.get(6))?,
            parent,
            parent_names: quoted.collect::<Result<_>>()?,
            parent_columns,
            equals: row.get(9),
            full: row.get(10),
            parents: shapes
                .iter()
                .enumerate()
                .filter(holds)
                .map(|(n, _)| n)
                .collect(),
        });
    }
    Ok(all)
}

const PARTIAL: &str = "
    select c.conname::pg_catalog.text, c.confrelid
      from pg_catalog.pg_constraint c
     where c.contype = 'f' and c.conparentid = 0 and c.conrelid = any ($1)
     order by c.conname collate \"C\"";

/// The foreign keys that only some partitions of `shape` have, by name, with what they refer to.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn partial(session: &Session, shape: &Shape) -> Result<Vec<(String, u32)>> {
    let oids: Vec<u32> = shape.partitions.iter().copied().collect();
    let rows = session.query(PARTIAL, &[&oids]).await;
    let failed = |e| {
        server_error(
            format!("could not read the partitions of {}", shape.table),
            e,
        )
    };
    let rows = rows.map_err(failed)?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1))).collect())
}

/// The constraint as it was declared, which for that of a partition is its root's.
pub(super) struct Declared {
    /// Its table, quoted.
    pub(super) table: String,
    /// Its name, quoted.
    pub(super) name: String,
    /// Its schema and name, quoted, for `SET CONSTRAINTS`.
    pub(super) qualified: String,
    /// `DEFERRABLE`.
    pub(super) deferrable: bool,
}

const DECLARED: &str = "
    with recursive up (oid, conname, conrelid, conparentid, condeferrable) as (
        select oid, conname, conrelid, conparentid, condeferrable
          from pg_catalog.pg_constraint where oid = $1
        union all
        select c.oid, c.conname, c.conrelid, c.conparentid, c.condeferrable
          from pg_catalog.pg_constraint c join up on c.oid = up.conparentid)
    select n.nspname::pg_catalog.text, t.relname::pg_catalog.text, up.conname::pg_catalog.text,
           up.condeferrable
      from up
      join pg_catalog.pg_class t on t.oid = up.conrelid
      join pg_catalog.pg_namespace n on n.oid = t.relnamespace
     where up.conparentid = 0";

/// How `link` was declared.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn declared(session: &Session, link: &Link) -> Result<Declared> {
    let row = session
        .query_one(DECLARED, &[&link.oid])
        .await
        .map_err(|e| server_error(format!("could not read the foreign key {}", link.name), e))?;
    let (schema, name) = (ident(row.get(0))?, ident(row.get(2))?);
    Ok(Declared {
        table: format!("{schema}.{}", ident(row.get(1))?),
        qualified: format!("{schema}.{name}"),
        name,
        deferrable: row.get(3),
    })
}
