//! A run that replaces a server is killed wherever it tells what it is about to do, and one command
//! goes on or back.

use std::sync::Arc;

use futures::StreamExt;

use super::replace::{HOW, filled, rows, server, volume, volume_state};
use super::*;
use crate::engine::Report;
use crate::model::RunId;
use crate::testing::killer::Killer;

/// How many clusters there are at the same time.
const AT_ONCE: usize = 3;

/// What a run that replaces a server tells besides its steps.
const NOTES: &[&str] = &[
    "volume", "stopping", "deleting", "applying", "claim", "making", "the new",
];

/// Does `verb` with a project in a task of its own, which ends where `killer` says.
async fn until_killed<F>(
    world: &World,
    killer: Arc<Killer>,
    verb: impl FnOnce(Project) -> F,
) -> Option<Report>
where
    F: Future<Output = crate::Result<Report>> + Send + 'static,
{
    let text = world.replacing("", HOW);
    let opened = world.open_with(&text, killer.clone()).await;
    killer.watch(verb(opened.expect("a project"))).await
}

async fn run(project: Project) -> crate::Result<Report> {
    project.run(None, None).await
}

/// Goes on, or back.
async fn then(world: &World, run: RunId, resume: bool) -> Report {
    let report = until_killed(world, Arc::default(), |project| async move {
        match resume {
            true => project.resume(&run).await,
            false => project.rollback(&run, None, true).await,
        }
    });
    report.await.expect("nobody kills it")
}

async fn last_run(world: &World) -> RunId {
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let runs = project.runs().await.expect("runs");
    runs.first().expect("a run").id.clone()
}

/// Everything is as it should be, whichever of the servers is in service.
async fn settled(world: &World, old: (&str, &str), back: bool, at: &str) {
    let told = world.told.text();
    assert_eq!(rows(world).await, "100", "{at}");
    let (volume_now, server_now) = (volume(world).await, server(world).await);
    assert_eq!(server_now == old.0, back, "{at}: {told}");
    assert_eq!(volume_now == old.1, back, "{at}: {told}");
    let wanted = match back {
        true => ("Bound", "Delete"),
        false => ("Released", "Retain"),
    };
    let (phase, policy) = volume_state(world, old.1).await;
    assert_eq!((&*phase, &*policy), wanted, "{at}: {told}");
    assert_eq!(world.names("lease").await, [""; 0], "{at}");
    assert_eq!(world.names("claim").await, ["data-db-0"], "{at}");
}

#[tokio::test]
async fn killed_on_the_way_there() {
    let world = filled().await;
    let clean = Arc::new(Killer::default());
    let report = until_killed(&world, clean.clone(), run)
        .await
        .expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let points = clean.points("step-started retire", "step-started restore", NOTES);
    assert!(points.len() >= 10, "{points:#?}");
    world.end().await;

    let rounds = points.iter().enumerate().map(|(n, point)| async move {
        let world = filled().await;
        let (old_server, old_volume) = (server(&world).await, volume(&world).await);
        let killer = Killer::at(point);
        let report = until_killed(&world, killer.clone(), run).await;
        assert!(report.is_none() && killer.struck(), "{point}: {report:?}");
        assert!(world.get("volume", &old_volume).await.is_some(), "{point}");
        let resume = n % 2 == 0;
        let report = then(&world, last_run(&world).await, resume).await;
        let wanted = if resume {
            Ending::Done
        } else {
            Ending::RolledBack
        };
        assert_eq!(report.ending, wanted, "{point}: {report:?}");
        settled(&world, (&old_server, &old_volume), !resume, point).await;
        world.end().await;
    });
    let done = futures::stream::iter(rounds).buffer_unordered(AT_ONCE);
    assert_eq!(done.count().await, points.len());
}

#[tokio::test]
async fn killed_on_the_way_back() {
    let world = filled().await;
    let report = until_killed(&world, Arc::default(), run)
        .await
        .expect("a run");
    let clean = Arc::new(Killer::default());
    let back =
        |id: RunId| |project: Project| async move { project.rollback(&id, None, true).await };
    let way_back = until_killed(&world, clean.clone(), back(report.run)).await;
    assert_eq!(way_back.expect("a way back").ending, Ending::RolledBack);
    let points = clean.points("undo-started retire", "undo-finished retire", NOTES);
    assert!(points.len() >= 8, "{points:#?}");
    world.end().await;

    let rounds = points.iter().map(|point| async move {
        let world = filled().await;
        let (old_server, old_volume) = (server(&world).await, volume(&world).await);
        let report = until_killed(&world, Arc::default(), run)
            .await
            .expect("a run");
        let new_volume = volume(&world).await;
        let killer = Killer::at(point);
        let id = report.run;
        let again = id.clone();
        let verb = |project: Project| async move { project.rollback(&id, None, true).await };
        let killed = until_killed(&world, killer.clone(), verb).await;
        assert!(killed.is_none() && killer.struck(), "{point}: {killed:?}");
        for kept in [&old_volume, &new_volume] {
            assert!(world.get("volume", kept).await.is_some(), "{point}");
        }
        let report = then(&world, again, false).await;
        assert_eq!(report.ending, Ending::RolledBack, "{point}: {report:?}");
        settled(&world, (&old_server, &old_volume), true, point).await;
        let (phase, policy) = volume_state(&world, &new_volume).await;
        assert_eq!((&*phase, &*policy), ("Released", "Retain"), "{point}");
        world.end().await;
    });
    let done = futures::stream::iter(rounds).buffer_unordered(AT_ONCE);
    assert_eq!(done.count().await, points.len());
}
