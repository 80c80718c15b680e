//! The server ends at once at each step, with every session, and comes back.

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;

pub(super) const FAMILY: &str = "the server crashes at each step and recovers";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for point in &arena.clean(scene).points {
            all.push((scene, point.clone()));
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |point| format!("at {} {}", point.event, point.step),
        async |arena, target, point, _| {
            let mut struck = false;
            let crash = async || {
                arena.world.crash().await;
                struck = true;
            };
            let run = target.paused_at(&["run"], point, crash).await;
            Struck { run, struck }
        },
    )
}
