//! The network to the server is cut, falls silent or is slow, each way, in the middle of the rows
//! and everywhere else.

use std::time::Duration;

use rustix::process::Signal;

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;
use crate::wire::{Direction, Trouble, Wire};
use crate::world::{Run, Scene, Target};

pub(super) const FAMILY: &str = "the network is cut, silent or slow";

/// At how many places of a run, each way.
const PLACES: u64 = 12;

/// How long an operator waits.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for direction in [Direction::FromServer, Direction::ToServer] {
            let bytes = bytes(arena, scene, direction).await;
            for place in 0..PLACES {
                // Not at the very end: how much goes through differs a little.
                let after = bytes * place / (PLACES + 1);
                let trouble = match place % 6 {
                    1 => Trouble::Silence,
                    4 => Trouble::Slow,
                    _ => Trouble::Cut,
                };
                all.push((scene, (direction, after, trouble)));
            }
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |(direction, after, trouble)| format!("{trouble:?} after {after} bytes {direction:?}"),
        async |_, target, (direction, after, trouble), sooner| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a run sends no petabytes"
            )]
            let after = (*after as f64 * sooner) as u64;
            let wire = Wire::before(target, *direction, after, *trouble).await;
            target.environment.extend(wire.variables());
            let run = match trouble {
                Trouble::Silence => given_up(target, &wire).await,
                _ => target.rebuild_json(&["run"]).await,
            };
            Struck {
                run,
                struck: wire.struck(),
            }
        },
    )
}

/// An operator waits a while for a network that says nothing, asks the program to stop, and kills
/// it then.
async fn given_up(target: &Target<'_>, wire: &Wire) -> Run {
    let patience = async {
        wire.silent().await;
        tokio::time::sleep(PATIENCE).await;
    };
    let signals = [(Signal::TERM, Duration::ZERO), (Signal::KILL, PATIENCE)];
    target
        .signals_when(&["--output", "json", "run"], patience, &signals)
        .await
}

/// How much goes through in a run that nothing strikes.
async fn bytes(arena: &Arena, scene: Scene, direction: Direction) -> u64 {
    let mut target = arena.target(scene).await;
    let wire = Wire::before(&target, direction, u64::MAX, Trouble::None).await;
    target.environment.extend(wire.variables());
    target.rebuild(&["run"]).await.expect(0);
    target.drop_databases().await;
    assert!(wire.passed() > 0, "{scene}: it takes the way through here");
    wire.passed()
}
