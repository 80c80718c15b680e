//! What a database holds beside the rows of its tables, as a snapshot sees it.

use std::collections::BTreeMap;

use super::manifest::{Manifest, MatviewEntry, SequenceEntry};
use crate::error::{Error, Result};
use crate::model::TableName;
use crate::postgres::{Session, qualified, server_error};

/// What PUBLIC may do in the schema `public`; `None` if there is no such schema.
///
/// pg_dump 15 and later write nothing of it for servers before 15, where PUBLIC may create objects
/// there unless that was revoked.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn public_rights(session: &Session) -> Result<Option<Vec<String>>> {
    let rows = session
        .query(
            "select array(
                 select a.privilege_type
                   from pg_catalog.aclexplode(coalesce(
                        n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
                  where a.grantee = 0::pg_catalog.oid
                  order by a.privilege_type)
               from pg_catalog.pg_namespace n where n.nspname = 'public'",
            &[],
        )
        .await
        .map_err(|e| server_error("could not read the rights in schema public", e))?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// The statements that give PUBLIC the rights in the schema `public` that `manifest` says, where its
/// scripts leave that out.
///
/// # Errors
/// The manifest names a right that there is not.
pub(in crate::postgres) fn public_rights_sql(manifest: &Manifest) -> Result<Vec<String>> {
    let rights = match &manifest.public_rights {
        Some(rights) if manifest.server_version < 150_000 => rights,
        _ => return Ok(Vec::new()),
    };
    let known = ["CREATE", "USAGE"];
    if let Some(other) = rights.iter().find(|r| !known.contains(&r.as_str())) {
        return Err(Error::corrupt(format!("{other:?} is no right on a schema")));
    }
    let mut sql = vec!["revoke all on schema public from public".to_owned()];
    if !rights.is_empty() {
        sql.push(format!(
            "grant {} on schema public to public",
            rights.join(", ")
        ));
    }
    Ok(sql)
}

/// Sequences that are not an extension's own, or that the extension names as configuration.
const SEQUENCES: &str = "
    select n.nspname::text, c.relname::text,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             and pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'S' and c.relpersistence <> 't'
       and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
       and not exists (
            select from pg_catalog.pg_depend p
              join pg_catalog.pg_extension e on e.oid = p.refobjid
             where p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and p.objid = c.oid
               and p.objsubid = 0 and p.deptype = 'e'
               and c.oid <> all (coalesce(e.extconfig, '{}')))
     order by n.nspname, c.relname";

/// Sequences that are read by one statement.
const TOGETHER: usize = 200;

/// The value of every sequence. A sequence does not take part in snapshots: what is read is its
/// value now, which is never behind the rows of an earlier snapshot.
///
/// # Errors
/// A refusal that names each sequence that may not be read; the server could not be asked.
pub(super) async fn sequences(session: &Session) -> Result<Vec<SequenceEntry>> {
    let what = "could not read the sequences";
    let rows = session
        .query(SEQUENCES, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut names = Vec::with_capacity(rows.len());
    let mut forbidden = Vec::new();
    for row in &rows {
        let name = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        if !row.get::<_, bool>(2) {
            forbidden.push(name.to_string());
        }
        names.push(name);
    }
    if !forbidden.is_empty() {
        return Err(Error::refused(format!(
            "this role may not read the sequences {}",
            forbidden.join(", ")
        ))
        .hint("grant SELECT on them, or connect as a role with pg_read_all_data"));
    }
    let mut entries = Vec::with_capacity(names.len());
    for group in names.chunks(TOGETHER) {
        let selects: Vec<String> = group
            .iter()
            .enumerate()
            .map(|(i, name)| {
                Ok(format!(
                    "select {i}::pg_catalog.int4, last_value, is_called from {}",
                    qualified(name)?
                ))
            })
            .collect::<Result<_>>()?;
        let sql = format!("{} order by 1", selects.join(" union all "));
        let rows = session
            .query(&sql, &[])
            .await
            .map_err(|e| server_error(what, e))?;
        for (name, row) in group.iter().zip(&rows) {
            entries.push(SequenceEntry {
                sequence: name.clone(),
                last_value: row.get(1),
                is_called: row.get(2),
            });
        }
    }
    Ok(entries)
}

/// Which relations each materialised view reads, through any number of other views.
const READS: &str = "
    with recursive reads (matview, relation) as (
        select c.oid, c.oid from pg_catalog.pg_class c where c.relkind = 'm'
        union
        select r.matview, d.refobjid
          from reads r
          join pg_catalog.pg_rewrite w on w.ev_class = r.relation
          join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
           and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          join pg_catalog.pg_class v on v.oid = d.refobjid and v.relkind in ('v', 'm'))
    select n.nspname::text, c.relname::text, c.relispopulated,
           pg_catalog.count(*) filter (where m.relkind = 'm')
      from reads r
      join pg_catalog.pg_class c on c.oid = r.matview
      join pg_catalog.pg_class m on m.oid = r.relation
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
       and not exists (
            select from pg_catalog.pg_depend p
             where p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and p.objid = c.oid
               and p.objsubid = 0 and p.deptype = 'e')
     group by c.oid, n.nspname, c.relname, c.relispopulated
     order by 4, 1, 2";

/// The materialised views that are not an extension's own, each after those it reads: one that
/// reads another reads at least one more than that one does. What is read inside functions is not
/// known to the server.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn materialized_views(session: &Session) -> Result<Vec<MatviewEntry>> {
    let rows = session
        .query(READS, &[])
        .await
        .map_err(|e| server_error("could not read the materialised views", e))?;
    Ok(rows
        .iter()
        .map(|row| MatviewEntry {
            view: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            populated: row.get(2),
        })
        .collect())
}

/// Counts rows instead of reading them: its own rows of each table, or of an extension's table
/// those that are the user's.
///
/// # Errors
/// A table cannot be read whole, or the server could not be asked.
pub(super) async fn count_rows(
    session: &Session,
    tables: &[crate::postgres::rows::tables::LiveTable],
) -> Result<BTreeMap<TableName, u64>> {
    let mut counts = BTreeMap::new();
    for table in tables {
        let sql = format!(
            "select pg_catalog.count(*) from only {} {}",
            qualified(&table.table)?,
            table.condition.as_deref().unwrap_or_default()
        );
        let row = session
            .query_one(&sql, &[])
            .await
            .map_err(|e| server_error(format!("could not count the rows of {}", table.table), e))?;
        let count: i64 = row.get(0);
        counts.insert(table.table.clone(), u64::try_from(count).unwrap_or(0));
    }
    Ok(counts)
}
