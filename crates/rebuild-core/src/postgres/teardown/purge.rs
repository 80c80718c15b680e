//! The one DROP DATABASE of a retired database.

use super::{PgTeardown, place};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::postgres::{bounded, ident, server_error};
use crate::traits::{DestroyPermit, Retired};

pub(super) async fn purge(
    teardown: &PgTeardown,
    ctx: &Ctx,
    retired: &Retired,
    permit: DestroyPermit,
) -> Result<()> {
    let mut lock = teardown.lock.session().await?;
    let oid = place::oid_here(&lock, &retired.old).await?;
    let Some(now) = place::by_oid(&lock, oid).await? else {
        return Ok(());
    };
    let tombstone = format!("rebuild_drop_{oid}");
    let is_ours = now.name == retired.retired_name || now.name == tombstone;
    if !is_ours || (now.open && !now.invalid) {
        return Err(Error::refused(format!(
            "database oid {oid} is called {:?} and is in service, so it is not purged",
            now.name
        )));
    }
    permit.spend_on(&retired.old)?;
    // There is no DROP by oid. The name is first changed, in a transaction that checks the oid,
    // to one that nothing else can mean; the DROP then cannot hit another database.
    if now.name != tombstone {
        let tx = lock
            .transaction()
            .await
            .map_err(|e| server_error("could not begin the purge", e))?;
        let rename = format!(
            "set local lock_timeout = '5s'; alter database {} rename to {}",
            ident(&now.name)?,
            ident(&tombstone)?
        );
        if !now.invalid {
            tx.batch_execute(&rename)
                .await
                .map_err(|e| server_error(format!("could not set {:?} apart", now.name), e))?;
            let renamed: bool = tx
                .query_one(
                    "select exists (select from pg_catalog.pg_database
                       where oid operator(pg_catalog.=) $1
                         and datname::pg_catalog.text operator(pg_catalog.=) $2)",
                    &[&oid, &tombstone],
                )
                .await
                .map(|r| r.get(0))
                .map_err(|e| server_error("could not look at the database set apart", e))?;
            if !renamed {
                return Err(Error::refused(format!(
                    "{:?} is no longer database oid {oid}; nothing was dropped",
                    now.name
                )));
            }
        }
        tx.commit()
            .await
            .map_err(|e| server_error("could not set the database apart", e))?;
    }
    let name = if now.invalid { &now.name } else { &tombstone };
    let Some(dropper) = &teardown.dropper else {
        return bounded(&lock, &format!("drop database {}", ident(name)?))
            .await
            .map_err(|e| server_error(format!("could not drop {:?}", retired.retired_name), e));
    };
    let said = dropper.drop_database(ctx, name).await;
    // Whatever it says, the server knows.
    match place::by_oid(&lock, oid).await? {
        None => Ok(()),
        Some(_) => said.and(Err(Error::new(
            ErrorKind::Server,
            format!("database oid {oid} was said to be dropped, and is there as {name:?}"),
        ))),
    }
}
