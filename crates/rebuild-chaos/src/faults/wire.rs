//! The network to the server is cut, falls silent or is slow, each way, in the middle of the rows
//! and everywhere else.

use std::time::Duration;

use rebuild_core::testing::{Direction, Network, Trouble};
use rustix::process::Signal;

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;
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
            let after = sooner.of_bytes(*after);
            let network = before(target, *direction, after, *trouble).await;
            let run = match trouble {
                Trouble::Silence => given_up(target, &network).await,
                _ => target.rebuild_json(&["run"]).await,
            };
            Struck {
                run,
                struck: network.is_struck(),
            }
        },
    )
}

/// An operator waits a while for a network that says nothing, asks the program to stop, and kills
/// it then.
async fn given_up(target: &Target<'_>, network: &Network) -> Run {
    let patience = async {
        network.struck().await;
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
    let network = before(&mut target, direction, u64::MAX, Trouble::End).await;
    target.rebuild(&["run"]).await.expect(0);
    target.drop_databases().await;
    let passed = network.passed();
    assert!(passed > 0, "{scene}: it takes the way through here");
    passed
}

/// A network before the target's server, which the program takes.
async fn before(
    target: &mut Target<'_>,
    direction: Direction,
    after: u64,
    trouble: Trouble,
) -> Network {
    let network = Network::in_trouble(&target.endpoint(), direction, after, trouble).await;
    let network = network.expect("a free port");
    let port = network.endpoint().port.to_string();
    let way = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGSSLMODE", "disable"),
    ];
    let way = way.map(|(name, value)| (name.to_owned(), value.to_owned()));
    target.environment.extend(way);
    network
}
