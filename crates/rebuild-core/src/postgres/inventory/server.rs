//! The server itself.

use super::unsigned;
use crate::error::Result;
use crate::model::ServerFacts;
use crate::postgres::{Session, server_error};

/// Logical walsenders are consumers of a slot and no standbys; base backups come and go. The
/// view `pg_settings` leaves out what the role may not see, where `current_setting` would fail.
const SERVER: &str = "
    select s.system_identifier::text,
           pg_catalog.current_setting('server_version_num')::int8,
           pg_catalog.pg_is_in_recovery(),
           (select count(*) from pg_catalog.pg_stat_replication r
             where r.state is distinct from 'backup'
               and not exists (select from pg_catalog.pg_replication_slots l
                                where l.active_pid = r.pid and l.slot_type = 'logical')),
           (select g.setting from pg_catalog.pg_settings g where g.name = 'data_directory'),
           pg_catalog.concat_ws(':', pg_catalog.host(pg_catalog.inet_server_addr()),
               coalesce(pg_catalog.inet_server_port()::text, pg_catalog.current_setting('port')))
      from pg_catalog.pg_control_system() s";

/// Reads the facts of the server that `session` is connected to; any role may.
///
/// # Errors
/// The server could not be asked.
pub async fn server_facts(session: &Session) -> Result<ServerFacts> {
    let row = session
        .query_one(SERVER, &[])
        .await
        .map_err(|e| server_error("could not read the facts of the server", e))?;
    Ok(ServerFacts {
        system_identifier: row.get(0),
        version_num: u32::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
        in_recovery: row.get(2),
        standbys: u32::try_from(unsigned(row.get(3))).unwrap_or(u32::MAX),
        data_directory: row.get(4),
        address: row.get(5),
    })
}
