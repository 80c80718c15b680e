//! A run that replaces an instance is killed wherever it tells what it is about to do, and one command goes
//! on or back.

use std::sync::Arc;

use futures::StreamExt;

use super::replace::{kept, replacing, server_and_rows};
use super::*;
use crate::engine::Report;
use crate::journal::Ending;
use crate::model::RunId;
use crate::testing::killer::Killer;

/// What such a run tells besides its steps.
const NOTES: &[&str] = &[
    "the backups",
    "instance",
    "deleting",
    "the instance",
    "making",
];

/// How many worlds there are at the same time.
const AT_ONCE: usize = 2;

async fn run(world: &World, spec: &str, killer: &Arc<Killer>) -> Option<Report> {
    let project = world.project_told(spec, killer.clone()).await;
    killer
        .watch(async move { project.run(None, Some("app")).await })
        .await
}

async fn back(world: &World, spec: &str, killer: &Arc<Killer>, run: &RunId) -> Option<Report> {
    let project = world.project_told(spec, killer.clone()).await;
    let run = run.clone();
    killer
        .watch(async move { project.rollback(&run, None, true).await })
        .await
}

async fn last_run(world: &World, spec: &str) -> RunId {
    let project = world.project(spec).await.expect("a project");
    let runs = project.runs().await.expect("runs");
    runs.first().expect("a run").id.clone()
}

async fn resume(world: &World, spec: &str, run: &RunId) -> Report {
    let project = world.project(spec).await.expect("a project");
    Box::pin(project.resume(run)).await.expect("a report")
}

/// At any moment there is the old instance, or a backup of it that outlived it. `account` is the old
/// one's, which no other has.
async fn a_copy_is_there(world: &World, account: &str, at: &str) {
    let now = world.google.sql_instance(PROJECT, "main");
    let there = now.is_some_and(|now| now.service_account() == account);
    let kept = kept(world).await;
    assert!(
        there || kept.iter().any(|word| word.ends_with(" old")),
        "{at}: {kept:?}"
    );
}

#[tokio::test]
async fn killed_on_the_way_there() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let clean = Arc::new(Killer::default());
    let report = run(&world, &spec, &clean).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let points = clean.points("step-started retire", "step-started schema", NOTES);
    assert!(points.len() >= 7, "{points:#?}");

    let rounds = points.iter().enumerate().map(|(n, point)| async move {
        let world = World::new().await;
        let spec = replacing(&world, "", "");
        let (old, rows) = server_and_rows(&world).await;
        let account = world.instance.service_account();
        let killer = Killer::at(point);
        let report = Box::pin(run(&world, &spec, &killer)).await;
        assert!(report.is_none() && killer.struck(), "{point}: {report:?}");
        a_copy_is_there(&world, &account, point).await;
        let id = last_run(&world, &spec).await;
        let (report, wanted) = match n % 2 {
            0 => (Some(resume(&world, &spec, &id).await), Ending::Done),
            _ => (
                back(&world, &spec, &Arc::default(), &id).await,
                Ending::RolledBack,
            ),
        };
        let report = report.expect("nobody kills it");
        assert_eq!(report.ending, wanted, "{point}: {report:?}");
        let (now, found) = server_and_rows(&world).await;
        assert_eq!((now == old, found), (n % 2 != 0, rows), "{point}");
        let kept = kept(&world).await;
        assert!(
            kept.iter().filter(|word| word.ends_with(" old")).count() <= 1,
            "{kept:?}"
        );
        world.google.assert_clean();
    });
    let done = futures::stream::iter(rounds).buffer_unordered(AT_ONCE);
    assert_eq!(done.count().await, points.len());
}

#[tokio::test]
async fn killed_on_the_way_back() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let report = run(&world, &spec, &Arc::default()).await.expect("a run");
    let clean = Arc::new(Killer::default());
    let way_back = back(&world, &spec, &clean, &report.run)
        .await
        .expect("a way back");
    assert_eq!(way_back.ending, Ending::RolledBack, "{way_back:?}");
    let points = clean.points("undo-started retire", "undo-finished retire", NOTES);
    assert!(points.len() >= 3, "{points:#?}");

    for point in &points {
        let world = World::new().await;
        let spec = replacing(&world, "", "");
        let (old, rows) = server_and_rows(&world).await;
        let account = world.instance.service_account();
        let report = run(&world, &spec, &Arc::default()).await.expect("a run");
        let killer = Killer::at(point);
        let killed = back(&world, &spec, &killer, &report.run).await;
        assert!(killed.is_none() && killer.struck(), "{point}: {killed:?}");
        a_copy_is_there(&world, &account, point).await;
        let report = back(&world, &spec, &Arc::default(), &report.run).await;
        let report = report.expect("nobody kills it");
        assert_eq!(report.ending, Ending::RolledBack, "{point}: {report:?}");
        assert_eq!(server_and_rows(&world).await, (old, rows), "{point}");
        assert_eq!(kept(&world).await.len(), 2, "{point}");
        world.google.assert_clean();
    }
}

#[tokio::test]
async fn a_deletion_goes_on_without_whoever_began_it() {
    let world = World::new().await;
    let spec = replacing(&world, "", "");
    let (old, rows) = server_and_rows(&world).await;
    let delete = "sql.instances.delete";
    let held = world.google.fault_operation(delete, OperationFault::Hold);
    let project = world.project(&spec).await.expect("a project");
    let task = tokio::spawn(async move { project.run(None, Some("app")).await });
    held.strikes().await;
    task.abort();
    assert!(task.await.expect_err("it was ended").is_cancelled());
    let id = last_run(&world, &spec).await;
    held.release();
    let report = back(&world, &spec, &Arc::default(), &id).await;
    let report = report.expect("nobody kills it");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    assert_eq!(world.google.calls(delete).len(), 1);
    assert_eq!(server_and_rows(&world).await, (old, rows));
    world.google.assert_clean();
}
