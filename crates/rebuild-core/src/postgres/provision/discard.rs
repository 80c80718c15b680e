//! Removing a database that was made and never put in service.

use std::time::Duration;

use super::untouched::is_untouched;
use super::{PgProvision, create, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::postgres::sessions::{self, EndSessions};
use crate::postgres::{Session, bounded, ident, made_by, server_error};

/// How long sessions in it may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn discard(provision: &PgProvision, ctx: &Ctx, made: &Identity) -> Result<()> {
    let mut session = provision.lock.session().await?;
    let oid = place::oid_here(&session, made).await?;
    let Some(now) = place::by_oid(&session, oid).await? else {
        return Ok(());
    };
    let mark = made_by(&ctx.run);
    if now.comment.as_deref() != Some(&mark) {
        // A run that was killed between making and marking left this.
        let begun = now.comment.is_none()
            && !now.invalid
            && create::is_first_name(&ctx.run, &now.name)
            && is_untouched(provision, &session, ctx, &now).await?;
        if !begun {
            return Err(Error::refused(format!(
                "database {:?} (oid {oid}) does not carry the mark of {}, so it is in service or \
                 somebody else's; it was not dropped",
                now.name, ctx.run
            )));
        }
        create::mark_and_rename(&mut session, &now, &now.name, &mark).await?;
    }
    remove(&mut session, &now, &mark, &EndSessions::All).await
}

/// Drops the database that carries `mark`, with the sessions in it that `policy` allows to end.
///
/// There is no DROP by oid. The database is first renamed, in a transaction that checks oid and
/// mark, to a name that nothing else can mean; the DROP then cannot hit another one.
///
/// # Errors
/// A refusal if it no longer is that database, or sessions may not be ended; they do not end; the server refuses to
/// drop it, for it has a subscription for example.
pub(super) async fn remove(
    session: &mut Session,
    now: &place::Place,
    mark: &str,
    policy: &EndSessions,
) -> Result<()> {
    let tombstone = format!("rebuild_drop_{}", now.oid);
    let mut name = now.name.as_str();
    // What an interrupted DROP DATABASE left can only be dropped.
    if !now.invalid && name != tombstone {
        let shut = format!("alter database {} allow_connections false", ident(name)?);
        checked(session, now, name, mark, &shut).await?;
        sessions::end_all(session, name, now.oid, &[], policy, END_WITHIN).await?;
        let rename = format!(
            "alter database {} rename to {}",
            ident(name)?,
            ident(&tombstone)?
        );
        checked(session, now, &tombstone, mark, &rename).await?;
        name = &tombstone;
    }
    bounded(session, &format!("drop database {}", ident(name)?))
        .await
        .map_err(|e| {
            let what = format!("could not drop database {:?}", now.name);
            let called = format!(", which is now called {name:?}");
            let called = if name == now.name { "" } else { &called };
            server_error(what + called, e)
        })
}

/// Runs `sql` in a transaction, and keeps it if the database is then called `name` and carries
/// `mark`.
async fn checked(
    session: &mut Session,
    now: &place::Place,
    name: &str,
    mark: &str,
    sql: &str,
) -> Result<()> {
    let what = || format!("could not set database {:?} apart", now.name);
    let tx = session
        .transaction()
        .await
        .map_err(|e| server_error(what(), e))?;
    tx.batch_execute(&format!("set local lock_timeout = '30s'; {sql}"))
        .await
        .map_err(|e| server_error(what(), e))?;
    let right: bool = tx
        .query_one(
            "select exists (select from pg_catalog.pg_database d
               where d.oid = $1 and d.datname = $2
                 and pg_catalog.shobj_description(d.oid, 'pg_database') = $3)",
            &[&now.oid, &name, &mark],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(what(), e))?;
    if !right {
        return Err(Error::refused(format!(
            "{:?} is no longer database oid {} with its mark; nothing was dropped",
            now.name, now.oid
        )));
    }
    tx.commit().await.map_err(|e| server_error(what(), e))
}
