//! What comes back with a server, and is not taken away again.

use serde_json::{Value, json};

use super::replace::{HOW, filled, rollback, rows, run, volume};
use super::*;

async fn uid(world: &World, kind: &str, name: &str) -> Value {
    let object = world.get(kind, name).await.expect("it is there");
    object["metadata"]["uid"].clone()
}

fn owners(object: &Value) -> Vec<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().map(|o| &o["uid"]).collect()
}

/// The cluster deletes what has owners and none that is there.
#[tokio::test]
async fn what_belongs_to_a_server_belongs_to_it_again_when_both_are_back() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    world
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: release}}")
        .await;
    let (set, release) = (
        uid(&world, "statefulset", "db").await,
        uid(&world, "configmap", "release").await,
    );
    let owned = json!({ "metadata": { "ownerReferences": [
        { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": set },
    ]}});
    world.patch("service", "db", owned).await;
    let owned = json!({ "metadata": { "ownerReferences": [
        { "apiVersion": "v1", "kind": "ConfigMap", "name": "release", "uid": release },
        { "apiVersion": "gone.example.com/v1", "kind": "Release", "name": "db",
          "uid": "7a1c7a1c-0000-0000-0000-000000000000" },
    ]}});
    world.patch("statefulset", "db", owned).await;
    // So do the claims of this set.
    let policy = json!({ "spec": { "persistentVolumeClaimRetentionPolicy": {
        "whenDeleted": "Delete", "whenScaled": "Retain",
    }}});
    world.patch("statefulset", "db", policy).await;
    let now = world.get("statefulset", "db").await.expect("it is there");
    if now["spec"]["persistentVolumeClaimRetentionPolicy"].is_null() {
        // Clusters before 1.27 know no such policy; who wanted that named the owner.
        let owned = json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": set },
        ]}});
        world.patch("claim", "data-db-0", owned).await;
    }
    world
        .until("claim", "data-db-0", |it| owners(it) == [&set])
        .await;

    let report = run(&world, "", HOW).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    let back = rollback(&world, &report.run, false).await;
    let told = world.told.text();
    assert_eq!(back.ending, Ending::RolledBack, "{back:?} {told}");
    let now = uid(&world, "statefulset", "db").await;
    assert_ne!(now, set);
    world
        .until("service", "db", |it| owners(it) == [&now])
        .await;
    world
        .until("claim", "data-db-0", |it| owners(it) == [&now])
        .await;
    world
        .until("statefulset", "db", |it| owners(it) == [&release])
        .await;
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

/// The node ports of the Service, in the order of its ports.
async fn node_ports(world: &World) -> Vec<i64> {
    let service = world.get("service", "db").await.expect("a Service");
    let ports = service["spec"]["ports"].as_array().expect("ports");
    ports
        .iter()
        .filter_map(|p| p["nodePort"].as_i64())
        .collect()
}

#[tokio::test]
async fn a_service_keeps_its_node_ports_but_for_those_that_are_somebody_elses_by_now() {
    let world = filled().await;
    let ports = json!({ "spec": { "type": "NodePort", "ports": [
        { "name": "postgres", "port": 5432, "targetPort": "postgres" },
        { "name": "replicas", "port": 5433, "targetPort": "postgres" },
    ]}});
    world.patch("service", "db", ports).await;
    let before = node_ports(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let taken = before[1];
    world
        .apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: other}}, spec: {{type: NodePort,
               selector: {{app: other}}, ports: [{{port: 80, nodePort: {taken}}}]}}}}"
        ))
        .await;
    let back = rollback(&world, &report.run, false).await;
    let told = world.told.text();
    assert_eq!(back.ending, Ending::RolledBack, "{back:?} {told}");
    let why = format!("service/db: node port {taken} cannot be had any more");
    assert!(told.contains(&why), "{told}");
    let now = node_ports(&world).await;
    assert_eq!((now.len(), now[0]), (2, before[0]), "{now:?} {before:?}");
    assert_ne!(now[1], taken);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}
