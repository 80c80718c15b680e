//! The role that rebuilds loses a right at each step, and has it again for the way out.

use super::{Case, Extent, case};
use crate::arena::Arena;
use crate::trial::{Struck, Way};
use crate::world::{ROLE, Scene};

pub(super) const FAMILY: &str = "the role loses a right at each step";

/// What it may not do any more.
const RIGHTS: [&str; 2] = ["createdb", "login"];

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for point in arena.clean(Scene::Owner).beginnings() {
        for right in RIGHTS {
            all.push((point.clone(), right));
        }
    }
    let all = extent.of(all).into_iter().enumerate();
    let cases = all.map(|(n, (point, right))| {
        let what = format!("{}: no {right} as {} begins", Scene::Owner, point.step);
        case(
            FAMILY,
            what,
            Scene::Owner,
            Way::by_turns(n),
            async move |arena, target, _| {
                let admin = arena.world.admin().await;
                let mut struck = false;
                let revoke = async || {
                    let sql = format!("alter role {ROLE} no{right}");
                    struck = admin.batch_execute(&sql).await.is_ok();
                };
                let run = target.paused_at(&["run"], &point, revoke).await;
                let sql = format!("alter role {ROLE} {right}");
                admin
                    .batch_execute(&sql)
                    .await
                    .expect("it has the right again");
                Struck { run, struck }
            },
        )
    });
    cases.collect()
}
