//! What does not end in time, or is refused: it is named, and so is the way back.

use super::*;
use crate::ErrorKind;
use crate::cloudsql::InstanceCopy;
use crate::project::InstanceSource;

#[tokio::test]
async fn a_backup_run_that_never_ends_is_left_in_time_and_named() {
    let world = World::new().await;
    let spec = world.spec(&format!(
        "{}backup_run = {{ timeout = \"2s\" }}\n",
        world.socket()
    ));
    let insert = "sql.backupRuns.insert";
    world.google.fault_operation(insert, OperationFault::Never);
    let project = world.project(&spec).await.expect("a project");
    let e = project.backup().await.expect_err("it does not end");
    assert_eq!(e.kind(), ErrorKind::Deadline, "{e:?}");
    assert!(e.chain().contains("took longer than 2s: running"), "{e:?}");
    let survey = project.status(false).await.expect("a status").survey;
    let run = survey.instance.expect("the instance").backups[0].id;
    let look = format!(
        "it goes on by itself: gcloud sql backups describe {run} --instance main --project shop"
    );
    assert_eq!(e.advice(), Some(&*look));
    world.google.assert_clean();
}

/// The run to go back to, and whether `advice` begins with what was advised already.
fn way_back(advice: &str) -> (InstanceSource, &str) {
    let again = "give the same command again, or go back to the instance as it was: ";
    let (before, back) = advice.split_once(again).expect("a way back");
    let command = back.strip_prefix("rebuild instance restore --run ");
    let command = command.and_then(|rest| rest.strip_suffix(" --confirm main"));
    let id = command.expect("the whole command").parse();
    let copy = InstanceCopy::Run {
        instance: None,
        id: id.expect("a number"),
    };
    (InstanceSource::Copy(copy), before)
}

#[tokio::test]
async fn a_restore_that_never_ends_is_left_in_time_and_names_the_way_back() {
    let world = World::new().await;
    let spec = world.spec(&format!(
        "{}restore_timeout = \"3s\"\nbackup_run = {{}}\n",
        world.socket()
    ));
    let project = world.project(&spec).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    let from = InstanceSource::Backup(summary.id);
    let restore = "sql.instances.restoreBackup";
    world.google.fault_operation(restore, OperationFault::Never);
    let restoring = project.restore_instance(&from, Some("main"));
    let e = Box::pin(restoring).await.expect_err("it does not end");
    assert_eq!(e.kind(), ErrorKind::Deadline, "{e:?}");
    assert!(e.is_half_way(), "{e:?}");
    let advice = e.advice().expect("advice").to_owned();
    let (back, before) = way_back(&advice);
    assert!(
        before.starts_with("it goes on by itself: gcloud sql operations describe "),
        "{advice}"
    );
    assert!(before.ends_with(" --project shop; then "), "{advice}");
    // As long as it goes on, nothing else is restored, and the same command waits for it.
    let restoring = project.restore_instance(&back, Some("main"));
    let refused = Box::pin(restoring).await.expect_err("it goes on");
    assert!(refused.is_refusal(), "{refused:?}");
    let restoring = project.restore_instance(&from, Some("main"));
    let e = Box::pin(restoring).await.expect_err("it does not end");
    assert_eq!(e.kind(), ErrorKind::Deadline, "{e:?}");
    assert_eq!(world.google.calls(restore).len(), 1);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_restore_that_is_refused_names_the_way_back_as_well() {
    let world = World::new().await;
    let spec = world.spec(&format!("{}backup_run = {{}}\n", world.socket()));
    let project = world.project(&spec).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    world.sql("app", "delete from lines where id > 10").await;
    let from = InstanceSource::Backup(summary.id);
    let restore = "sql.instances.restoreBackup";
    world.google.deny(restore);
    let restoring = project.restore_instance(&from, Some("main"));
    let e = Box::pin(restoring).await.expect_err("it is refused");
    let advice = e.advice().expect("advice").to_owned();
    let (back, before) = way_back(&advice);
    assert!(before.contains("need a role for it"), "{advice}");
    world.google.allow(restore);
    let restoring = project.restore_instance(&back, Some("main"));
    Box::pin(restoring).await.expect("back");
    assert_eq!(world.count(&world.instance, "lines").await, 10);
    world.google.assert_clean();
}
