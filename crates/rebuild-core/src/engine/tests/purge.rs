//! What may be purged, when, and by what right.

use super::world::{World, ending, plan, run_id};
use crate::engine::RollbackOptions;
use crate::model::RunId;
use crate::plan::Strategy;

/// A world in which a run is done.
async fn done() -> (World, RunId) {
    let world = World::new();
    let run = run_id();
    let plan = plan(&world.sim, Strategy::Aside);
    let report = world.engine().run(run.clone(), plan).await;
    assert_eq!(ending(&report.expect("a report")), "done");
    (world, run)
}

#[tokio::test]
async fn a_done_run_is_purged_by_its_proven_backup_and_then_cannot_be_rolled_back() {
    let (world, run) = done().await;
    for _ in 0..2 {
        let gone = world.engine().purge(&run, None).await.expect("purged");
        assert!(gone.is_some_and(|name| name.starts_with("app_old_")));
    }
    assert_eq!(world.sim.state().dropped.len(), 1);
    assert_eq!(world.sim.state().dropped[0].rows, [10, 20, 30]);
    world.assert_a_copy_exists("after the purge");
    let e = world
        .engine()
        .rollback(&run, RollbackOptions::default())
        .await
        .expect_err("purged");
    assert!(e.is_refusal(), "{e:?}");
}

#[tokio::test]
async fn without_a_backup_only_the_typed_name_purges() {
    let (world, run) = done().await;
    world.sim.state().backups.clear();
    assert!(world.engine().purge(&run, None).await.is_err());
    assert!(world.engine().purge(&run, Some("ap")).await.is_err());
    assert!(world.sim.state().dropped.is_empty());
    assert_eq!(
        world.sim.state().lock,
        None,
        "a refusal gives the lock back"
    );
    world
        .engine()
        .purge(&run, Some("app"))
        .await
        .expect("purged");
    assert_eq!(world.sim.state().dropped.len(), 1);
}

#[tokio::test]
async fn a_rolled_back_database_that_was_in_service_goes_only_by_its_name() {
    let (world, run) = done().await;
    let report = world
        .engine()
        .rollback(&run, RollbackOptions::default())
        .await
        .expect("a report");
    assert_eq!(ending(&report), "rolled back");
    let kept = format!("app_new_{}", run.short());
    let opens = format!("ALTER DATABASE \"{kept}\" ALLOW_CONNECTIONS true");
    assert!(
        report.left.iter().any(|line| line.contains(&opens)),
        "{report:?}"
    );
    assert!(world.engine().purge(&run, None).await.is_err());
    assert!(world.sim.state().dropped.is_empty());
    world
        .engine()
        .purge(&run, Some(&kept))
        .await
        .expect("purged");
    assert_eq!(world.sim.state().dropped.len(), 1);
    world.assert_old("after the purge");
}

#[tokio::test]
async fn rows_written_to_the_new_database_halt_a_failure_and_refuse_a_rollback() {
    let world = World::new();
    let run = run_id();
    let sim = world.sim.clone();
    world.sim.state().complaints.1 = vec!["the probe failed".to_owned()];
    let engine = world
        .engine()
        .at_boundaries(std::sync::Arc::new(move |step, at| {
            if step == "start-web" && at == crate::engine::Boundary::AfterOutcome {
                let id = sim.identity("app").expect("in service");
                let oid: u32 = id.uid.parse().expect("an oid");
                let mut state = sim.state();
                state.databases.get_mut(&oid).expect("app").rows.push(40);
            }
            Ok(())
        }));
    let plan = plan(&world.sim, Strategy::Aside);
    let report = engine.run(run.clone(), plan).await.expect("a report");
    assert_eq!(ending(&report), "halted", "{report:?}");
    assert!(report.error.is_some_and(|e| e.contains("the probe failed")));
    let e = world
        .engine()
        .rollback(&run, RollbackOptions::default())
        .await
        .expect_err("rows would go out of service");
    assert!(e.is_refusal(), "{e:?}");
    assert_eq!(
        world.sim.state().lock,
        None,
        "a refusal gives the lock back"
    );
    let accepted = RollbackOptions {
        accept_writes: true,
    };
    let report = world
        .engine()
        .rollback(&run, accepted)
        .await
        .expect("a report");
    assert_eq!(ending(&report), "rolled back", "{report:?}");
    world.assert_old("after the rollback");
    let kept = format!("app_new_{}", run.short());
    let id = world.sim.identity(&kept).expect("the new database is kept");
    let oid: u32 = id.uid.parse().expect("an oid");
    assert_eq!(world.sim.state().databases[&oid].rows, [10, 20, 30, 40]);
}
