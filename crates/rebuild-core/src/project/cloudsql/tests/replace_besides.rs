//! A backup of the instance that was taken with the run's backup, and outlives the instance with it.

use super::replace::{kept, now, replacing, rollback, run};
use super::*;
use crate::journal::Ending;
use crate::project::InstanceSource;

const OUTLIVED: &str = "which has outlived its instance";

#[tokio::test]
async fn a_run_that_outlived_its_instance_counts_and_goes_with_its_backup() {
    let world = World::new().await;
    let spec = replacing(&world, "backup_run = {}\n", "");
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let project = world.project(&spec).await.expect("a project");
    let backups = project.backups().await.expect("backups");
    let id = backups.first().expect("a backup").id.clone();
    let own = format!("rebuild {id}");
    let old = format!("rebuild {} old", report.run);
    assert_eq!(kept(&world).await, [old, own.clone()]);

    let (_, verdict) = project.check_backup(&id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");
    let looked_at = &verdict.checks.last().expect("a check").looked_at;
    assert!(looked_at.ends_with(OUTLIVED), "{looked_at}");

    // The backup allows what was set aside to go, without a name.
    let gone = project.purge(&report.run, None, true).await;
    assert!(gone.expect("purged").is_some());
    assert_eq!(kept(&world).await, [own]);

    // It can be restored, as could one of the instance that is there.
    world
        .sql_on(&now(&world), "app", "delete from lines where id > 10")
        .await;
    let from = InstanceSource::Backup(id.clone());
    let restoring = project.restore_instance(&from, Some("main"));
    let (_, verdict) = Box::pin(restoring).await.expect("it");
    assert!(verdict.expect("compared").passed());

    let project = world.project(&spec).await.expect("a project");
    project.backup().await.expect("a backup");
    let pruned = project.prune_backups(Some(1), None, true).await;
    assert_eq!(pruned.expect("pruned"), std::slice::from_ref(&id));
    let left = kept(&world).await;
    assert!(!left.contains(&format!("rebuild {id}")), "{left:?}");
    world.google.assert_clean();
}

#[tokio::test]
async fn it_counts_as_well_when_the_old_instance_is_back() {
    let world = World::new().await;
    let spec = replacing(&world, "backup_run = {}\n", "");
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    let project = world.project(&spec).await.expect("a project");
    let backups = project.backups().await.expect("backups");
    let id = &backups.first().expect("a backup").id;
    let (_, verdict) = project.check_backup(id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");

    // One that somebody deletes is missed.
    let name = kept_name(&world, &format!("rebuild {id}")).await;
    let path = name.trim_start_matches("projects/shop/").to_owned();
    world
        .admin(reqwest::Method::DELETE, &path, Value::Null)
        .await;
    let (_, verdict) = project.check_backup(id).await.expect("a verdict");
    let complaints = verdict.complaints().join("; ");
    let why = format!("the instance has no backup \"rebuild {id}\", and none has outlived it");
    assert!(complaints.contains(&why), "{complaints}");
    world.google.assert_clean();
}

/// The name of the backup with a description.
async fn kept_name(world: &World, description: &str) -> String {
    let url = format!("{}/v1/projects/{PROJECT}/backups", world.google.url());
    let get = reqwest::Client::new().get(url);
    let answer = get.bearer_auth(world.google.token()).send().await;
    let list: Value = answer.expect("an answer").json().await.expect("JSON");
    let backups = list["backups"].as_array().expect("backups");
    let mut found = backups.iter().filter(|b| b["description"] == description);
    let name = found.next().expect(description)["name"].as_str();
    name.expect("a name").to_owned()
}
