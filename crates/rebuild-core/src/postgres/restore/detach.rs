//! Foreign keys and triggers of tables that are about to be loaded: the work that takes them
//! away, and the work that brings them back.

use super::work::Work;
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::{Session, ident, literal, qualified, server_error};

/// A foreign key that a partition has from its parent goes and comes with the parent's.
const FOREIGN_KEYS: &str = "
    select n.nspname, c.relname, k.conname, pg_catalog.pg_get_constraintdef(k.oid),
           rn.nspname, r.relname,
           pg_catalog.obj_description(k.oid, 'pg_constraint')
      from pg_catalog.pg_constraint k
      join pg_catalog.pg_class c on c.oid = k.conrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_class r on r.oid = k.confrelid
      join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
     where k.contype = 'f' and k.conparentid = 0::pg_catalog.oid
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by n.nspname, c.relname, k.conname";

/// The triggers of tables that are loaded, and of partitions of them. Before 15 the triggers that
/// partitions have from their parent are called internal; those of constraints always are.
const TRIGGERS: &str = "
    select n.nspname, c.relname, t.tgname, t.tgenabled::pg_catalog.text
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_class c on c.oid = t.tgrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      left join pg_catalog.pg_constraint k on k.oid = t.tgconstraint
     where coalesce(k.contype = 't', true) and t.tgenabled <> 'D' and c.relkind in ('r', 'p')
       and exists (
           select from rows from (pg_catalog.unnest($1::pg_catalog.text[]),
                                 pg_catalog.unnest($2::pg_catalog.text[])) loaded (s, r)
             join pg_catalog.pg_namespace ln on ln.nspname = loaded.s
             join pg_catalog.pg_class lc on lc.relnamespace = ln.oid and lc.relname = loaded.r
            where lc.oid = c.oid
               or lc.oid in (select up.relid from pg_catalog.pg_partition_ancestors(c.oid) up (relid)))
     order by n.nspname, c.relname, t.tgname";

/// The rules of tables that rows are given to by INSERT; COPY does not look at them
/// (<https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-NOTES>).
const RULES: &str = "
    select n.nspname, c.relname, r.rulename, r.ev_enabled::pg_catalog.text
      from pg_catalog.pg_rewrite r
      join pg_catalog.pg_class c on c.oid = r.ev_class
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join rows from (pg_catalog.unnest($1::pg_catalog.text[]),
                      pg_catalog.unnest($2::pg_catalog.text[])) loaded (s, t)
        on loaded.s = n.nspname and loaded.t = c.relname
     where c.relkind in ('r', 'p') and r.ev_enabled <> 'D'
     order by n.nspname, c.relname, r.rulename";

/// What is done before the rows come, and what after them.
#[derive(Default)]
pub(super) struct Detached {
    /// Takes things away.
    pub(super) before: Vec<Work>,
    /// Brings back exactly what was there.
    pub(super) after: Vec<Work>,
}

/// How to drop every foreign key between tables and to disable the triggers and rules of `loaded`, and how
/// to bring them back; adding a foreign key checks every row.
///
/// # Errors
/// The server said no.
pub(super) async fn detach(session: &Session, loaded: &[TableName]) -> Result<Detached> {
    let mut work = Detached::default();
    let what = "could not read the foreign keys";
    let keys = session
        .query(FOREIGN_KEYS, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    for row in keys {
        let table = qualified(&TableName::new(
            row.get::<_, String>(0),
            row.get::<_, String>(1),
        ))?;
        let other = qualified(&TableName::new(
            row.get::<_, String>(4),
            row.get::<_, String>(5),
        ))?;
        let name = ident(row.get(2))?;
        let definition: String = row.get(3);
        let comment: Option<String> = row.get(6);
        work.before.push(Work::Before {
            sql: format!("alter table {table} drop constraint {name}"),
        });
        let mut sql = format!("alter table {table} add constraint {name} {definition}");
        if let Some(comment) = comment {
            let comment = literal(&comment)?;
            sql.push_str(&format!(
                ";\ncomment on constraint {name} on {table} is {comment}"
            ));
        }
        work.after.push(Work::ForeignKey {
            sql,
            tables: vec![table, other],
            held_as: None,
        });
    }
    let schemas: Vec<&str> = loaded.iter().map(|t| t.schema.as_str()).collect();
    let names: Vec<&str> = loaded.iter().map(|t| t.name.as_str()).collect();
    for (kind, query) in [("trigger", TRIGGERS), ("rule", RULES)] {
        let found = session
            .query(query, &[&schemas, &names])
            .await
            .map_err(|e| server_error(format!("could not read the {kind}s"), e))?;
        for row in found {
            let table = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            let (table, name) = (qualified(&table)?, ident(row.get(2))?);
            let enable = match row.get::<_, &str>(3) {
                "A" => "enable always",
                "R" => "enable replica",
                _ => "enable",
            };
            work.before.push(Work::Before {
                sql: format!("alter table only {table} disable {kind} {name}"),
            });
            work.after.push(Work::Then {
                sql: format!("alter table only {table} {enable} {kind} {name}"),
            });
        }
    }
    Ok(work)
}
