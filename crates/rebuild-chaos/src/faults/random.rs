//! The program is killed at a random time, and so is what takes the way out of it.

use rustix::process::Signal;

use super::{Case, Extent, case};
use crate::arena::Arena;
use crate::random::Random;
use crate::trial::{Struck, Way};
use crate::world::Scene;

pub(super) const FAMILY: &str = "killed at a random time";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let scenes: Vec<Scene> = arena.scenes().collect();
    let mut random = Random::of(extent.seed);
    let cases = (0..extent.random).map(|n| {
        let scene = scenes[random.below(scenes.len())];
        let took = arena.clean(scene).took;
        let first = took.mul_f64(random.part());
        // Every third is killed a second time, on its way out.
        let second = n.is_multiple_of(3).then(|| took.mul_f64(random.part()));
        let way = Way::by_turns(random.below(2));
        let again = second.map_or_else(String::new, |d| {
            format!(", then {} after {d:?}", way.verb())
        });
        let what = format!("{scene}: after {first:?}{again}");
        case(FAMILY, what, scene, way, async move |_, target, sooner| {
            let target = &*target;
            let kill = async |args: &[&str], after| {
                target
                    .signal_when(args, tokio::time::sleep(after), Signal::KILL)
                    .await
            };
            let args = ["--output", "json", "run"];
            let run = kill(&args, first.mul_f64(sooner)).await;
            let struck = run.was_killed();
            if let Some(after) = second.filter(|_| struck) {
                kill(&["--output", "json", way.verb()], after).await;
            }
            Struck { run, struck }
        })
    });
    cases.collect()
}
