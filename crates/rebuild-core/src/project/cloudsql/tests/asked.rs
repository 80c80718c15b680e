//! What is missed of a backup is what was asked for when it was taken.

use super::*;

fn with_everything(world: &World) -> String {
    let socket = world.socket();
    world.spec(&format!(
        "{socket}backup_run = {{}}\nexport = {{ to = \"gs://exports/daily\", grant = true }}\n"
    ))
}

#[tokio::test]
async fn what_was_asked_for_later_is_not_missed() {
    let world = World::new().await;
    world.google.create_bucket("exports");
    let plain = world.project(&world.spec(&world.socket())).await;
    let (older, _) = plain.expect("a project").backup().await.expect("a backup");
    let project = world.project(&with_everything(&world)).await;
    let project = project.expect("a project");
    let (_, verdict) = project.check_backup(&older.id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");
    let told = |name: &str| {
        let mut checks = verdict.checks.iter();
        let check = checks.find(|check| check.name.contains(name));
        check.expect(name).looked_at.clone()
    };
    for name in ["backup of instance", "gs://exports/daily/"] {
        assert_eq!(told(name), "none: the backup was taken without");
    }
    let gone = {
        project.backup().await.expect("a backup");
        project.prune_backups(Some(1), None, true).await
    };
    assert_eq!(gone.expect("pruned"), [older.id]);
    world.google.assert_clean();
}

#[tokio::test]
async fn what_was_asked_for_then_is_missed_and_removed_whatever_the_spec_says_today() {
    let world = World::new().await;
    world.google.create_bucket("exports");
    let everything = with_everything(&world);
    let project = world.project(&everything).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let plain = world.spec(&world.socket());
    let elsewhere = everything.replace("exports/daily", "exports/weekly");
    for spec in [&plain, &elsewhere] {
        let project = world.project(spec).await.expect("a project");
        let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
        assert!(verdict.passed(), "{verdict:?}");
        assert!(
            verdict
                .checks
                .iter()
                .any(|c| c.name.contains("gs://exports/daily/")),
            "{verdict:?}"
        );
    }

    let project = world.project(&plain).await.expect("a project");
    let object = format!("daily/{}.sql.gz", summary.id);
    let bucket = world.google.bucket("exports");
    let whole = bucket.get(&object).expect("the export");
    bucket.remove(&object);
    let run = world.google.calls("sql.backupRuns.insert").len();
    assert_eq!(run, 1);
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert!(
        verdict.complaints()[0].contains("is not there"),
        "{verdict:?}"
    );
    bucket.put(&object, whole);

    let (newer, _) = project.backup().await.expect("a backup");
    let gone = project.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [summary.id]);
    assert_eq!(bucket.names(), [""; 0]);
    let survey = project.status(false).await.expect("a status").survey;
    assert!(survey.instance.expect("the instance").backups.is_empty());
    let notes = world.folder().join("store/cloudsql/besides");
    assert_eq!(std::fs::read_dir(notes).map_or(0, Iterator::count), 0);
    let (_, verdict) = project.check_backup(&newer.id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");
    world.google.assert_clean();
}

/// The API lists a run, which is whole, with some fields other than they were.
fn listed_as(world: &World, id: &crate::model::BackupId, changed: Value) {
    let mut run = serde_json::json!({
        "kind": "sql#backupRun", "id": "17", "instance": "main", "type": "ON_DEMAND",
        "status": "SUCCESSFUL", "description": format!("rebuild {id}"),
        "startTime": "2026-11-22T02:00:00.000Z", "endTime": "2026-11-22T02:01:00.000Z",
        "maxChargeableBytes": "2048",
    });
    let fields = run.as_object_mut().expect("an object");
    for (name, value) in changed.as_object().expect("an object") {
        match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.clone(), value.clone()),
        };
    }
    let answer = serde_json::json!({"kind": "sql#backupRunsList", "items": [run]});
    world.google.on("sql.backupRuns.list", move |_| {
        let answer = answer.clone();
        async move { Ok(answer.into()) }
    });
}

#[tokio::test]
async fn a_run_must_have_ended_and_hold_something_and_an_unknown_size_is_told() {
    let world = World::new().await;
    let spec = world.spec(&format!("{}backup_run = {{}}\n", world.socket()));
    let told = std::sync::Arc::new(Told::default());
    let project = world.project_told(&spec, told.clone()).await;
    let (summary, _) = project.backup().await.expect("a backup");
    for (changed, why) in [
        (
            serde_json::json!({"endTime": null}),
            "does not say when it ended",
        ),
        (serde_json::json!({"maxChargeableBytes": "0"}), "is empty"),
    ] {
        listed_as(&world, &summary.id, changed);
        let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
        let complaints = verdict.complaints().join("; ");
        assert!(
            complaints.ends_with(&format!("backup run 17 {why}")),
            "{complaints}"
        );
    }
    let unknown = "does not say how large backup run 17 is";
    assert!(!told.has(unknown));
    let sizeless = serde_json::json!({"maxChargeableBytes": null});
    listed_as(&world, &summary.id, sizeless);
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");
    let looked_at = &verdict.checks.last().expect("a check").looked_at;
    assert!(looked_at.ends_with("of unknown size"), "{looked_at}");
    assert!(told.has(unknown));
    world.google.assert_clean();
}
