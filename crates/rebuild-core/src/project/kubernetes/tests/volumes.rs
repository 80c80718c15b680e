//! Volumes that are not what they seem, or somebody else's by now.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::replace::{HOW, filled, obstacles, rollback, rows, run, volume, volume_state};
use super::*;

/// Waits until a volume is in a phase.
async fn until(world: &World, volume: &str, phase: &str) {
    let waiting = async {
        while volume_state(world, volume).await.0 != phase {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| panic!("volume {volume} is not {phase}"));
}

#[tokio::test]
async fn a_volume_that_somebody_has_bound_since_is_not_taken_away() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let new_volume = volume(&world).await;

    // Somebody wants to look at what is on it.
    let reference = json!({ "spec": { "claimRef": {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": world.namespace, "name": "rescue", "uid": null, "resourceVersion": null,
    }}});
    let (api, params) = (world.api("volume"), PatchParams::default());
    let patched = api
        .patch(&old_volume, &params, &Patch::Merge(&reference))
        .await;
    patched.expect("it is for another claim");
    world
        .apply(&format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: rescue}},
               spec: {{accessModes: [ReadWriteOnce], volumeName: {old_volume},
                       resources: {{requests: {{storage: 1Gi}}}}}}}}"
        ))
        .await;
    until(&world, &old_volume, "Bound").await;
    let back = rollback(&world, &report.run, true).await;
    let why = back.error.as_deref().unwrap_or_default();
    assert_eq!(back.ending, Ending::Stuck, "{back:?}");
    assert!(why.contains("is bound to claim rescue"), "{why}");
    assert_eq!(volume(&world).await, new_volume, "the new server stays");

    let rescue = world
        .api("claim")
        .delete("rescue", &Default::default())
        .await;
    rescue.expect("it goes");
    until(&world, &old_volume, "Released").await;
    let back = rollback(&world, &report.run, true).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

/// Waits until the pod is one of the newest template.
async fn until_mounted(world: &World) {
    let waiting = async {
        loop {
            let pod = world.get("pod", "db-0").await.unwrap_or_default();
            let ready = pod["status"]["conditions"].as_array();
            let ready = ready.into_iter().flatten();
            let mut ready = ready.filter(|c| c["type"] == "Ready" && c["status"] == "True");
            if pod["spec"].to_string().contains("scratch") && ready.next().is_some() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.expect("the pod is made anew");
}

#[tokio::test]
async fn data_that_goes_with_its_pod_is_not_taken_for_kept() {
    let world = filled().await;
    if world
        .inside("programs that see this machine's files")
        .is_none()
    {
        return world.end().await;
    }
    // Of the files of this machine, the server's are among those for a while.
    let data = world.sql("show data_directory").await;
    let above = std::env::temp_dir();
    assert!(std::path::Path::new(&data).starts_with(&above), "{data}");
    let scratch = World::server_manifest()
        .replace(
            "volumeMounts: [",
            &format!("volumeMounts: [{{ name: scratch, mountPath: {above:?} }}, "),
        )
        .replace(
            "      containers:",
            "      volumes: [{ name: scratch, emptyDir: {} }]\n      containers:",
        );
    world.apply(&scratch).await;
    world.await_ready("statefulset", "db", 1).await;
    until_mounted(&world).await;
    let found = obstacles(&world, HOW).await;
    let data = world.sql("show data_directory").await;
    let why = format!("{data} is on volume \"scratch\" of pod db-0, which is no claim");
    assert!(found.contains(&why), "{found}");
    world.end().await;
}
