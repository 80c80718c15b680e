//! What is refused before a server is asked anything.

mod partitions;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::journal::{Body, Ending, Journal};
use crate::model::Identity;
use crate::testing::survey::survey;

/// A project whose server does not exist: what is not refused fails to reach it.
struct World {
    project: Project,
    folder: TempDir,
}

impl World {
    async fn new(more: &str) -> Self {
        Self::of(TempDir::new().expect("a folder"), more).await
    }

    /// The same store and target, by another spec.
    async fn with(self, more: &str) -> Self {
        Self::of(self.folder, more).await
    }

    async fn of(folder: TempDir, more: &str) -> Self {
        let host = folder.path().display();
        let text = format!(
            "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql://me@/app?host={host}\"\n{more}"
        );
        let project = Project::of_text(&text, folder.path(), &|_| None).await;
        Self { project, folder }
    }

    /// A run of this moment that has begun.
    async fn begun(&self) -> (RunId, Journal) {
        self.begun_on(None).await
    }

    /// The same, on a target with that comment.
    async fn begun_on(&self, comment: Option<&str>) -> (RunId, Journal) {
        let run = RunId::generate();
        let target = Identity {
            server: "7".to_owned(),
            name: "app".to_owned(),
            uid: "1".to_owned(),
        };
        let mut survey = survey(target);
        survey.inventory.database.comment = comment.map(str::to_owned);
        let plan = self.project.plan_of(survey).expect("a plan");
        let first = Body::RunBegan {
            plan_digest: plan.digest.clone(),
            spec_digest: plan.spec_digest.clone(),
            plan: serde_json::to_value(plan).expect("JSON"),
            program: "test".to_owned(),
        };
        let journal = Journal::create(self.project.store(), &run, first).await;
        (run, journal.expect("a journal"))
    }

    async fn ended(&self, ending: Ending) -> RunId {
        let (run, mut journal) = self.begun().await;
        let ended = journal.append(Body::Ended { ending }).await;
        ended.expect("recorded");
        run
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, why: &str) {
    let e = result.expect_err(why);
    assert_eq!(e.kind(), ErrorKind::Refused, "{e:?}");
    assert!(format!("{e:?}").contains(why), "{why:?} is not in {e:?}");
}

#[track_caller]
fn not_refused<T: std::fmt::Debug>(result: Result<T>) {
    let e = result.expect_err("there is no server");
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{e:?}");
}

#[tokio::test]
async fn a_run_that_has_not_ended_refuses_the_next() {
    let world = World::new("").await;
    let project = &world.project;
    project.refuse_open_run().await.expect("no run yet");
    let (run, mut journal) = world.begun().await;
    let hint = format!("rebuild resume {run}, or rebuild rollback {run}");
    refused(project.refuse_open_run().await, &hint);
    let mut append = async |body| journal.append(body).await.expect("recorded");
    for ending in [Ending::Halted, Ending::Stuck] {
        append(Body::Ended { ending }).await;
        refused(project.refuse_open_run().await, &hint);
        append(Body::Resumed).await;
    }
    refused(project.refuse_open_run().await, &hint);
    let ending = Ending::Done;
    append(Body::Ended { ending }).await;
    project.refuse_open_run().await.expect("it has ended");
}

#[tokio::test]
async fn the_way_back_of_production_is_told_with_the_name_that_it_needs() {
    let world = World::new("target.environment = \"production\"\n").await;
    let (run, _journal) = world.begun().await;
    let hint = format!("rebuild resume {run}, or rebuild rollback {run} --confirm app");
    refused(world.project.refuse_open_run().await, &hint);
    let e = world.project.prune_backups(Some(1), None, true).await;
    refused(e, &hint);
}

#[tokio::test]
async fn what_a_run_set_aside_is_kept_for_its_time() {
    let world = World::new("retention.keep_retired = \"1h\"").await;
    let project = &world.project;
    let (open, _) = world.begun().await;
    refused(project.purge(&open, None, false).await, "has not ended");
    let run = world.ended(Ending::Done).await;
    refused(project.purge(&run, None, false).await, "is kept until");
    refused(project.purge(&run, Some("app"), false).await, "give --now");

    let world = World::new("retention.keep_retired = \"0s\"").await;
    let run = world.ended(Ending::Done).await;
    let summary = world.project.show_run(&run).await.expect("a run");
    world
        .project
        .refuse_retained(&summary)
        .expect("its time is over");
}

#[tokio::test]
async fn nothing_of_production_moves_or_goes_without_its_name() {
    let world = World::new("target.environment = \"production\"").await;
    let project = &world.project;
    let run = world.ended(Ending::Done).await;
    for typed in [None, Some("ap"), Some("postgres")] {
        let back = project.rollback(&run, typed, false).await;
        refused(back, "give --confirm app");
    }
    not_refused(project.rollback(&run, Some("app"), false).await);
    refused(project.purge(&run, None, true).await, "give --confirm app");

    // The label is in the run, and goes with no spec.
    let world = world.with("target.environment = \"staging\"").await;
    let back = world.project.rollback(&run, None, false).await;
    refused(back, "give --confirm app");
    let purge = world.project.purge(&run, None, true).await;
    refused(purge, "give --confirm app");
    // So is what the target says of itself.
    let (run, mut journal) = world.begun_on(Some("the app (rebuild:production)")).await;
    let ending = Ending::Done;
    let ended = journal.append(Body::Ended { ending }).await;
    ended.expect("recorded");
    let back = world.project.rollback(&run, None, false).await;
    refused(back, "give --confirm app");

    let run = world.ended(Ending::Done).await;
    not_refused(world.project.rollback(&run, None, false).await);
    assert!(world.folder.path().join("store").is_dir());
}
