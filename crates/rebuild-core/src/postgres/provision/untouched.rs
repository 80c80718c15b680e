//! Whether a database that carries no mark is still as `CREATE DATABASE` left it.

use super::{PgProvision, place, wanted};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::{Session, server_error};

/// True if nobody has made anything in the database since it was copied from the template.
///
/// # Errors
/// The database or its template could not be read.
pub(super) async fn is_untouched(
    provision: &PgProvision,
    session: &Session,
    ctx: &Ctx,
    place: &place::Place,
) -> Result<bool> {
    let database = place::identity(session, place.clone()).await?;
    let inside = made_in(&provision.maintenance, ctx, &database).await?;
    if inside.is_empty() {
        return Ok(true);
    }
    // What takes no connections is template0, which has nothing in it.
    match place::by_name(session, wanted::template(&provision.options)).await? {
        Some(template) if template.open => {
            let template = place::identity(session, template).await?;
            Ok(inside == made_in(&provision.maintenance, ctx, &template).await?)
        }
        _ => Ok(false),
    }
}

/// True if there is nothing in the database but the server's own objects.
///
/// # Errors
/// The database could not be read.
pub(super) async fn is_empty(
    maintenance: &Endpoint,
    session: &Session,
    ctx: &Ctx,
    place: &place::Place,
) -> Result<bool> {
    let database = place::identity(session, place.clone()).await?;
    Ok(made_in(maintenance, ctx, &database).await?.is_empty())
}

/// A digest of the objects that were made in a database, which its copies share; empty if there
/// are none. The server's own have oids below 16384
/// (<https://www.postgresql.org/docs/current/system-catalog-initial-data.html>).
async fn made_in(maintenance: &Endpoint, ctx: &Ctx, database: &Identity) -> Result<String> {
    let inside = Session::open_at(maintenance, database, ctx).await?;
    let digest = inside
        .query_one(
            "select coalesce(pg_catalog.md5(pg_catalog.string_agg(
                        c || ' ' || o, ',' order by c, o)), '')
               from (select 'class', oid from pg_catalog.pg_class
          union all  select 'namespace', oid from pg_catalog.pg_namespace
          union all  select 'proc', oid from pg_catalog.pg_proc
          union all  select 'type', oid from pg_catalog.pg_type
          union all  select 'extension', oid from pg_catalog.pg_extension
          union all  select 'large object', oid from pg_catalog.pg_largeobject_metadata
                    ) made (c, o)
              where o >= 16384 or c = 'large object'",
            &[],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(format!("could not look into {database}"), e))?;
    inside.close().await;
    Ok(digest)
}
