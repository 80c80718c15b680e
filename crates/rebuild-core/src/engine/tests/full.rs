//! The disk that the journal is on fills up, sooner or later.

use tokio_util::sync::CancellationToken;

use super::mocks::STRATEGIES;
use super::world::{World, ending, plan, run_id};
use crate::engine::{Engine, RollbackOptions};
use crate::event::Events;
use crate::plan::Strategy;
use crate::store::Store;
use crate::testing::FullStore;
use crate::testing::sim::Sim;

/// Less than any record, so that each of them is the one that does not fit.
const STEP: usize = 200;

/// Ever more room, until a run comes to its end. A run that cannot write its journal stops there,
/// and goes on, or back, once there is room.
#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_run_wherever_it_is() {
    for strategy in STRATEGIES {
        for back in [false, true] {
            let mut stopped = 0;
            while !round(strategy, back, stopped * STEP).await {
                stopped += 1;
            }
            let records = 2 * plan(&Sim::with_app(), strategy).steps.len();
            assert!(stopped > records, "{stopped} times for {records} records");
        }
    }
}

/// True if there was room enough for the whole run.
async fn round(strategy: Strategy, back: bool, room: usize) -> bool {
    let when = format!("{strategy:?} back={back} with room for {room} bytes");
    let folder = tempfile::tempdir().expect("a folder");
    let world = World {
        sim: Sim::with_app(),
        store: store(&folder).await,
    };
    let full = FullStore::over(&world.store, room as u64).expect("a store");
    let engine = Engine::new(
        world.sim.backends(),
        full,
        Events::none(),
        CancellationToken::new(),
    );
    let run = run_id();
    let ended = engine.run(run.clone(), plan(&world.sim, strategy)).await;
    let why = match ended {
        Ok(report) if ending(&report) == "done" => return true,
        Ok(report) => {
            assert_eq!(ending(&report), "halted", "{when}");
            let next = format!("rebuild resume {run}");
            assert_eq!(report.next, Some(next), "{when}");
            report.error.expect("a reason")
        }
        // Its first record did not fit.
        Err(e) => {
            let begun = crate::journal::plan(&world.store, &run).await;
            assert!(begun.is_err(), "{when}: {}", e.chain());
            e.chain()
        }
    };
    assert!(why.contains("No space left"), "{when}: {why}");
    world.sim.client_died();
    world.assert_a_copy_exists(&when);
    let engine = world.engine();
    if crate::journal::plan(&world.store, &run).await.is_err() {
        world.assert_old(&when);
        assert_eq!(world.sim.state().databases.len(), 1, "{when}");
        return false;
    }
    if back {
        let report = engine.rollback(&run, RollbackOptions::default()).await;
        let report = report.unwrap_or_else(|e| panic!("{when}: {e:?}"));
        assert_eq!(ending(&report), "rolled back", "{when}");
        world.assert_old(&when);
    } else {
        let report = engine.resume(&run, "spec").await;
        let report = report.unwrap_or_else(|e| panic!("{when}: {e:?}"));
        assert_eq!(ending(&report), "done", "{when}: {:?}", report.error);
        world.assert_new(&when);
    }
    false
}

async fn store(folder: &tempfile::TempDir) -> Store {
    let path = folder.path().canonicalize().expect("a path").join("store");
    let url = format!("file://{}", path.display());
    let environment = crate::Environment::default();
    Store::open(&url, &environment).await.expect("a store")
}
