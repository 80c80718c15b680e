//! The clock of the machine jumps.

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::strike::set_clock;
use crate::trial::Struck;

pub(super) const FAMILY: &str = "the clock jumps";

const YEAR: i64 = 365 * 24 * 3600;

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for point in arena.clean(scene).beginnings() {
            for seconds in [-YEAR, -3600, YEAR] {
                all.push((scene, (point.clone(), seconds)));
            }
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |(point, seconds)| format!("by {seconds} s as {} begins", point.step),
        async |arena, target, (point, seconds), _| {
            let clock = target.folder.join("clock");
            set_clock(&clock, 0);
            target.environment.extend(arena.striker.with_clock(&clock));
            let jump = async || set_clock(&clock, *seconds);
            let run = target.paused_at(&["run"], point, jump).await.expect(0);
            let struck = run.points().contains(point);
            Struck { run, struck }
        },
    )
}
