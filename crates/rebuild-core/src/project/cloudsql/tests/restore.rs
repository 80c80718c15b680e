//! Backups of an instance, restored over an instance.

use super::*;
use crate::cloudsql::InstanceCopy;
use crate::event::Ctx;
use crate::postgres::{DatabaseKey, Session, TargetLock, database_facts};
use crate::project::InstanceSource;
use crate::traits::Lock;

fn with_runs(world: &World) -> String {
    world.spec(&format!("{}backup_run = {{}}\n", world.socket()))
}

#[tokio::test]
async fn a_run_is_restored_and_what_was_there_can_come_back() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    world.sql("app", "delete from lines where id > 10").await;

    let from = InstanceSource::Backup(summary.id.clone());
    let e = project
        .restore_instance(&from, None)
        .await
        .expect_err("no name");
    assert!(e.is_refusal(), "{e:?}");
    assert!(
        e.to_string().contains("every database of instance"),
        "{e:?}"
    );
    assert_eq!(e.advice(), Some("give --confirm main"));
    let e = project.restore_instance(&from, Some("app")).await;
    assert!(e.expect_err("another name").is_refusal());
    assert!(world.google.calls("sql.instances.restoreBackup").is_empty());

    let (restored, verdict) = project
        .restore_instance(&from, Some("main"))
        .await
        .expect("it");
    assert!(verdict.expect("compared").passed());
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    let copy = InstanceCopy::Run {
        instance: None,
        id: restored.before,
    };
    let back = InstanceSource::Copy(copy);
    project
        .restore_instance(&back, Some("main"))
        .await
        .expect("back again");
    assert_eq!(world.count(&world.instance, "lines").await, 10);
    let left = std::fs::read_dir(world.folder().join("store/cloudsql/restores"));
    assert_eq!(left.map_or(0, Iterator::count), 0);
    world.google.assert_clean();
}

#[tokio::test]
async fn where_a_run_is_at_work_on_the_instance_nothing_is_restored() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let from = InstanceSource::Backup(summary.id);
    let run = Ctx::quiet();
    for database in ["app", "postgres"] {
        let endpoint = world.endpoint_of(&world.instance, database);
        let session = Session::open(&endpoint, "test").await.expect("a session");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        session.close().await;
        let maintenance = world.endpoint_of(&world.instance, "postgres");
        let lock = TargetLock::new(maintenance, facts.expect("facts").identity);
        lock.acquire(&run).await.expect("free");
        let restoring = project.restore_instance(&from, Some("main"));
        let e = Box::pin(restoring).await.expect_err("a run is at work");
        assert!(e.is_refusal(), "{e:?}");
        assert!(e.to_string().contains(run.run.as_str()), "{e}");
        lock.release(&run).await.expect("released");
    }
    assert!(world.google.calls("sql.instances.restoreBackup").is_empty());
    let runs = world.google.calls("sql.backupRuns.insert").len();
    assert_eq!(runs, 1, "nor was the instance backed up once more");
}

#[tokio::test]
async fn it_goes_into_another_instance() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let runs = project
        .status(false)
        .await
        .expect("a status")
        .survey
        .instance;
    let id = runs.expect("the instance").backups[0].id;

    let other = world.google.instance(PROJECT, "europe-west1", "other");
    let other = other.password("other").create().await.expect("an instance");
    let spec = with_runs(&world).replace(":main", ":other");
    let project = world.project(&spec).await.expect("a project");
    let from = InstanceSource::Copy(InstanceCopy::Run {
        instance: Some("main".to_owned()),
        id,
    });
    project
        .restore_instance(&from, Some("other"))
        .await
        .expect("it");
    assert_eq!(world.count(&other, "lines").await, 2000);
    // The rows are those of the backup, wherever they are.
    let verdict = project
        .verify(Some(&summary.id), false)
        .await
        .expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");

    let none = InstanceSource::Copy(InstanceCopy::Run {
        instance: Some("main".to_owned()),
        id: 4711,
    });
    let e = project
        .restore_instance(&none, Some("other"))
        .await
        .expect_err("none");
    assert_eq!(
        e.to_string(),
        "there is no backup run 4711 of instance main"
    );
    world.google.assert_clean();
}

#[tokio::test]
async fn replicas_are_in_the_way_unless_the_spec_says_what_becomes_of_them() {
    let world = World::new().await;
    let new = world
        .google
        .instance(PROJECT, "europe-west1", "main2")
        .password("tr0ub4dor");
    let main = new.replica("main2-r1").create().await.expect("an instance");
    world.create_database(&main, "app").await;
    world
        .sql_on(&main, "app", "create table orders (id int primary key)")
        .await;
    let spec = with_runs(&world).replace(":main", ":main2");
    let project = world.project(&spec).await.expect("a project");
    project.backup().await.expect("a backup");
    let runs = project
        .status(false)
        .await
        .expect("a status")
        .survey
        .instance;
    let copy = InstanceCopy::Run {
        instance: None,
        id: runs.expect("the instance").backups[0].id,
    };
    let from = InstanceSource::Copy(copy);
    let e = project
        .restore_instance(&from, Some("main2"))
        .await
        .expect_err("a replica");
    assert!(e.is_refusal(), "{e:?}");
    assert!(
        e.to_string().ends_with("as long as it has: main2-r1"),
        "{e:?}"
    );
    for method in ["sql.instances.restoreBackup", "sql.instances.delete"] {
        assert!(world.google.calls(method).is_empty(), "{method}");
    }

    let spec = spec.replace(
        "backup_run = {}",
        "backup_run = {}\nreplicas = \"recreate\"",
    );
    let project = world.project(&spec).await.expect("a project");
    let (restored, _) = project
        .restore_instance(&from, Some("main2"))
        .await
        .expect("it");
    assert_eq!(restored.replicas, ["main2-r1"]);
    let survey = project.status(false).await.expect("a status").survey;
    assert_eq!(
        survey.instance.expect("the instance").replicas,
        ["main2-r1"]
    );
    world.google.assert_clean();
}

/// Every call that changes something is cut off once, before its effect and after it; the same command
/// goes on each time.
#[tokio::test]
async fn whoever_is_cut_off_goes_on_and_begins_nothing_twice() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let from = InstanceSource::Backup(summary.id.clone());
    for (strike, method) in [
        (Strike::CloseBefore, "sql.backupRuns.insert"),
        (Strike::CloseAfter, "sql.backupRuns.insert"),
        (Strike::CloseBefore, "sql.instances.restoreBackup"),
        (Strike::CloseAfter, "sql.instances.restoreBackup"),
        (Strike::Truncate, "sql.instances.restoreBackup"),
        (Strike::CloseAfter, "sql.operations.get"),
    ] {
        world.sql("app", "delete from lines where id > 10").await;
        let before = world.google.requests().len();
        let cut = world.google.fault(Fault::once(method, strike.clone()));
        let restored = project.restore_instance(&from, Some("main")).await;
        restored.unwrap_or_else(|e| panic!("{method} {strike:?}: {e:?}"));
        assert_eq!(cut.struck(), 1, "{method} {strike:?}");
        assert_eq!(world.count(&world.instance, "lines").await, 2000);
        // Of each, one had an effect.
        let requests = world.google.requests();
        let again = matches!(strike, Strike::CloseBefore);
        for effect in ["sql.backupRuns.insert", "sql.instances.restoreBackup"] {
            let made = requests[before..]
                .iter()
                .filter(|r| r.method == effect)
                .count();
            assert_eq!(
                made,
                if again && effect == method { 2 } else { 1 },
                "{method} {strike:?}"
            );
        }
    }
    world.google.assert_clean();
}

#[tokio::test]
async fn a_restore_that_failed_leaves_the_way_back_open() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    world.sql("app", "delete from lines where id > 10").await;
    let failure = Failure::new("INTERNAL_ERROR", "the copy cannot be read");
    let fault = OperationFault::Fail(failure);
    world
        .google
        .fault_operation("sql.instances.restoreBackup", fault);
    let from = InstanceSource::Backup(summary.id);
    let e = project.restore_instance(&from, Some("main")).await;
    let e = e.expect_err("it failed");
    assert!(
        e.chain()
            .ends_with("INTERNAL_ERROR: the copy cannot be read"),
        "{e:?}"
    );
    let advice = e.advice().expect("advice");
    let back = advice
        .split("--run ")
        .nth(1)
        .expect("the run to go back to");
    let (id, name) = back.split_once(" --confirm ").expect("the whole command");
    assert_eq!(name, "main");
    let back = InstanceSource::Copy(InstanceCopy::Run {
        instance: None,
        id: id.parse().expect("a number"),
    });

    // That is another copy, and no longer in the way of it is what failed.
    let (restored, _) = project
        .restore_instance(&back, Some("main"))
        .await
        .expect("back");
    assert_ne!(
        restored.before.to_string(),
        id,
        "the instance was in service"
    );
    assert_eq!(world.count(&world.instance, "lines").await, 10);
    project
        .restore_instance(&from, Some("main"))
        .await
        .expect("and again");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    world.google.assert_clean();
}

#[tokio::test]
async fn what_came_in_between_two_attempts_is_kept() {
    let world = World::new().await;
    let project = world.project(&with_runs(&world)).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let from = InstanceSource::Backup(summary.id);
    world.google.deny("sql.instances.restoreBackup");
    let refused = project.restore_instance(&from, Some("main")).await;
    refused.expect_err("it is refused");
    // Weeks later, for all that anybody knows.
    world.sql("app", "delete from lines where id > 7").await;
    world.google.allow("sql.instances.restoreBackup");
    let restored = project.restore_instance(&from, Some("main")).await;
    let (restored, _) = restored.expect("restored");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    let back = InstanceSource::Copy(InstanceCopy::Run {
        instance: None,
        id: restored.before,
    });
    project
        .restore_instance(&back, Some("main"))
        .await
        .expect("back");
    assert_eq!(world.count(&world.instance, "lines").await, 7);
    world.google.assert_clean();
}
