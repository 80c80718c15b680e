//! The program is killed at one of its calls to the system: right before it, or right after it was
//! done.

use super::{Case, Extent, aimed, sweep};
use crate::arena::Arena;
use crate::strike::{Aim, Call, Deed};

/// Before and after each record of the journal.
pub(super) const JOURNAL: &str = "killed at each record of the journal";

/// Before and after each other object of the store gets its name.
pub(super) const STORE: &str = "killed at each object of a backup";

/// Before and after each message to the server.
pub(super) const MESSAGES: &str = "killed at each message to the server";

pub(super) async fn cases(family: &str, arena: &Arena, extent: Extent) -> Vec<Case> {
    let (family, call, path) = match family {
        JOURNAL => (JOURNAL, Call::Name, "/runs/"),
        STORE => (STORE, Call::Name, "/backups/"),
        _ => (MESSAGES, Call::Send, ""),
    };
    let mut aims = Vec::new();
    for scene in arena.scenes() {
        let calls = arena.count(scene, call, path).await;
        for at in 1..=calls {
            for deed in [Deed::KillBefore, Deed::KillAfter] {
                aims.push((
                    scene,
                    Aim {
                        call,
                        path,
                        at,
                        times: 1,
                        deed,
                    },
                ));
            }
        }
    }
    let every = match call {
        Call::Send => extent.every_message,
        _ => extent.every,
    };
    sweep(
        family,
        extent.one_in(every, aims),
        |aim| format!("{:?} {} of {:?}", aim.deed, aim.at, aim.call),
        async |arena, target, aim, sooner| {
            let mut struck = aimed(arena, target, sooner.of_aim(aim)).await;
            struck.struck &= struck.run.was_killed();
            struck
        },
    )
}
