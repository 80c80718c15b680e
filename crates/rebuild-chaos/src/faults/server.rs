//! The server ends at once at each step, with every session, and comes back.

use rebuild_core::postgres::StopMode;

use super::{Case, Extent, case};
use crate::arena::Arena;
use crate::trial::{Struck, Way};

pub(super) const FAMILY: &str = "the server crashes at each step and recovers";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for point in &arena.clean(scene).points {
            all.push((scene, point.clone()));
        }
    }
    let all = extent.of(all).into_iter().enumerate();
    let cases = all.map(|(n, (scene, point))| {
        let what = format!("{scene}: at {} {}", point.event, point.step);
        case(
            FAMILY,
            what,
            scene,
            Way::by_turns(n),
            async move |arena, target, _| {
                let cluster = arena.world.cluster();
                let crash = async || {
                    cluster.stop(StopMode::Immediate).await.expect("it stops");
                    cluster.launch().await.expect("it recovers");
                };
                let run = target.paused_at(&["run"], &point, crash).await;
                let struck = run.points().contains(&point);
                Struck { run, struck }
            },
        )
    });
    cases.collect()
}
