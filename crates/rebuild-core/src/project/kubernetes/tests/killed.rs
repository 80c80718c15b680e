//! A run that replaces a server is killed wherever it tells what it is about to do, and one command
//! goes on or back.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use tokio::task::AbortHandle;

use super::replace::{HOW, filled, rows, server, volume, volume_state};
use super::*;
use crate::engine::Report;
use crate::event::{Event, Progress, Sink};
use crate::model::RunId;

/// How many clusters there are at the same time.
const AT_ONCE: usize = 3;

/// Ends the task as soon as it tells of `point`; without one, only listens.
#[derive(Default)]
struct Killer {
    point: Option<String>,
    task: Mutex<Option<AbortHandle>>,
    told: Mutex<Vec<String>>,
}

impl Sink for Killer {
    fn event(&self, event: &Event) {
        let text = point(event);
        if self.point.as_ref() == Some(&text)
            && let Some(task) = self.task.lock().expect("no one panics with it").take()
        {
            task.abort();
        }
        self.told.lock().expect("no one panics with it").push(text);
    }

    fn progress(&self, _: &Progress) {}
}

/// What an event tells, without what is another one each time.
fn point(event: &Event) -> String {
    let value = serde_json::to_value(&event.kind).expect("JSON");
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let all = format!("{} {} {}", text("event"), text("step"), text("message"));
    let words = all.split(' ').map(|word| match word.split_once("pvc-") {
        Some((before, _)) => format!("{before}pvc"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

impl Killer {
    fn at(point: &str) -> Arc<Self> {
        Arc::new(Self {
            point: Some(point.to_owned()),
            ..Self::default()
        })
    }

    /// What was told from `first` up to `last`, once each, but for reasons to wait: those depend on
    /// how fast things go.
    fn points(&self, first: &str, last: &str) -> Vec<String> {
        let told = self.told.lock().expect("no one panics with it");
        let place = |what: &str| told.iter().position(|t| t.starts_with(what)).expect(what);
        let mut points: Vec<String> = told[place(first)..=place(last)].to_vec();
        points.retain(|point| {
            let told = point.rsplit("  ").next().unwrap_or_default();
            let begins = [
                "volume", "stopping", "deleting", "applying", "claim", "making", "the new",
            ];
            !point.contains(": ")
                && (!point.starts_with("note") || begins.iter().any(|b| told.starts_with(b)))
        });
        let mut seen = std::collections::BTreeSet::new();
        points.retain(|point| seen.insert(point.clone()));
        points
    }

    fn struck(&self) -> bool {
        self.task.lock().expect("no one panics with it").is_none()
    }
}

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
    let work = verb(opened.expect("a project"));
    let (go, gone) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        gone.await.expect("it is watched");
        work.await
    });
    *killer.task.lock().expect("no one panics with it") = Some(task.abort_handle());
    go.send(()).expect("it waits");
    match task.await {
        Ok(report) => Some(report.expect("a report")),
        Err(e) if e.is_cancelled() => None,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
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
    let points = clean.points("step-started retire", "step-started restore");
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
    let points = clean.points("undo-started retire", "undo-finished retire");
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
