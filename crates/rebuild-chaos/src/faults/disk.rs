//! The store is full, broken, or cannot be written: for one call, or from there on.

use super::{Case, Extent, aimed, sweep};
use crate::arena::Arena;
use crate::strike::{Aim, Call, Deed};

pub(super) const FAMILY: &str = "the store or the journal is full, broken or read-only";

/// Errors of Linux.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

pub(super) async fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for (call, path, error) in [
            (Call::Write, "/store/runs/", ENOSPC),
            (Call::Name, "/store/runs/", EROFS),
            (Call::Write, "/store/backups/", ENOSPC),
            (Call::Name, "/store/backups/", EIO),
        ] {
            let calls = arena.count(scene, call, path).await;
            for at in 1..=calls {
                for times in [1, 0] {
                    let deed = Deed::Fail(error);
                    all.push((
                        scene,
                        Aim {
                            call,
                            path,
                            at,
                            times,
                            deed,
                        },
                    ));
                }
            }
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |aim| {
            let rest = ["", " and all that follow"][usize::from(aim.times == 0)];
            format!(
                "{:?}: {:?} {} in {}{rest}",
                aim.deed, aim.call, aim.at, aim.path
            )
        },
        async |arena, target, aim, sooner| aimed(arena, target, sooner.of_aim(aim)).await,
    )
}
