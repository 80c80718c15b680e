//! Fault sweeps that know their length: errors at every boundary, deaths at every boundary, and
//! deaths on the way back from each of those.

use super::world::{World, ending, plan, run_id, step_ids};
use crate::engine::{Boundary, RollbackOptions};
use crate::error::ErrorKind;
use crate::plan::Strategy;

const STRATEGIES: [Strategy; 2] = [Strategy::Aside, Strategy::InPlace];

#[tokio::test]
async fn a_run_without_faults_ends_with_the_new_database() {
    for strategy in STRATEGIES {
        let world = World::new();
        let plan = plan(&world.sim, strategy);
        let report = world.engine().run(run_id(), plan).await.expect("a report");
        assert_eq!(ending(&report), "done", "{:?}", report.error);
        world.assert_new("after the run");
        assert!(world.sim.state().dropped.is_empty());
    }
}

/// An error at each boundary of each step: what was done is undone, and the old database stands.
/// Once the rows' new home is in service and the outcome recorded, an error there goes back too.
#[tokio::test]
async fn an_error_at_every_boundary_goes_back() {
    let mut struck_in_all = 0;
    let mut expected = 0;
    for strategy in STRATEGIES {
        let steps = step_ids(&plan(&World::new().sim, strategy));
        expected += steps.len() * Boundary::ALL.len();
        for step in &steps {
            for boundary in Boundary::ALL {
                let when = format!("{strategy:?} {step} {boundary}");
                let world = World::new();
                let (engine, struck) =
                    world.engine_that_fails_at(step, boundary, ErrorKind::Server);
                let report = engine
                    .run(run_id(), plan(&world.sim, strategy))
                    .await
                    .expect("a report");
                assert_eq!(*struck.lock().expect("no panic"), 1, "{when}: not struck");
                struck_in_all += 1;
                assert_eq!(ending(&report), "rolled back", "{when}: {:?}", report.error);
                world.assert_old(&when);
                world.assert_a_copy_exists(&when);
                let promoted = steps.iter().position(|s| s == "promote");
                if steps.iter().position(|s| s == step) < promoted {
                    let left = world.sim.state().databases.len();
                    assert_eq!(left, 1, "{when}: the staged database is left behind");
                }
            }
        }
    }
    assert_eq!(struck_in_all, expected);
}

/// A death at each boundary of each step, then `resume`: the new database stands. The same death,
/// then `rollback`: the old one stands. Each is done twice, and the second changes nothing.
#[tokio::test]
async fn a_death_at_every_boundary_can_be_resumed_and_rolled_back() {
    for strategy in STRATEGIES {
        let steps = step_ids(&plan(&World::new().sim, strategy));
        let mut deaths = 0;
        for step in &steps {
            for boundary in Boundary::ALL {
                for back in [false, true] {
                    let when = format!("{strategy:?} {step} {boundary} back={back}");
                    let world = World::new();
                    let run = run_id();
                    die_at(&world, &run, strategy, step, boundary).await;
                    deaths += 1;
                    world.assert_a_copy_exists(&when);
                    for again in 0..2 {
                        let engine = world.engine();
                        let report = if back {
                            engine.rollback(&run, RollbackOptions::default()).await
                        } else {
                            engine.resume(&run, "spec").await
                        }
                        .unwrap_or_else(|e| panic!("{when}: {e:?}"));
                        let wanted = if back { "rolled back" } else { "done" };
                        assert_eq!(
                            ending(&report),
                            wanted,
                            "{when} {again}: {:?}",
                            report.error
                        );
                        if back {
                            world.assert_old(&when);
                        } else {
                            world.assert_new(&when);
                        }
                    }
                }
            }
        }
        assert_eq!(deaths, steps.len() * Boundary::ALL.len() * 2);
    }
}

/// A death at each boundary of the way back, from a failure at the very end: another rollback
/// ends it.
#[tokio::test]
async fn a_death_on_the_way_back_can_be_rolled_back() {
    for strategy in STRATEGIES {
        let undoable = plan(&World::new().sim, strategy).steps;
        let undoable = undoable.iter().filter(|s| s.kind.has_undo());
        let steps: Vec<String> = undoable.map(|s| s.id.clone()).collect();
        let mut deaths = 0;
        for step in &steps {
            for boundary in Boundary::ALL {
                let when = format!("{strategy:?} undo {step} {boundary}");
                let world = World::new();
                let run = run_id();
                let report = world
                    .engine()
                    .run(run.clone(), plan(&world.sim, strategy))
                    .await
                    .expect("a report");
                assert_eq!(ending(&report), "done");
                let aim = format!("undo {step}");
                let engine = dying_engine(&world, &aim, boundary);
                let back = run.clone();
                let task = tokio::spawn(async move {
                    engine.rollback(&back, RollbackOptions::default()).await
                });
                assert!(
                    task.await.is_err_and(|e| e.is_panic()),
                    "{when}: did not die"
                );
                deaths += 1;
                world.sim.client_died();
                world.assert_a_copy_exists(&when);
                let report = world
                    .engine()
                    .rollback(&run, RollbackOptions::default())
                    .await
                    .unwrap_or_else(|e| panic!("{when}: {e:?}"));
                assert_eq!(ending(&report), "rolled back", "{when}: {:?}", report.error);
                world.assert_old(&when);
            }
        }
        assert_eq!(deaths, steps.len() * Boundary::ALL.len());
    }
}

/// Runs until the boundary and dies there: a panic drops everything the process had, as a kill
/// would, and the server notices that the client is gone.
async fn die_at(
    world: &World,
    run: &crate::model::RunId,
    strategy: Strategy,
    step: &str,
    boundary: Boundary,
) {
    let engine = dying_engine(world, step, boundary);
    let plan = plan(&world.sim, strategy);
    let id = run.clone();
    let task = tokio::spawn(async move { engine.run(id, plan).await });
    let died = task.await.is_err_and(|e| e.is_panic());
    assert!(died, "did not die at {step} {boundary}");
    world.sim.client_died();
}

fn dying_engine(world: &World, step: &str, boundary: Boundary) -> crate::engine::Engine {
    let aim = step.to_owned();
    world
        .engine()
        .at_boundaries(std::sync::Arc::new(move |step, at| {
            assert!(!(step == aim && at == boundary), "killed at {step} {at}");
            Ok(())
        }))
}
