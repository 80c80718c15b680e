//! Whole runs with their journal in a bucket, while its server misbehaves.

use super::door::creates;
use super::{Fault, Gs, S3, Server};
use crate::world::{ASIDE, State, Target, World};

async fn target<'a>(world: &'a World, server: &impl Server) -> Target<'a> {
    let mut target = world.target("app", ASIDE).await;
    target.edit_spec(
        "url = \"store\"",
        &format!("url = \"{}\"", server.url("app")),
    );
    target.environment = server.variables();
    target
}

/// The journal, the backup and the way back, all through a server that is busy now and then.
#[tokio::test]
async fn a_run_is_journalled_in_a_bucket_and_rolled_back() {
    let (world, server) = (World::start().await, S3::start().await);
    let target = target(&world, &server).await;
    let (old, oid) = (State::of(&target).await, target.oid().await);
    let busy = Fault::Refuse(503, "SlowDown");
    for skip in [0, 5, 10, 15] {
        server.door().plan(busy.clone(), skip, 1, creates);
    }
    server
        .door()
        .plan(busy, 3, 2, |request| request.method() == "GET");
    server.door().plan(Fault::LoseTheAnswer, 12, 1, creates);

    let report = target.rebuild_json(&["run"]).await.expect(0).json();
    assert_eq!(report["ending"], "done");
    assert_eq!(server.door().left(), 0, "each fault struck");
    assert_ne!(target.oid().await, oid);
    let runs = target
        .rebuild_json(&["runs", "list"])
        .await
        .expect(0)
        .json();
    assert_eq!(runs[0]["id"], report["run"]);

    target.rebuild(&["rollback"]).await.expect(0);
    assert_eq!(target.oid().await, oid);
    State::of(&target).await.expect(&old, "after the way back");
}

/// Rows stay where they are when the store goes away, and the run goes on when it is back.
#[tokio::test]
async fn a_store_that_dies_in_a_run_stops_it_and_the_run_is_taken_up_again() {
    let (world, server) = (World::start().await, S3::start().await);
    let target = target(&world, &server).await;
    let (old, oid) = (State::of(&target).await, target.oid().await);
    server.door().plan(Fault::Die, 12, 1, creates);
    let run = target.rebuild(&["run"]).await;
    assert_eq!(server.door().left(), 0, "it died");
    assert!(run.code().is_some_and(|code| code != 0), "{run:?}");
    assert!(run.stderr.contains("could not be asked"), "{}", run.stderr);
    world.settle().await;
    assert_eq!(target.oid().await, oid);
    // It may still be set read-only: nothing can be undone without its journal.
    let now = State::of(&target).await;
    assert_eq!((now.tables, now.schema), (old.tables, old.schema));

    server.door().open_again().await;
    target.rebuild(&["resume"]).await.expect(0);
    assert_ne!(target.oid().await, oid);
    assert!(target.name_of(oid).await.is_some(), "the old one is kept");
}

/// Two processes cannot be kept apart by a server that writes over what is there.
#[tokio::test]
async fn no_run_begins_on_a_store_that_ignores_conditions() {
    let (world, server) = (World::start().await, Gs::start().await);
    let target = target(&world, &server).await;
    let oid = target.oid().await;
    server.door().plan(Fault::ForgetConditions, 0, 100, creates);
    let run = target.rebuild(&["run"]).await.expect(3);
    assert!(run.stderr.contains("If-None-Match"), "{}", run.stderr);
    assert_eq!(target.oid().await, oid);
    server.door().end_faults();
    target.rebuild(&["run"]).await.expect(0);
}
