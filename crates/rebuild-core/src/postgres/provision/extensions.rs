//! Extensions of a new database.

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::{Session, ident, server_error};

/// Creates them in `db` with those they need, where they are missing. They go where their own
/// control file says, or to `public`, as they would without a `search_path` of ours
/// (<https://www.postgresql.org/docs/current/sql-createextension.html>).
///
/// # Errors
/// The server refused one, which is named.
pub(super) async fn create(
    maintenance: &Endpoint,
    ctx: &Ctx,
    db: &Identity,
    names: &[String],
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let session = Session::open_at(maintenance, db, ctx).await?;
    for name in names {
        let sql = format!(
            "begin; set local search_path = public;
             create extension if not exists {} cascade; commit",
            ident(name)?
        );
        session.batch_execute(&sql).await.map_err(|e| {
            server_error(
                format!("could not create extension {name:?} in {:?}", db.name),
                e,
            )
        })?;
    }
    session.close().await;
    Ok(())
}
