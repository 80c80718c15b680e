//! The old database back under its name.

use super::swap::{Move, check_places, swap};
use super::{PgTeardown, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::postgres::made_by;
use crate::traits::Retired;

pub(super) async fn reinstate(teardown: &PgTeardown, ctx: &Ctx, retired: &Retired) -> Result<()> {
    let second = teardown.second(ctx).await?;
    let oid = place::oid_here(&second, &retired.old).await?;
    let now = place::by_oid(&second, oid).await?.ok_or_else(|| {
        Error::refused(format!(
            "{} no longer exists, so it cannot come back",
            retired.old
        ))
        .hint("restore it from its backup: rebuild restore BACKUP --into NAME")
    })?;
    if now.name == retired.old.name {
        return Ok(());
    }
    let mut moves = Vec::new();
    if let Some(holder) = place::by_name(&second, &retired.old.name).await? {
        let successor = retired
            .successor
            .as_ref()
            .filter(|s| s.uid == holder.oid.to_string())
            .ok_or_else(|| {
                Error::refused(format!(
                    "the name {:?} is carried by database oid {}, which this run did not make",
                    retired.old.name, holder.oid
                ))
                .hint("rename that database by hand, then roll back again")
            })?;
        moves.push(Move {
            oid: holder.oid,
            from: holder.name,
            to: successor.name.clone(),
            open: false,
            comment: Some(Some(made_by(&ctx.run))),
        });
    }
    moves.push(Move {
        oid,
        from: now.name,
        to: retired.old.name.clone(),
        open: true,
        comment: None,
    });
    check_places(&second, &moves).await?;
    let mut lock = teardown.lock.session().await?;
    swap(ctx, &mut lock, &second, &moves, &teardown.policy, None).await?;
    second.close().await;
    Ok(())
}
