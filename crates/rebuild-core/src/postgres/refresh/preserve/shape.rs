//! What a preserved table looks like on one of the sides.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::model::TableName;
use crate::postgres::rows::shape::{Shapes, TypeShape};
use crate::postgres::{Session, qualified, server_error};

/// A table as the catalog describes it.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Its oid.
    pub(super) oid: u32,
    /// Its name.
    pub(super) table: TableName,
    /// `relkind`.
    pub(super) kind: String,
    /// Row-level security hides rows of it from this role.
    pub(super) hidden: bool,
    /// Its columns, in order.
    pub(super) columns: Vec<Column>,
    /// Its unique indexes without condition or expression, the primary key first.
    pub(super) uniques: Vec<Unique>,
    /// Itself, and the partitioned tables that it is a part of.
    pub(super) lineage: BTreeSet<u32>,
    /// Its partitions, and theirs.
    pub(super) partitions: BTreeSet<u32>,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type, for people.
    pub(super) type_name: String,
    /// What its type is made of, once domains are taken apart, without a length.
    pub(super) base: u32,
    /// The name of that.
    pub(super) base_name: String,
    /// What it is made of, if it has parts.
    pub(super) parts: Option<TypeShape>,
    /// Its type is a domain.
    pub(super) domain: bool,
    /// `typcategory` of what it is made of.
    pub(super) category: String,
    /// `NOT NULL`.
    pub(super) not_null: bool,
    /// Has a default, or is an identity column.
    pub(super) has_default: bool,
    /// Is computed from others.
    pub(super) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(super) identity_always: bool,
}

/// The columns that no two rows have in common, each with the operator that says so.
#[derive(Clone, Debug)]
pub(super) struct Unique {
    /// It is the primary key.
    pub(super) primary: bool,
    /// The columns.
    pub(super) columns: Vec<String>,
    /// `operator(schema.=)`, one for each.
    pub(super) equals: Vec<String>,
}

impl Shape {
    /// How the table is named where its own rows are meant: those of its partitions are, those
    /// of tables that inherit from it are not.
    ///
    /// # Errors
    /// The name cannot be quoted.
    pub(super) fn own_rows(&self) -> Result<String> {
        own_rows(&self.table, self.kind == "p")
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The primary key.
    pub(super) fn primary_key(&self) -> Option<&Unique> {
        self.uniques.iter().find(|u| u.primary)
    }

    /// True if rows of the table `oid` may be rows of this one.
    pub(super) fn shares_rows(&self, oid: u32) -> bool {
        self.lineage.contains(&oid) || self.partitions.contains(&oid)
    }

    /// The unique index over just these columns.
    pub(super) fn unique_over(&self, columns: &[String]) -> Option<&Unique> {
        let wanted: BTreeSet<&String> = columns.iter().collect();
        let of = |u: &&Unique| u.columns.iter().collect::<BTreeSet<_>>() == wanted;
        self.uniques.iter().find(of)
    }
}

/// The first oid that is not built in; those below are the same in all databases of a server.
pub(super) const FIRST_OF_USERS: u32 = 16384;

/// As [`Shape::own_rows`].
///
/// # Errors
/// The name cannot be quoted.
pub(super) fn own_rows(table: &TableName, partitioned: bool) -> Result<String> {
    let only = if partitioned { "" } else { "only " };
    Ok(format!("{only}{}", qualified(table)?))
}

const TABLE: &str = "
    select c.oid, c.relkind::pg_catalog.text, pg_catalog.row_security_active(c.oid),
           array(select up.relid::pg_catalog.oid
                   from pg_catalog.pg_partition_ancestors(c.oid) up) || c.oid,
           array(select part.relid::pg_catalog.oid
                   from pg_catalog.pg_partition_tree(c.oid) part where part.relid <> c.oid)
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname::pg_catalog.text = $1 and c.relname::pg_catalog.text = $2";

const COLUMNS: &str = "
    with recursive base (oid, base) as (
        select oid, oid from pg_catalog.pg_type where typtype <> 'd'
        union all
        select t.oid, b.base from pg_catalog.pg_type t join base b on t.typbasetype = b.oid
         where t.typtype = 'd')
    select k.attname::pg_catalog.text, pg_catalog.format_type(k.atttypid, k.atttypmod),
           b.base, pg_catalog.format_type(b.base, -1), b.base <> k.atttypid,
           t.typcategory::pg_catalog.text, k.attnotnull,
           k.atthasdef or k.attidentity <> '', k.attgenerated <> '', k.attidentity = 'a'
      from pg_catalog.pg_attribute k
      join base b on b.oid = k.atttypid
      join pg_catalog.pg_type t on t.oid = b.base
     where k.attrelid = $1 and k.attnum > 0 and not k.attisdropped
     order by k.attnum";

/// Equality is strategy 3 of a B-tree
/// (<https://www.postgresql.org/docs/current/xindex.html#XINDEX-STRATEGIES>); which operator it is
/// depends on the operator class, and `=` alone may be another one.
const UNIQUES: &str = "
    select i.indisprimary,
           pg_catalog.array_agg(a.attname::pg_catalog.text order by u.n),
           pg_catalog.array_agg(
               pg_catalog.format('operator(%I.%s)', ns.nspname, o.oprname) order by u.n)
      from pg_catalog.pg_index i
     cross join lateral rows from (
           pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
           pg_catalog.unnest(i.indclass::pg_catalog.oid[])) with ordinality u (attnum, opclass, n)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum
      join pg_catalog.pg_opclass c on c.oid = u.opclass
      join pg_catalog.pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
      join pg_catalog.pg_amop s on s.amopfamily = c.opcfamily and s.amopstrategy = 3
       and s.amoplefttype = c.opcintype and s.amoprighttype = c.opcintype
      join pg_catalog.pg_operator o on o.oid = s.amopopr
      join pg_catalog.pg_namespace ns on ns.oid = o.oprnamespace
     where i.indrelid = $1 and i.indisunique and i.indisvalid
       and i.indpred is null and i.indexprs is null and u.n <= i.indnkeyatts
     group by i.indexrelid, i.indisprimary, i.indnkeyatts
    having pg_catalog.count(*) = i.indnkeyatts
     order by i.indisprimary desc, i.indexrelid";

/// Reads what `table` is like, if there is one.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn shape(session: &Session, table: &TableName) -> Result<Option<Shape>> {
    let failed = |e| server_error(format!("could not read what {table} is like"), e);
    let found = session
        .query_opt(TABLE, &[&table.schema, &table.name])
        .await;
    let Some(row) = found.map_err(failed)? else {
        return Ok(None);
    };
    let oid: u32 = row.get(0);
    let columns = session.query(COLUMNS, &[&oid]).await.map_err(failed)?;
    let of_users = columns.iter().map(|c| c.get(2));
    let of_users: Vec<u32> = of_users.filter(|&oid| oid >= FIRST_OF_USERS).collect();
    let shapes = Shapes::read(session, &of_users).await?;
    let uniques = session.query(UNIQUES, &[&oid]).await.map_err(failed)?;
    let (lineage, partitions): (Vec<u32>, Vec<u32>) = (row.get(3), row.get(4));
    Ok(Some(Shape {
        oid,
        table: table.clone(),
        kind: row.get(1),
        hidden: row.get(2),
        columns: columns
            .iter()
            .map(|c| Column {
                name: c.get(0),
                type_name: c.get(1),
                base: c.get(2),
                base_name: c.get(3),
                parts: shapes.of(c.get(2)),
                domain: c.get(4),
                category: c.get(5),
                not_null: c.get(6),
                has_default: c.get(7),
                generated: c.get(8),
                identity_always: c.get(9),
            })
            .collect(),
        uniques: uniques
            .iter()
            .map(|u| Unique {
                primary: u.get(0),
                columns: u.get(1),
                equals: u.get(2),
            })
            .collect(),
        lineage: lineage.into_iter().collect(),
        partitions: partitions.into_iter().collect(),
    }))
}
