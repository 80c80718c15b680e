//! What the instance keeps besides the rows.

use std::sync::Arc;

use super::*;
use crate::journal::Ending;
use crate::model::BackupId;
use crate::project::Project;

/// A bucket, and what asks for everything.
fn everything(world: &World) -> String {
    world.google.create_bucket("exports");
    format!(
        "{}backup_run = {{}}\nexport = {{ to = \"gs://exports/daily\", grant = true }}\n",
        world.socket()
    )
}

#[tokio::test]
async fn a_backup_has_a_run_and_an_export_besides_and_each_is_looked_at() {
    let world = World::new().await;
    let spec = world.spec(&everything(&world));
    let project = world.project(&spec).await.expect("a project");
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(summary.rows, 2500);

    let looked_at = |name: &str| {
        let mut checks = verdict.checks.iter();
        let check = checks.find(|c| c.name.contains(name));
        check.expect(name).looked_at.clone()
    };
    let run = looked_at("backup of instance shop:europe-west1:main");
    assert!(run.contains("SUCCESSFUL"), "{run}");
    let object = format!("daily/{}.sql.gz", summary.id);
    let export = looked_at(&format!("gs://exports/{object}"));
    assert!(export.ends_with("2500 rows of 2 tables"), "{export}");
    let bucket = world.google.bucket("exports");
    assert_eq!(bucket.names(), [&*object]);

    // What was given to the instance's account is gone, and the note of it.
    let policy = world.policy("exports").await;
    assert!(!policy.contains("gcp-sa-cloud-sql"), "{policy}");
    let granted = world.folder().join("store/cloudsql/granted");
    let left = std::fs::read_dir(granted).map_or(0, Iterator::count);
    assert_eq!(left, 0);

    // One that is cut short is found by reading it, and one that is gone by looking for it.
    let whole = bucket.get(&object).expect("the export");
    bucket.put(&object, whole.slice(..whole.len() / 2));
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    let complaints = verdict.complaints();
    assert!(
        complaints[0].contains("cut short or damaged"),
        "{complaints:?}"
    );
    bucket.remove(&object);
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert!(
        verdict.complaints()[0].contains("is not there"),
        "{verdict:?}"
    );
    world.google.assert_clean();
}

#[tokio::test]
async fn a_run_shows_the_instance_and_rebuilds_in_it_without_a_superuser() {
    let world = World::new().await;
    let spec = world.spec(&everything(&world));
    let recovery = serde_json::json!({"settings": {"backupConfiguration": {
        "enabled": true, "pointInTimeRecoveryEnabled": true, "transactionLogRetentionDays": 5,
    }}});
    world
        .admin(reqwest::Method::PATCH, "instances/main", recovery)
        .await;
    let project = world.project(&spec).await.expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let shown = plan.render();
    for line in [
        "point-in-time recovery: on, 5 days",
        "shop:europe-west1:main: RUNNABLE, POSTGRES_",
        "deletion protection: off",
        "deletion protection of instance shop:europe-west1:main is off",
        "back up schema and rows; an on-demand backup of the whole instance; an export of the \
         database below gs://exports/daily, for which its account may write there as long as it lasts",
        "postgres@app at instance shop:europe-west1:main",
    ] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }

    let report = project.run(Some(&plan), None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    let shown = project.plan(false).await.expect("a plan").render();
    assert!(shown.contains("SUCCESSFUL, ON_DEMAND"), "{shown}");

    let report = project.rollback(&report.run, None, false).await;
    assert_eq!(report.expect("a rollback").ending, Ending::RolledBack);
    assert_eq!(world.count(&world.instance, "lines").await, 2000);
    world.google.assert_clean();
}

/// Of everything that was made with backups, what belongs to `id` alone is there.
async fn assert_alone_left(world: &World, project: &Project, id: &BackupId) {
    let left = format!("daily/{id}.sql.gz");
    assert_eq!(world.google.bucket("exports").names(), [&*left]);
    let survey = project.status(false).await.expect("a status").survey;
    let backups = survey.instance.expect("the instance").backups;
    let descriptions: Vec<&str> = backups.iter().map(|b| &*b.description).collect();
    assert_eq!(descriptions, [format!("rebuild {id}")]);
}

#[tokio::test]
async fn what_belongs_to_a_pruned_backup_goes_with_it() {
    let world = World::new().await;
    let spec = world.spec(&everything(&world));
    let project = world.project(&spec).await.expect("a project");
    let (older, _) = project.backup().await.expect("a backup");
    let (newer, _) = project.backup().await.expect("a backup");
    let gone = project.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [older.id]);
    assert_alone_left(&world, &project, &newer.id).await;
    world.google.assert_clean();
}

#[tokio::test]
async fn what_a_prune_that_was_cut_off_has_left_goes_with_the_next() {
    let world = World::new().await;
    let spec = world.spec(&everything(&world));
    let project = world.project(&spec).await.expect("a project");
    let (older, _) = project.backup().await.expect("a backup");
    let (newer, _) = project.backup().await.expect("a backup");
    let refused = world.google.fault(Fault::once(
        "sql.backupRuns.delete",
        Strike::answer(403, "no right to delete runs"),
    ));
    let failed = project.prune_backups(Some(1), None, true).await;
    let error = failed.expect_err("the run may not be deleted");
    assert!(error.is_half_way(), "{error:?}");
    let error = error.chain();
    assert!(error.contains("no right to delete runs"), "{error}");
    assert_eq!(refused.struck(), 1);
    let listed = project.backups().await.expect("a list");
    let listed: Vec<_> = listed.iter().map(|b| &b.id).collect();
    assert_eq!(
        listed,
        [&newer.id],
        "the rows are gone, and what belongs to them is not"
    );
    let of_older = format!("daily/{}.sql.gz", older.id);
    assert!(world.google.bucket("exports").names().contains(&of_older));

    let told = Arc::new(Told::default());
    let looking = world.project_told(&spec, told.clone()).await;
    let outlook = looking.prune_backups(Some(1), None, false).await;
    assert_eq!(outlook.expect("an outlook"), []);
    assert!(told.has(&format!("has left of {} goes as well", older.id)));
    let gone = project.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [older.id]);
    assert_alone_left(&world, &project, &newer.id).await;
    let again = project.prune_backups(Some(1), None, true).await;
    assert_eq!(again.expect("nothing to do"), []);
    world.google.assert_clean();
}
