//! The role that rebuilds loses a right at each step, and has it again for the way out.

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;
use crate::world::{ROLE, Scene};

pub(super) const FAMILY: &str = "the role loses a right at each step";

/// What it may not do any more.
const RIGHTS: [&str; 2] = ["createdb", "login"];

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for point in arena.clean(Scene::Owner).beginnings() {
        for right in RIGHTS {
            all.push((Scene::Owner, (point.clone(), right)));
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |(point, right)| format!("no {right} as {} begins", point.step),
        async |arena, target, (point, right), _| {
            let admin = arena.world.admin().await;
            let mut struck = false;
            let revoke = async || {
                let sql = format!("alter role {ROLE} no{right}");
                struck = admin.batch_execute(&sql).await.is_ok();
            };
            let run = target.paused_at(&["run"], point, revoke).await;
            let sql = format!("alter role {ROLE} {right}");
            let back = admin.batch_execute(&sql).await;
            back.expect("it has the right again");
            Struck { run, struck }
        },
    )
}
