//! Two operators at once, and one whose machine slept while another one took over.

use super::{Case, Extent, case};
use crate::arena::Arena;
use crate::trial::{Struck, Way};
use crate::world::Target;

pub(super) const FAMILY: &str = "two operators at once, or one who wakes up too late";

/// How often two start together, in each kind of rebuild.
const ROUNDS: usize = 8;

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut together = Vec::new();
    let mut asleep = Vec::new();
    for scene in arena.scenes() {
        for round in 0..ROUNDS {
            together.push((scene, round));
        }
        // After its last step a run has ended before anybody can put it to sleep, or nearly so.
        let points = arena.clean(scene).points.split_last();
        let (_, points) = points.expect("a run tells of its steps");
        asleep.extend(points.iter().map(|point| (scene, point.clone())));
    }
    let together = extent.of(together).into_iter();
    let together = together.map(|(scene, round)| {
        let what = format!("{scene}: together, round {round}");
        case(
            FAMILY,
            what,
            scene,
            Way::by_turns(round),
            async |_, target, _| {
                let (one, other) = tokio::join!(run(target), run(target));
                // Who came second was refused, or found the database rebuilt and rebuilt it again.
                let (first, second) = match one.code() {
                    Some(0) => (one, other),
                    _ => (other, one),
                };
                assert_eq!(
                    first.code(),
                    Some(0),
                    "nobody came through: {first:?} {second:?}"
                );
                let struck = matches!(second.code(), Some(3 | 7));
                assert!(struck, "both came through: {second:?}");
                Struck { run: first, struck }
            },
        )
    });
    let asleep = extent.of(asleep).into_iter().enumerate();
    let asleep = asleep.map(|(n, (scene, point))| {
        let way = Way::by_turns(n);
        let what = format!(
            "{scene}: asleep at {} {} while another one does {}",
            point.event,
            point.step,
            way.verb()
        );
        case(FAMILY, what, scene, way, async move |arena, target, _| {
            let here: &Target<'_> = target;
            let mut code = None;
            let take_over = async || {
                // The server gives up on who does not answer.
                arena.world.end_sessions_of_runs().await;
                code = here.rebuild_json(&[way.verb()]).await.code();
            };
            let run = here.paused_at(&["run"], &point, take_over).await;
            let struck = code.is_some();
            assert!(
                !(struck && code == Some(0) && run.code() == Some(0)),
                "both say that they are done: {run:?}"
            );
            Struck { run, struck }
        })
    });
    together.chain(asleep).collect()
}

async fn run(target: &Target<'_>) -> crate::world::Run {
    target.rebuild_json(&["run"]).await
}
