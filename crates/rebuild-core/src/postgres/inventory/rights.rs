//! What the connected role may do.

use super::tables::HOLDS_ROWS;
use crate::error::Result;
use crate::model::{RightsFacts, TableName};
use crate::postgres::{Session, server_error};

/// `USAGE` of a role, not `MEMBER`: what is needed is its rights without `SET ROLE`
/// (<https://www.postgresql.org/docs/current/functions-info.html>).
const ROLE: &str = "
    select r.rolname::text, r.rolsuper, r.rolcreatedb, r.rolbypassrls,
           pg_catalog.pg_has_role(d.datdba, 'USAGE'),
           r.rolsuper or pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
      from pg_catalog.pg_roles r, pg_catalog.pg_database d
     where r.rolname = current_user and d.datname = pg_catalog.current_database()";

/// Everything that has an owner. What the server made itself has an oid below 16384 and counts
/// only if it was given to somebody (the schema `public`). Extensions are left out with all they
/// made, for they belong to whoever creates them; so is what goes with something else, such as a
/// table's row type.
const FOREIGN_OWNED: &str = "
    with owned (class, oid, owner) as (
        select 'pg_catalog.pg_class'::regclass::oid, c.oid, c.relowner from pg_catalog.pg_class c
         where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relpersistence <> 't'
        union all select 'pg_catalog.pg_namespace'::regclass, oid, nspowner
          from pg_catalog.pg_namespace where nspname !~ '^pg_'
        union all select 'pg_catalog.pg_proc'::regclass, oid, proowner from pg_catalog.pg_proc
        union all select 'pg_catalog.pg_type'::regclass, oid, typowner from pg_catalog.pg_type
         where typtype <> 'p'
        union all select 'pg_catalog.pg_operator'::regclass, oid, oprowner
          from pg_catalog.pg_operator
        union all select 'pg_catalog.pg_opclass'::regclass, oid, opcowner
          from pg_catalog.pg_opclass
        union all select 'pg_catalog.pg_opfamily'::regclass, oid, opfowner
          from pg_catalog.pg_opfamily
        union all select 'pg_catalog.pg_collation'::regclass, oid, collowner
          from pg_catalog.pg_collation
        union all select 'pg_catalog.pg_conversion'::regclass, oid, conowner
          from pg_catalog.pg_conversion
        union all select 'pg_catalog.pg_ts_config'::regclass, oid, cfgowner
          from pg_catalog.pg_ts_config
        union all select 'pg_catalog.pg_ts_dict'::regclass, oid, dictowner
          from pg_catalog.pg_ts_dict
        union all select 'pg_catalog.pg_statistic_ext'::regclass, oid, stxowner
          from pg_catalog.pg_statistic_ext
        union all select 'pg_catalog.pg_language'::regclass, oid, lanowner
          from pg_catalog.pg_language
        union all select 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid, fdwowner
          from pg_catalog.pg_foreign_data_wrapper
        union all select 'pg_catalog.pg_foreign_server'::regclass, oid, srvowner
          from pg_catalog.pg_foreign_server
        union all select 'pg_catalog.pg_event_trigger'::regclass, oid, evtowner
          from pg_catalog.pg_event_trigger
        union all select 'pg_catalog.pg_publication'::regclass, oid, pubowner
          from pg_catalog.pg_publication
        union all select 'pg_catalog.pg_largeobject'::regclass, oid, lomowner
          from pg_catalog.pg_largeobject_metadata
    )
    select pg_catalog.pg_describe_object(o.class, o.oid, 0) || ' (' || r.rolname || ')'
      from owned o join pg_catalog.pg_roles r on r.oid = o.owner
     where (o.oid >= 16384 or o.owner >= 16384)
       and not pg_catalog.pg_has_role(o.owner, $1)
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = o.class and d.objid = o.oid and d.deptype in ('e', 'i'))
     order by 1";

/// Tables that cannot be read whole: no right to, or row-level security would hide rows (under
/// `row_security = off` a read then fails).
fn unreadable_sql() -> String {
    format!(
        "select n.nspname::text, c.relname::text
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where {HOLDS_ROWS} and c.relkind <> 'f'
            and (not pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                 or not pg_catalog.has_table_privilege(c.oid, 'SELECT')
                 or pg_catalog.row_security_active(c.oid))
          order by 1, 2"
    )
}

/// Reads what the role of `session` may do in its database.
pub(super) async fn rights(session: &Session, major: u32) -> Result<RightsFacts> {
    let failed = |e| server_error("could not read the rights of the role", e);
    let role = session.query_one(ROLE, &[]).await.map_err(failed)?;
    let unreadable = session
        .query(&unreadable_sql(), &[])
        .await
        .map_err(failed)?;
    // ALTER ... OWNER TO needs SET ROLE, which is a right of its own since 16.
    let membership = if major >= 16 { "SET" } else { "MEMBER" };
    let foreign = session
        .query(FOREIGN_OWNED, &[&membership])
        .await
        .map_err(failed)?;
    Ok(RightsFacts {
        role: role.get(0),
        superuser: role.get(1),
        createdb: role.get(2),
        bypass_rls: role.get(3),
        owns_database: role.get(4),
        signal_backend: role.get(5),
        unreadable: unreadable
            .iter()
            .map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
            .collect(),
        foreign_owned: foreign.iter().map(|row| row.get(0)).collect(),
    })
}
