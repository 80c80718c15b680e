//! The right to write to a bucket goes, whatever becomes of the export and of whoever asked for it.

use std::sync::Arc;

use super::*;
use crate::journal::Ending;

fn granting(world: &World) -> String {
    world.google.create_bucket("exports");
    let socket = world.socket();
    world.spec(&format!(
        "{socket}export = {{ to = \"gs://exports\", timeout = \"20s\", grant = true }}\n"
    ))
}

async fn has_right(world: &World) -> bool {
    world.policy("exports").await.contains("gcp-sa-cloud-sql")
}

fn notes(world: &World) -> usize {
    let granted = world.folder().join("store/cloudsql/granted");
    std::fs::read_dir(granted).map_or(0, Iterator::count)
}

/// The process ends while the export goes on; then the export ends, and the run goes on.
#[tokio::test]
async fn a_right_that_a_killed_run_left_goes_when_it_goes_on() {
    let world = World::new().await;
    let spec = granting(&world);
    let export = "sql.instances.export";
    let held = world.google.fault_operation(export, OperationFault::Hold);
    let project = world.project(&spec).await.expect("a project");
    let task = tokio::spawn(async move { project.run(None, None).await });
    held.strikes().await;
    task.abort();
    assert!(task.await.expect_err("it was ended").is_cancelled());
    assert!(has_right(&world).await);
    assert_eq!(notes(&world), 1);
    held.release();
    let bucket = world.google.bucket("exports");
    until("the export ends", || bucket.names().len() == 1).await;

    let project = world.project(&spec).await.expect("a project");
    let runs = project.runs().await.expect("runs");
    let id = runs.first().expect("a run").id.clone();
    let report = Box::pin(project.resume(&id)).await.expect("a report");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(world.google.calls(export).len(), 1);
    assert!(!has_right(&world).await);
    assert_eq!(notes(&world), 0);
    world.google.assert_clean();
}

/// The process ends before it hears that the right is given; another backup is taken later.
#[tokio::test]
async fn a_right_that_a_killed_process_left_goes_with_the_next_export() {
    let world = World::new().await;
    let spec = granting(&world);
    let fault = Fault::once("storage.buckets.setIamPolicy", Strike::HoldAnswer);
    let held = world.google.fault(fault);
    let project = world.project(&spec).await.expect("a project");
    let task = tokio::spawn(async move { project.backup().await });
    held.strikes().await;
    task.abort();
    assert!(task.await.expect_err("it was ended").is_cancelled());
    held.release();
    assert!(has_right(&world).await);
    assert_eq!(notes(&world), 1);

    let project = world.project(&spec).await.expect("a project");
    assert!(project.backup().await.expect("a backup").1.passed());
    assert!(!has_right(&world).await);
    assert_eq!(notes(&world), 0);
    world.google.assert_clean();
}

#[tokio::test]
async fn of_an_export_and_its_right_that_both_fail_the_export_is_told_first() {
    let world = World::new().await;
    let spec = granting(&world);
    let failure = Failure::new("EXPORT_FAILED", "pg_dump: error: connection lost");
    let export = "sql.instances.export";
    world
        .google
        .fault_operation(export, OperationFault::Fail(failure));
    let stays = world.google.fault(Fault {
        skip: 1,
        ..Fault::once(
            "storage.buckets.setIamPolicy",
            Strike::answer(403, "no right to change rights"),
        )
    });
    let told = Arc::new(Told::default());
    let project = world.project_told(&spec, told.clone()).await;
    let e = project.backup().await.expect_err("it fails");
    assert_eq!(stays.struck(), 1);
    assert!(e.chain().contains("connection lost"), "{e:?}");
    assert!(told.has("still has the right to write to gs://exports"));
    assert!(told.has("no right to change rights"));
    assert!(has_right(&world).await);
    assert_eq!(notes(&world), 1);

    // The right alone is an error as well, with what to do about it.
    world.google.fault(Fault::once(
        "storage.buckets.setIamPolicy",
        Strike::answer(403, "no right to change rights"),
    ));
    let e = project.backup().await.expect_err("the right stays");
    assert!(e.to_string().contains("still has the right"), "{e:?}");
    let advice = e.advice().expect("advice");
    assert!(
        advice.contains("remove-iam-policy-binding gs://exports --member=serviceAccount:"),
        "{advice}"
    );
    assert!(project.backup().await.expect("a backup").1.passed());
    assert!(!has_right(&world).await);
    assert_eq!(notes(&world), 0);
    world.google.assert_clean();
}

#[tokio::test]
async fn trouble_with_the_bucket_is_waited_out() {
    let world = World::new().await;
    let spec = granting(&world);
    let quota = Strike::answer(429, "too many requests for this bucket");
    let away = Strike::answer(503, "try again");
    let mut struck = Vec::new();
    for (method, strike) in [
        ("storage.objects.get", quota.clone()),
        ("storage.objects.get", away.clone()),
        ("storage.buckets.getIamPolicy", quota.clone()),
        ("storage.buckets.getIamPolicy", away.clone()),
        ("storage.buckets.setIamPolicy", away.clone()),
        ("storage.buckets.setIamPolicy", Strike::CloseAfter),
        ("storage.buckets.setIamPolicy", quota.clone()),
        ("storage.objects.delete", quota),
        ("storage.objects.delete", away),
    ] {
        struck.push(world.google.fault(Fault::once(method, strike)));
    }
    let project = world.project(&spec).await.expect("a project");
    let (older, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert!(!has_right(&world).await);
    project.backup().await.expect("a backup");
    let gone = project.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [older.id]);
    assert_eq!(world.google.bucket("exports").names().len(), 1);
    for (n, fault) in struck.iter().enumerate() {
        assert_eq!(fault.struck(), 1, "{n}");
    }
    world.google.assert_clean();
}

#[tokio::test]
async fn an_object_with_nothing_in_it_is_no_export() {
    let world = World::new().await;
    let spec = granting(&world);
    let project = world.project(&spec).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let object = format!("{}.sql.gz", summary.id);
    world.google.bucket("exports").put(&object, "");
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert!(
        verdict.complaints()[0].contains("cut short or damaged"),
        "{verdict:?}"
    );

    // An export that ends well, and whose object is empty.
    world.google.on("storage.objects.get", |call| async move {
        let (bucket, name) = (call.param("bucket"), call.param("object"));
        Ok(serde_json::json!({
            "kind": "storage#object", "bucket": bucket, "name": name, "size": "0",
        })
        .into())
    });
    let e = project.backup().await.expect_err("it is empty");
    assert!(e.chain().contains(".sql.gz is empty"), "{e:?}");
    world.google.assert_clean();
}
