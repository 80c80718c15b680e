//! Scratch databases whose maker was killed between making and marking them.

use super::scratch::{NAME, alive, mark_at, now};
use super::{create, place, untouched};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::{Session, server_error, sessions};

/// Marks those that have nothing in them as made now, by the run that is in their name, so that
/// a later sweep removes them. They are this role's own, nobody is in them, and no session of
/// that run is on the server.
///
/// *Repeats:* finds what is not marked yet. *Destroys:* nothing.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn adopt(maintenance: &Endpoint, session: &mut Session, ctx: &Ctx) -> Result<()> {
    for (oid, run) in unmarked(session).await? {
        if alive(session, &run).await? || !sessions::foreign(session, oid, &[]).await?.is_empty() {
            continue;
        }
        let Some(found) = place::by_oid(session, oid).await? else {
            continue;
        };
        let ours = found.open && !found.invalid && found.comment.is_none();
        if ours && untouched::is_empty(maintenance, session, ctx, &found).await? {
            let mark = mark_at(&run, now(session).await?)?;
            create::mark_and_rename(session, &found, &found.name, &mark).await?;
        }
    }
    Ok(())
}

/// The oids of this role's databases that are called like scratch databases and carry no comment,
/// and the ends of their runs' ids.
async fn unmarked(session: &Session) -> Result<Vec<(u32, String)>> {
    let rows = session
        .query(
            "select d.oid, pg_catalog.substr(d.datname::pg_catalog.text,
                                             pg_catalog.length($1) + 1)
               from pg_catalog.pg_database d
              where pg_catalog.starts_with(d.datname, $1)
                and d.datname::pg_catalog.text operator(pg_catalog.~) '_[0-9a-f]{12}$'
                and pg_catalog.pg_get_userbyid(d.datdba) = current_user
                and pg_catalog.shobj_description(d.oid, 'pg_database') is null",
            &[&NAME],
        )
        .await
        .map_err(|e| server_error("could not look for scratch databases", e))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
