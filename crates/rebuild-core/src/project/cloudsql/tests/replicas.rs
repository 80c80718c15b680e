//! Replicas of an instance that is replaced, and replicas that are protected.

use reqwest::Method;
use serde_json::json;

use super::replace::{replacing, rollback, run, server_and_rows};
use super::*;
use crate::journal::Ending;
use crate::project::InstanceSource;

/// Gives the instance a replica.
async fn add_replica(world: &World) {
    let version = format!("{PROJECT}:main");
    let replica = json!({
        "name": "main-r1", "region": "europe-west1", "masterInstanceName": version,
        "settings": {"tier": "db-custom-1-3840"},
    });
    world.admin(Method::POST, "instances", replica).await;
}

async fn protect(world: &World, protected: bool) {
    let settings = json!({"settings": {"deletionProtectionEnabled": protected}});
    world
        .admin(Method::PATCH, "instances/main-r1", settings)
        .await;
}

async fn replicas(world: &World, spec: &str) -> Vec<String> {
    let project = world.project(spec).await.expect("a project");
    let survey = project.status(false).await.expect("a status").survey;
    survey.instance.expect("the instance").replicas
}

async fn refusals(world: &World, spec: &str) -> String {
    let project = world.project(spec).await.expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    let found = plan.refusals.iter().map(|r| r.message.clone());
    found.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn an_instance_with_replicas_is_replaced_only_where_they_are_made_again() {
    let world = World::new().await;
    add_replica(&world).await;
    let refused = replacing(&world, "", "");
    let why = refusals(&world, &refused).await;
    let wanted = "instance shop:europe-west1:main has replicas, and cannot be replaced as long as it \
                  has: main-r1";
    assert!(why.contains(wanted), "{why}");
    let project = world.project(&refused).await.expect("a project");
    let e = project.run(None, Some("app")).await.expect_err("refused");
    assert!(e.is_refusal(), "{e:?}");
    assert!(world.google.calls("sql.instances.delete").is_empty());

    let spec = replacing(&world, "replicas = \"recreate\"\n", "");
    protect(&world, true).await;
    let why = refusals(&world, &spec).await;
    assert!(
        why.contains("replica main-r1 is protected against deletion"),
        "{why}"
    );
    protect(&world, false).await;
    assert_eq!(refusals(&world, &spec).await, "");

    let old = server_and_rows(&world).await;
    let report = run(&world, &spec).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(replicas(&world, &spec).await, ["main-r1"]);
    let made = world.google.calls("sql.instances.insert");
    let again = made.iter().filter(|call| call.body["name"] == "main-r1");
    assert_eq!(again.count(), 2);
    assert_ne!(server_and_rows(&world).await, old);

    let back = rollback(&world, &spec, &report.run).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(replicas(&world, &spec).await, ["main-r1"]);
    assert_eq!(server_and_rows(&world).await, old);
    world.google.assert_clean();
}

#[tokio::test]
async fn a_replica_that_is_protected_stays_and_nothing_is_restored() {
    let world = World::new().await;
    let spec = world.spec(&format!(
        "{}backup_run = {{}}\nreplicas = \"recreate\"\n",
        world.socket()
    ));
    let project = world.project(&spec).await.expect("a project");
    let (summary, _) = project.backup().await.expect("a backup");
    add_replica(&world).await;
    protect(&world, true).await;
    let from = InstanceSource::Backup(summary.id);
    let restoring = project.restore_instance(&from, Some("main"));
    let e = Box::pin(restoring).await.expect_err("it is protected");
    assert!(e.is_refusal(), "{e:?}");
    assert_eq!(
        e.to_string(),
        "replica main-r1 is protected against deletion"
    );
    let advice = e.advice().expect("advice");
    assert!(
        advice.contains("patch main-r1 --no-deletion-protection"),
        "{advice}"
    );
    for method in ["sql.instances.restoreBackup", "sql.instances.delete"] {
        assert!(world.google.calls(method).is_empty(), "{method}");
    }
    protect(&world, false).await;
    let restoring = project.restore_instance(&from, Some("main"));
    let (restored, _) = Box::pin(restoring).await.expect("it");
    assert_eq!(restored.replicas, ["main-r1"]);
    world.google.assert_clean();
}
