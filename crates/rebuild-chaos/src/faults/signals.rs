//! The program is asked to end at each step.

use rustix::process::Signal;

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;

pub(super) const FAMILY: &str = "SIGINT, SIGTERM and SIGHUP at each step";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for point in arena.clean(scene).beginnings() {
            for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
                all.push((scene, (point.clone(), signal)));
            }
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |(point, signal)| format!("{signal:?} as {} begins", point.step),
        async |_, target, (point, signal), _| {
            let run = target.signal_at(&["run"], point, *signal).await;
            // It came to a stop, or had passed the last point where it stops.
            let struck = run.points().contains(point);
            Struck { run, struck }
        },
    )
}
