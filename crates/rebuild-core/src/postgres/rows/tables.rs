//! The tables whose rows are ours to carry, as the catalog describes them.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::columns::{Columns, LiveColumn, ascii};
use super::form::form_for;
use super::names::Names;
use super::units::Extent;
use crate::error::{Error, Result};
use crate::model::{RowForm, TableKind, TableName};
use crate::postgres::{Session, server_error};

/// A table that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveTable {
    /// Its oid.
    pub oid: u32,
    /// Its name.
    pub table: TableName,
    /// What it is. Only tables and partitions hold rows of their own.
    pub kind: TableKind,
    /// Its columns in order, without generated ones.
    pub columns: Vec<LiveColumn>,
    /// Its generated columns.
    pub generated: Vec<String>,
    /// For an extension's configuration table: the `WHERE` clause that picks the user's rows, or
    /// an empty string for all of them.
    pub condition: Option<String>,
    /// Which of its rows are to be read, if not all: an expression.
    pub filter: Option<String>,
    /// Bytes of rows: the heap and its TOAST table.
    pub bytes: u64,
    /// Pages of the heap, or 0 where it cannot be read by ranges of them: other access methods,
    /// and servers before 14, which would read the whole table for each range.
    pub pages: u32,
    /// The file that holds it, according to the session's snapshot and according to the newest
    /// catalog. They differ when it was truncated or rewritten since the snapshot was taken.
    pub files: (u32, u32),
    /// For a partition whose rows may belong to another partition after a restore: the root of
    /// the tree, by which they find their place. The hash of an enum is that of an oid, and oids
    /// change.
    pub root: Option<TableName>,
    /// For a partition: the partitioned tables that it is a part of, its parent first.
    pub ancestors: Vec<TableName>,
    /// Why its rows cannot be read whole, if they cannot.
    pub unreadable: Option<String>,
}

impl LiveTable {
    /// True if it can hold rows of its own.
    pub(crate) fn holds_rows(&self) -> bool {
        matches!(
            self.kind,
            TableKind::Table | TableKind::Partition | TableKind::Unlogged
        )
    }

    /// True if rows can be put into it, of its own or of its partitions.
    pub(crate) fn takes_rows(&self) -> bool {
        self.holds_rows() || self.kind == TableKind::Partitioned
    }

    /// The form in which its rows are best carried.
    pub(crate) fn form(&self) -> RowForm {
        form_for(self.columns.iter().map(|c| c.base))
    }

    /// The names of its columns.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    /// The names of its columns, quoted.
    ///
    /// # Errors
    /// A name cannot be quoted.
    pub(crate) fn quoted_columns(&self, names: Names) -> Result<Vec<String>> {
        self.columns.iter().map(|c| names.ident(&c.name)).collect()
    }

    /// What is read of each column: its name, quoted, or what masks it.
    ///
    /// # Errors
    /// A name cannot be quoted.
    pub(crate) fn selected(&self, names: Names) -> Result<Vec<String>> {
        let select = |c: &LiveColumn| match &c.masked {
            Some(expression) => Ok(expression.clone()),
            None => names.ident(&c.name),
        };
        self.columns.iter().map(select).collect()
    }

    /// True if no column is masked.
    pub(crate) fn is_plain(&self) -> bool {
        self.columns.iter().all(|c| c.masked.is_none())
    }

    /// What there is to divide among workers.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            bytes: self.bytes,
            // A condition and a range of pages cannot both pick the rows.
            pages: if self.condition.is_some() {
                0
            } else {
                self.pages
            },
        }
    }
}

/// Tables of extensions are made by `CREATE EXTENSION`; of their rows only those are the user's
/// that the extension names, as for pg_dump
/// (<https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-CONFIG-TABLES>).
const TABLES: &str = "
    select c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition,
           a.amname = 'heap'
             and pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000,
           c.relfilenode, pg_catalog.pg_relation_filenode(c.oid),
           case when $1 and c.relkind = 'r' then pg_catalog.pg_relation_size(c.oid) end
             / pg_catalog.current_setting('block_size')::pg_catalog.int8,
           case when $1 and c.relkind = 'r' then pg_catalog.pg_table_size(c.oid) end,
           pg_catalog.row_security_active(c.oid),
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             and (pg_catalog.has_table_privilege(c.oid, 'SELECT')
                  or not exists (
                      select from pg_catalog.pg_attribute k
                       where k.attrelid = c.oid and k.attnum > 0 and not k.attisdropped
                         and not pg_catalog.has_column_privilege(c.oid, k.attnum, 'SELECT'))),
           case when exists (
                    select from pg_catalog.pg_partition_ancestors(c.oid) up
                      join pg_catalog.pg_partitioned_table h on h.partrelid = up.relid
                      join pg_catalog.pg_opclass o on o.oid = any (h.partclass)
                      join pg_catalog.pg_am m on m.oid = o.opcmethod
                     where h.partstrat = 'h' and o.opcname = 'enum_ops' and m.amname = 'hash')
                then pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid end,
           e.oid is not null, coalesce(e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)], ''),
           case when c.relispartition then array(
                    select up.relid::pg_catalog.oid
                      from pg_catalog.pg_partition_ancestors(c.oid) with ordinality up (relid, step)
                     where up.relid <> c.oid order by up.step) end
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      left join pg_catalog.pg_am a on a.oid = c.relam
      left join pg_catalog.pg_depend d
        on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
       and d.objsubid = 0 and d.deptype = 'e'
      left join pg_catalog.pg_extension e
        on e.oid = d.refobjid and c.oid = any (e.extconfig)
     where c.relkind in ('r', 'p', 'm', 'f') and c.relpersistence <> 't'
       and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
       and (d.objid is null or e.oid is not null)
     order by n.nspname, c.relname";

/// Reads every table, materialised view and foreign table of the database that is not temporary,
/// not part of the system and not an extension's own. To learn its size takes a lock on each
/// table, so this waits for whoever holds a stronger one.
///
/// # Errors
/// The server could not be asked, or a name is not valid in its encoding.
pub(crate) async fn read_tables(session: &Session) -> Result<Vec<LiveTable>> {
    read(session, true).await
}

/// As [`read_tables`], without sizes: every table is taken for empty, and nobody is waited for.
///
/// # Errors
/// As [`read_tables`].
pub(crate) async fn list_tables(session: &Session) -> Result<Vec<LiveTable>> {
    read(session, false).await
}

async fn read(session: &Session, sizes: bool) -> Result<Vec<LiveTable>> {
    let what = "could not read the list of tables";
    let rows = session
        .query(TABLES, &[&sizes])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut tables = Vec::new();
    let mut trees = Vec::new();
    for row in &rows {
        let (table, tree) = table_from(row).map_err(|e| server_error(what, e))?;
        tables.push(table);
        trees.push(tree);
    }
    let oids: Vec<u32> = tables.iter().map(|t| t.oid).collect();
    let mut columns = Columns::read(session, &oids).await?;
    for table in &mut tables {
        (table.columns, table.generated) = columns.take(table.oid);
    }
    follow_roots(&mut tables, &trees);
    Ok(tables)
}

/// Where a table stands in its tree of partitions, by oids.
struct Tree {
    root: Option<u32>,
    ancestors: Vec<u32>,
}

/// Partitions are read with the columns in the order of their root's, so that their rows are the
/// same in whichever partition they are, or in none. Those that are loaded through their root
/// have its columns.
fn follow_roots(tables: &mut [LiveTable], trees: &[Tree]) {
    let by_oid: HashMap<u32, (TableName, Vec<LiveColumn>)> = tables
        .iter()
        .filter(|t| t.kind == TableKind::Partitioned)
        .map(|t| (t.oid, (t.table.clone(), t.columns.clone())))
        .collect();
    for (table, tree) in tables.iter_mut().zip(trees) {
        let ancestors = tree.ancestors.iter().filter_map(|oid| by_oid.get(oid));
        table.ancestors = ancestors.map(|(name, _)| name.clone()).collect();
        let of_all = tree.ancestors.last().and_then(|oid| by_oid.get(oid));
        if let Some((_, columns)) = of_all {
            let place = |c: &LiveColumn| columns.iter().position(|root| root.name == c.name);
            table.columns.sort_by_key(place);
        }
        let root = tree.root.and_then(|oid| by_oid.get(&oid));
        if let Some((name, columns)) = root.filter(|_| table.holds_rows()) {
            table.root = Some(name.clone());
            table.columns.clone_from(columns);
        }
    }
}

fn table_from(row: &Row) -> Result<(LiveTable, Tree), tokio_postgres::Error> {
    let partition: bool = row.try_get(5)?;
    let unlogged = row.try_get::<_, i8>(4)? == ascii('u');
    let kind = match row.try_get::<_, i8>(3)? {
        k if k == ascii('p') => TableKind::Partitioned,
        k if k == ascii('m') => TableKind::MaterializedView,
        k if k == ascii('f') => TableKind::Foreign,
        _ if unlogged => TableKind::Unlogged,
        _ if partition => TableKind::Partition,
        _ => TableKind::Table,
    };
    let ranges: Option<bool> = row.try_get(6)?;
    let pages: Option<i64> = row.try_get(9)?;
    let bytes: Option<i64> = row.try_get(10)?;
    let hidden: bool = row.try_get(11)?;
    let allowed: bool = row.try_get(12)?;
    let of_extension: bool = row.try_get(14)?;
    let unreadable = if hidden {
        Some("row-level security hides rows of it from this role".to_owned())
    } else if allowed {
        None
    } else {
        Some("this role may not read it".to_owned())
    };
    let table = LiveTable {
        oid: row.try_get(0)?,
        table: TableName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?),
        kind,
        columns: Vec::new(),
        generated: Vec::new(),
        condition: of_extension.then(|| row.try_get(15)).transpose()?,
        filter: None,
        bytes: bytes.and_then(|b| u64::try_from(b).ok()).unwrap_or(0),
        pages: if ranges == Some(true) {
            pages.and_then(|p| u32::try_from(p).ok()).unwrap_or(0)
        } else {
            0
        },
        files: (
            row.try_get(7)?,
            row.try_get::<_, Option<u32>>(8)?.unwrap_or(0),
        ),
        root: None,
        ancestors: Vec::new(),
        unreadable,
    };
    let tree = Tree {
        root: row.try_get(13)?,
        ancestors: row.try_get::<_, Option<_>>(16)?.unwrap_or_default(),
    };
    Ok((table, tree))
}

/// Refuses if rows of any of `tables` cannot be read whole.
///
/// # Errors
/// A refusal that names each such table, why, and the cure.
pub(crate) fn refuse_unreadable(tables: &[LiveTable]) -> Result<()> {
    let complaints: Vec<String> = tables
        .iter()
        .filter(|t| t.holds_rows())
        .filter_map(|t| Some(format!("{} ({})", t.table, t.unreadable.as_ref()?)))
        .collect();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "not every row can be read: {}",
        complaints.join(", ")
    ))
    .hint(
        "connect as a superuser, as a role with BYPASSRLS and pg_read_all_data, or as the tables' \
         owner where row-level security is not forced",
    ))
}
