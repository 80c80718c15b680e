//! What the API does when it does not do what it should.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::ErrorKind;

fn with_run(world: &World) -> String {
    world.spec(&format!(
        "{}backup_run = {{ timeout = \"20s\" }}\n",
        world.socket()
    ))
}

fn with_export(world: &World, more: &str) -> String {
    world.google.create_bucket("exports");
    let socket = world.socket();
    world.spec(&format!(
        "{socket}export = {{ to = \"gs://exports\", timeout = \"20s\"{more} }}\n"
    ))
}

/// The error of a backup by this spec, which leaves no backup behind.
async fn failed(world: &World, spec: &str) -> crate::Error {
    let project = world.project(spec).await.expect("a project");
    project.backup().await.expect_err("it fails")
}

#[tokio::test]
async fn what_passes_by_itself_is_waited_out() {
    let world = World::new().await;
    let spec = with_run(&world);
    let quota = Strike::answer(429, "Quota exceeded for quota metric");
    let mut struck = Vec::new();
    for (method, strike) in [
        ("sql.backupRuns.list", quota),
        ("sql.backupRuns.list", Strike::answer(503, "try again")),
        ("sql.backupRuns.insert", Strike::answer(500, "oh")),
        ("sql.backupRuns.insert", Strike::CloseAfter),
        ("sql.backupRuns.list", Strike::Truncate),
    ] {
        struck.push(world.google.fault(Fault::once(method, strike)));
    }
    let project = world.project(&spec).await.expect("a project");
    let (_, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert!(struck.iter().all(|fault| fault.struck() == 1));
    let survey = project.status(false).await.expect("a status").survey;
    assert_eq!(survey.instance.expect("the instance").backups.len(), 1);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_token_that_runs_out_midway_is_replaced() {
    let world = World::new().await;
    let fault = Fault::once("sql.backupRuns.insert", Strike::ExpireTokens);
    let struck = world.google.fault(fault);
    let project = world.project(&with_run(&world)).await.expect("a project");
    let (_, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(struck.struck(), 1);
    assert!(world.google.calls("oauth2.token").len() > 1);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_backup_that_failed_is_no_backup() {
    let world = World::new().await;
    let spec = with_run(&world);
    let disk = Failure::new("INTERNAL_ERROR", "the disk could not be copied");
    let fault = OperationFault::Fail(disk);
    world.google.fault_operation("sql.backupRuns.insert", fault);
    let e = failed(&world, &spec).await;
    assert!(
        e.chain()
            .contains("a backup of instance shop:europe-west1:main: failed"),
        "{e:?}"
    );
    assert!(e.chain().contains("FAILED"), "{e:?}");
    // The next one is another run, and well.
    let project = world.project(&spec).await.expect("a project");
    assert!(project.backup().await.expect("a backup").1.passed());
    world.google.assert_clean();
}

#[tokio::test]
async fn who_may_not_is_told_what_is_missing() {
    let world = World::new().await;
    let spec = with_run(&world);
    world.google.deny("sql.backupRuns.insert");
    let e = failed(&world, &spec).await;
    assert_eq!(e.kind(), ErrorKind::Server, "{e:?}");
    assert!(
        e.advice().is_some_and(|a| a.contains("need a role for it")),
        "{e:?}"
    );
    world.google.allow("sql.backupRuns.insert");

    let e = failed(&world, &with_export(&world, "")).await;
    let advice = e.advice().expect("advice").to_owned();
    assert!(
        advice.contains("roles/storage.objectAdmin on gs://exports"),
        "{e:?}"
    );
    assert!(
        world
            .google
            .calls("storage.buckets.setIamPolicy")
            .is_empty()
    );

    let spec = with_export(&world, ", grant = true");
    world.google.bucket("exports").deny();
    let e = failed(&world, &spec).await;
    assert!(e.chain().contains("exports"), "{e:?}");
    world.google.assert_clean();
}

#[tokio::test]
async fn an_export_that_failed_leaves_no_right_behind() {
    let world = World::new().await;
    let spec = with_export(&world, ", grant = true");
    let failure = Failure::new("EXPORT_FAILED", "pg_dump: error: connection lost");
    for fault in [
        OperationFault::Fail(failure.clone()),
        OperationFault::FailAfter(failure),
    ] {
        world.google.fault_operation("sql.instances.export", fault);
        let e = failed(&world, &spec).await;
        assert!(e.chain().contains("connection lost"), "{e:?}");
        let policy = world.policy("exports").await;
        assert!(!policy.contains("gcp-sa-cloud-sql"), "{policy}");
    }
    world.google.assert_clean();
}

#[tokio::test]
async fn an_operation_that_never_ends_is_left_in_time_and_named() {
    let world = World::new().await;
    let spec = with_export(&world, ", grant = true").replace("20s", "2s");
    world
        .google
        .fault_operation("sql.instances.export", OperationFault::Never);
    let e = failed(&world, &spec).await;
    assert_eq!(e.kind(), ErrorKind::Deadline, "{e:?}");
    let advice = e.advice().expect("advice").to_owned();
    assert!(
        advice.starts_with("it goes on by itself: gcloud sql operations describe"),
        "{advice}"
    );
    let policy = world.policy("exports").await;
    assert!(!policy.contains("gcp-sa-cloud-sql"), "{policy}");
    world.google.assert_clean();
}

#[tokio::test]
async fn the_operator_can_leave() {
    let world = World::new().await;
    let spec = with_run(&world).replace("20s", "1h");
    let held = world
        .google
        .fault_operation("sql.backupRuns.insert", OperationFault::Hold);
    let stop = CancellationToken::new();
    let project = world
        .project_until(&spec, stop.clone())
        .await
        .expect("a project");
    let backing_up = tokio::spawn(async move { project.backup().await });
    held.strikes().await;
    stop.cancel();
    let left = tokio::time::timeout(Duration::from_secs(20), backing_up).await;
    let e = left
        .expect("in time")
        .expect("no panic")
        .expect_err("it was left");
    assert_eq!(e.kind(), ErrorKind::Interrupted, "{e:?}");
    held.release();
    world.google.assert_clean();
}
