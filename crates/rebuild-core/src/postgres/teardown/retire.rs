//! The old database out of the way, and the new one into its place.

use std::sync::Arc;

use super::swap::{Move, UnderFence, check_places, swap};
use super::{PgTeardown, WriteWatch, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::postgres::{Session, sessions};
use crate::traits::{RetireRequest, Retired};

pub(super) async fn retire(
    teardown: &PgTeardown,
    ctx: &Ctx,
    request: &RetireRequest,
) -> Result<Retired> {
    let target = &request.target;
    let second = teardown.second(ctx).await?;
    let oid = place::oid_here(&second, target).await?;
    let now = place::by_oid(&second, oid).await?;
    if now.is_some_and(|p| p.name == request.retired_name) {
        return finish_repeated(&second, request).await;
    }
    refuse_prepared(&second, target).await?;
    let moves = moves(&second, ctx, request, oid).await?;
    check_places(&second, &moves).await?;
    let there = sessions::in_the_way(&second, oid, &[], &teardown.policy).await?;
    teardown.policy.check(&target.name, &there)?;

    let check = match &request.unchanged_since {
        Some(backup) => {
            // What is written while everything is compared is seen by the last look.
            let look = last_look(teardown, ctx, target).await?;
            refuse_changed(&teardown.watch.changed_since(ctx, target, backup).await?)?;
            Some(look)
        }
        None => None,
    };
    let mut lock = teardown.lock.session().await?;
    let shut_out = swap(ctx, &mut lock, &second, &moves, &teardown.policy, check).await?;
    drop(lock);
    second.close().await;
    Ok(Retired {
        old: target.clone(),
        retired_name: request.retired_name.clone(),
        successor: request.successor.clone(),
        successor_marks: request.successor_marks.clone(),
        shut_out_ms: u64::try_from(shut_out.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The answer when the old database already carries its retired name: the work was done, and
/// only its answer was lost. The successor must then carry the target's name, for both moved in
/// one transaction.
async fn finish_repeated(second: &Session, request: &RetireRequest) -> Result<Retired> {
    if let Some(successor) = &request.successor {
        let oid = place::oid_here(second, successor).await?;
        let now = place::by_oid(second, oid).await?;
        if now.is_none_or(|p| p.name != request.target.name) {
            return Err(Error::refused(format!(
                "{} is retired as {:?}, but its successor {successor} does not carry its name",
                request.target, request.retired_name
            ))
            .hint("something else renamed it; name it back by hand, then resume"));
        }
    }
    Ok(Retired {
        old: request.target.clone(),
        retired_name: request.retired_name.clone(),
        successor: request.successor.clone(),
        successor_marks: request.successor_marks.clone(),
        shut_out_ms: 0,
    })
}

async fn moves(
    second: &Session,
    ctx: &Ctx,
    request: &RetireRequest,
    oid: u32,
) -> Result<Vec<Move>> {
    let target = &request.target;
    let mut moves = vec![Move {
        oid,
        from: target.name.clone(),
        to: request.retired_name.clone(),
        open: false,
        comment: None,
    }];
    if let Some(successor) = &request.successor {
        if successor.is_same_thing(target) {
            return Err(Error::refused(format!("{target} cannot replace itself")));
        }
        let successor_oid = place::oid_here(second, successor).await?;
        let old_comment = place::by_oid(second, oid).await?.and_then(|p| p.comment);
        let staged = place::by_oid(second, successor_oid).await?;
        let mark = super::super::made_by(&ctx.run);
        if staged.as_ref().and_then(|p| p.comment.as_deref()) != Some(mark.as_str()) {
            return Err(Error::refused(format!(
                "{successor} does not carry the mark of {}, so it is not this run's to promote",
                ctx.run
            )));
        }
        moves.push(Move {
            oid: successor_oid,
            from: successor.name.clone(),
            to: target.name.clone(),
            open: true,
            comment: Some(old_comment),
        });
    }
    Ok(moves)
}

/// A prepared transaction blocks the renaming, and is somebody's commit to decide.
async fn refuse_prepared(second: &Session, target: &Identity) -> Result<()> {
    let rows = second
        .query(
            "select gid from pg_catalog.pg_prepared_xacts
              where database::pg_catalog.text operator(pg_catalog.=) $1 order by gid",
            &[&target.name],
        )
        .await
        .map_err(|e| super::super::server_error("could not look for prepared transactions", e))?;
    if rows.is_empty() {
        return Ok(());
    }
    let gids: Vec<String> = rows
        .iter()
        .map(|r| format!("{:?}", r.get::<_, &str>(0)))
        .collect();
    Err(Error::refused(format!(
        "prepared transactions are open in {:?}: {}",
        target.name,
        gids.join(", ")
    ))
    .hint("COMMIT PREPARED or ROLLBACK PREPARED each of them, then resume"))
}

fn refuse_changed(changed: &[String]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "rows were written after the backup's snapshot, and would be lost: {}",
        changed.join(", ")
    ))
    .hint("stop the writers (see quiesce and workload in the spec) and run again"))
}

/// The look under the fence: the marks must be what they were a moment ago, when the contents
/// were compared. Its session is closed by the look, because the renaming waits for it to go.
async fn last_look(teardown: &PgTeardown, ctx: &Ctx, target: &Identity) -> Result<UnderFence> {
    let reader = teardown.inside(ctx, &target.name).await?;
    let marks = teardown.watch.marks(&reader).await?;
    let watch: Arc<dyn WriteWatch> = teardown.watch.clone();
    Ok(UnderFence {
        pid: reader.backend_pid(),
        look: Box::pin(async move {
            let moved = watch.moved(&reader, &marks).await;
            reader.close().await;
            refuse_changed(&moved?)
        }),
    })
}
