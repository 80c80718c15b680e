//! The old database back under its name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::swap::{Move, UnderFence, check_places, swap};
use super::{PgTeardown, WriteWatch, place};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::postgres::made_by;
use crate::traits::Retired;

/// Nobody gets in meanwhile, and the renaming waits for so long for the reader to go.
const LOOKS_WITHIN: Duration = Duration::from_secs(2);

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
    let mut last = None;
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
        if holder.open {
            last = last_look(teardown, ctx, &holder.name, retired).await;
        }
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
    let (look, written) = last.unzip();
    let policy = &teardown.policy;
    let looks = look.is_some();
    match swap(ctx, &mut lock, &second, &moves, policy, look).await {
        // A look that does not come to its end is no reason to stay.
        Err(e) if looks && e.kind() == ErrorKind::Deadline => {
            swap(ctx, &mut lock, &second, &moves, policy, None).await?;
        }
        swapped => {
            swapped?;
        }
    }
    second.close().await;
    if let Some(written) = written {
        tell_of(ctx, &written, &moves[0].to);
    }
    Ok(())
}

/// What was written to the new database, once nobody can write to it any more.
type Written = Arc<Mutex<Vec<String>>>;

/// The look under the fence at what was written since the new database went into service: whoever asked
/// before could not see what came afterwards. A new database that cannot be read is what one goes back for,
/// so it stands in nobody's way.
async fn last_look(
    teardown: &PgTeardown,
    ctx: &Ctx,
    name: &str,
    retired: &Retired,
) -> Option<(UnderFence, Written)> {
    let since = retired.successor_marks.clone();
    if since.is_null() {
        return None;
    }
    let reader = teardown.inside(ctx, name).await.ok()?;
    // The server ends what takes too long: a reader that is only left would stay in the way of the renaming.
    let bounded = format!("set statement_timeout = {}", LOOKS_WITHIN.as_millis());
    reader.batch_execute(&bounded).await.ok()?;
    let watch: Arc<dyn WriteWatch> = teardown.watch.clone();
    let written = Written::default();
    let found = written.clone();
    let look = UnderFence {
        pid: reader.backend_pid(),
        look: Box::pin(async move {
            let moved = tokio::time::timeout(LOOKS_WITHIN, watch.moved(&reader, &since)).await;
            let told = match moved {
                Ok(Ok(moved)) => moved,
                Ok(Err(e)) => vec![format!("it cannot be told: {}", e.chain())],
                Err(_) => vec!["it could not be told in time".to_owned()],
            };
            // Before the session is closed: the renaming may give up waiting for that.
            *found.lock().unwrap_or_else(PoisonError::into_inner) = told;
            reader.close().await;
            Ok(())
        }),
    };
    Some((look, written))
}

fn tell_of(ctx: &Ctx, written: &Written, kept: &str) {
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    if !written.is_empty() {
        ctx.events.warn(format!(
            "what was written to the new database before it went out of service stays in {kept:?}: {}",
            written.join(", ")
        ));
    }
}
