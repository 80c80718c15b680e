//! The program is killed at a random time, and so is what takes the way out of it.

use std::time::Duration;

use rustix::process::Signal;

use super::{Case, Extent, Sooner, case};
use crate::arena::Arena;
use crate::random::Random;
use crate::trial::{Struck, Way};
use crate::world::{Scene, Target};

pub(super) const FAMILY: &str = "killed at a random time";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let scenes: Vec<Scene> = arena.scenes().collect();
    let mut random = Random::of(extent.seed);
    let cases = (0..extent.random).map(|n| {
        let scene = scenes[random.below(scenes.len())];
        let took = arena.clean(scene).took;
        let first = took.mul_f64(random.part());
        // Every third is killed again on its way out, and every tenth five times.
        let again = match n {
            n if n.is_multiple_of(10) => 5,
            n if n.is_multiple_of(3) => 1,
            _ => 0,
        };
        let again: Vec<Duration> = (0..again).map(|_| took.mul_f64(random.part())).collect();
        let way = Way::by_turns(random.below(2));
        let what = format!(
            "{scene}: after {first:?}, then {} after {again:?}",
            way.verb()
        );
        let fault = async move |_: &Arena, target: &mut Target<'_>, sooner: Sooner| {
            let target = &*target;
            let kill = async |verb: &str, after| {
                let args = ["--output", "json", verb];
                let sleep = tokio::time::sleep(after);
                target.signal_when(&args, sleep, Signal::KILL).await
            };
            let run = kill("run", sooner.of_time(first)).await;
            let struck = run.was_killed();
            for after in again.iter().filter(|_| struck) {
                kill(way.verb(), *after).await;
            }
            Struck { run, struck }
        };
        case(FAMILY, what, scene, way, fault)
    });
    cases.collect()
}
