//! What stands in the way of the replacement of a server.

use super::replace::{HOW, claim, filled};
use super::*;

/// What the plan says that stands in the way.
pub(super) async fn obstacles(world: &World, how: &str) -> String {
    let project = world
        .open(&world.replacing("", how))
        .await
        .expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    let refusals = plan.refusals.iter().filter(|r| r.guard == "replace");
    refusals
        .map(|r| r.message.clone())
        .collect::<Vec<_>>()
        .join("; ")
}

#[tokio::test]
async fn what_would_be_lost_with_the_server_stands_in_the_way() {
    let world = filled().await;
    assert_eq!(obstacles(&world, HOW).await, "");

    world.sql("create database payroll").await;
    let found = obstacles(&world, HOW).await;
    assert!(
        found.contains("database \"payroll\" of the same server would go"),
        "{found}"
    );
    let allowed = format!("{HOW}databases = [\"payroll\"]");
    assert_eq!(obstacles(&world, &allowed).await, "");
    let project = world
        .open(&world.replacing("", &allowed))
        .await
        .expect("a project");
    let losses = project.plan(true).await.expect("a plan").losses.join("; ");
    assert!(
        losses.contains("database \"payroll\" of the same server goes with it"),
        "{losses}"
    );
    world.sql("drop database payroll").await;

    let bare = "objects = [\"sts/db\"]";
    let found = obstacles(&world, &bare.replace("sts/db", "deploy/api")).await;
    assert!(found.contains("the database runs in pod db-0"), "{found}");
    let found = obstacles(&world, &bare.replace("sts/db", "sts/other")).await;
    assert!(found.contains("there is no statefulset/other"), "{found}");

    // A pod of somebody else mounts the claim.
    world
        .apply(
            "{apiVersion: v1, kind: Pod, metadata: {name: reader}, spec: {containers: [
               {name: sleep, image: 'postgres:16', command: [sleep, '1000'],
                volumeMounts: [{name: d, mountPath: /scratch}]}],
             volumes: [{name: d, persistentVolumeClaim: {claimName: data-db-0}}]}}",
        )
        .await;
    let found = obstacles(&world, HOW).await;
    assert!(
        found.contains("is mounted by pod reader as well"),
        "{found}"
    );
    let reader = world.api("pod").delete("reader", &Default::default()).await;
    reader.expect("it goes");

    world.apply(&claim("other-db-0")).await;
    let other = World::server_manifest().replace("name: data", "name: other");
    world.write("server.yaml", &other);
    let found = obstacles(&world, HOW).await;
    assert!(
        found.contains("claim \"other-db-0\" is there already, and the new server would start on"),
        "{found}"
    );
    world.write("server.yaml", &World::server_manifest());

    let Some(inside) = world.inside("an account without rights, and an operator") else {
        return world.end().await;
    };
    for right in [
        "patch persistentvolumes",
        "patch statefulsets/scale",
        "create services",
    ] {
        let (verb, kind) = right.split_once(' ').expect("a verb and a kind");
        inside.deny(verb, kind);
        let found = obstacles(&world, HOW).await;
        let lacks = format!("this account may not {right}");
        assert_eq!(found.matches(&*lacks).count(), 1, "{right}: {found}");
        inside.allow(verb, kind);
    }
    // Whatever its kind, an owner that controls it makes it again.
    world
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: operator}}")
        .await;
    let owner = world.get("configmap", "operator").await.expect("an owner");
    let mut set = world.get("statefulset", "db").await.expect("the server");
    set["metadata"]["ownerReferences"] = serde_json::json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "operator",
        "uid": owner["metadata"]["uid"], "controller": true,
    }]);
    inside.put(&set.to_string()).expect("it is put");
    let found = obstacles(&world, HOW).await;
    assert!(
        found.contains("belongs to ConfigMap \"operator\", which would make it again"),
        "{found}"
    );
    world.end().await;
}
