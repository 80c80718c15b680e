//! Who is connected, and what would stop a rename.

use crate::error::Result;
use crate::model::{DatabaseFacts, Obstacle, SessionFacts};
use crate::postgres::{Session, looks_pooled, server_error};

/// Only sessions of a role count: the server's own workers step aside by themselves. A parallel
/// worker belongs to its leader. What the role may not see comes as null.
const SESSIONS: &str = "
    select a.pid, a.usename::text, coalesce(a.application_name, ''),
           case when a.client_addr is not null then pg_catalog.host(a.client_addr)
                when a.client_port is null and a.state is null then 'unknown'
                else 'local' end,
           coalesce(a.state, a.backend_type, 'unknown')
      from pg_catalog.pg_stat_activity a
     where a.datname = pg_catalog.current_database()
       and a.usesysid is not null and a.leader_pid is null
       and a.pid <> pg_catalog.pg_backend_pid()
       and a.application_name is distinct from pg_catalog.current_setting('application_name')
     order by a.pid";

/// Other people's sessions in the database.
pub(super) async fn sessions(session: &Session) -> Result<Vec<SessionFacts>> {
    let rows = session
        .query(SESSIONS, &[])
        .await
        .map_err(|e| server_error("could not list the sessions in the database", e))?;
    Ok(rows
        .iter()
        .map(|row| SessionFacts {
            pid: row.get(0),
            role: row.get::<_, Option<String>>(1).unwrap_or_default(),
            application: row.get(2),
            client: row.get(3),
            state: row.get(4),
        })
        .collect())
}

const OBSTACLES: &str = "
    select 'xact', p.gid, false
      from pg_catalog.pg_prepared_xacts p
     where p.database = pg_catalog.current_database()
    union all
    select 'slot', s.slot_name::text, s.active
      from pg_catalog.pg_replication_slots s
     where s.database = pg_catalog.current_database() and s.slot_type = 'logical'
    union all
    select 'subscription', s.subname::text, false
      from pg_catalog.pg_subscription s
      join pg_catalog.pg_database d on d.oid = s.subdbid
     where d.datname = pg_catalog.current_database()
     order by 1, 2";

/// What stands in the way of renaming or replacing the database.
pub(super) async fn obstacles(
    session: &Session,
    database: &DatabaseFacts,
) -> Result<Vec<Obstacle>> {
    let rows = session
        .query(OBSTACLES, &[])
        .await
        .map_err(|e| server_error("could not look for obstacles", e))?;
    let mut found: Vec<Obstacle> = rows
        .iter()
        .map(|row| {
            let name = row.get(1);
            match row.get(0) {
                "xact" => Obstacle::PreparedTransaction { gid: name },
                "slot" => Obstacle::LogicalSlot {
                    slot: name,
                    active: row.get(2),
                },
                _ => Obstacle::Subscription { name },
            }
        })
        .collect();
    if database.connection_limit == INVALID {
        found.push(Obstacle::Invalid);
    }
    if looks_pooled(session).await? {
        found.push(Obstacle::Pooler);
    }
    Ok(found)
}

/// `datconnlimit` of a database whose removal was interrupted
/// (<https://www.postgresql.org/docs/current/catalog-pg-database.html>).
const INVALID: i32 = -2;
