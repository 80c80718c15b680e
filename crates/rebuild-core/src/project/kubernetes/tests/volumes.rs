//! Volumes that are not what they seem, or somebody else's by now.

use serde_json::json;

use super::obstacles::obstacles;
use super::replace::{HOW, filled, filled_in, rollback, rows, run, volume, volume_state};
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

/// Somebody wants to look at what is on a volume.
async fn bind_to_rescue(world: &World, volume: &str) {
    let reference = json!({ "spec": { "claimRef": {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": world.namespace, "name": "rescue", "uid": null, "resourceVersion": null,
    }}});
    world.patch("volume", volume, reference).await;
    world
        .apply(&format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: rescue}},
               spec: {{accessModes: [ReadWriteOnce], volumeName: {volume},
                       resources: {{requests: {{storage: 1Gi}}}}}}}}"
        ))
        .await;
    until(world, volume, "Bound").await;
}

#[tokio::test]
async fn a_volume_that_is_bound_again_is_not_purged() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    bind_to_rescue(&world, &old_volume).await;
    let project = world.open(&world.replacing("", HOW)).await;
    let project = project.expect("a project");
    let refused = project.purge(&report.run, None, true).await;
    let refused = refused.expect_err("it is in use");
    let why = format!("volume {old_volume} is bound again, to claim rescue; nothing was deleted");
    assert!(refused.chain().contains(&why), "{refused:?}");
    let bound = ("Bound".to_owned(), "Retain".to_owned());
    assert_eq!(volume_state(&world, &old_volume).await, bound);

    let claims = world.api("claim");
    let gone = claims.delete("rescue", &Default::default()).await;
    gone.expect("it goes");
    until(&world, &old_volume, "Released").await;
    let gone = project.purge(&report.run, None, true).await;
    gone.expect("purged");
    assert_eq!(world.get("volume", &old_volume).await, None);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

/// There is nobody who could delete its disk.
#[tokio::test]
async fn of_a_volume_that_no_provisioner_made_the_object_is_purged_and_the_disk_is_named() {
    let world = World::empty().await;
    if world.inside("a folder of the node").is_none() {
        return world.end().await;
    }
    let disk = tempfile::Builder::new().prefix("rbk").tempdir_in("/tmp");
    let disk = disk.expect("a folder");
    let folder = disk.path().display();
    world
        .apply(&format!(
            "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: by-hand}}, spec: {{
               storageClassName: by-hand, capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce],
               hostPath: {{path: {folder}}}, persistentVolumeReclaimPolicy: Retain}}}}\n---\n\
             {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data-db-0}}, spec: {{
               storageClassName: by-hand, accessModes: [ReadWriteOnce],
               resources: {{requests: {{storage: 1Gi}}}}}}}}"
        ))
        .await;
    until(&world, "by-hand", "Bound").await;
    let world = filled_in(world).await;
    assert_eq!(volume(&world).await, "by-hand");
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_ne!(volume(&world).await, "by-hand");
    let project = world.open(&world.replacing("", HOW)).await;
    let project = project.expect("a project");
    let gone = project.purge(&report.run, None, true).await;
    gone.expect("purged");
    assert_eq!(world.get("volume", "by-hand").await, None);
    let told = world.told.text();
    let why = format!(
        "no provisioner made volume by-hand: its object goes, and what it stood for stays: folder {folder} of its node"
    );
    assert!(told.contains(&why), "{told}");
    let left = std::fs::read_dir(disk.path()).expect("the folder").count();
    assert_ne!(left, 0, "what is on it stays");
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

#[tokio::test]
async fn a_volume_that_somebody_has_bound_since_is_not_taken_away() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let new_volume = volume(&world).await;

    bind_to_rescue(&world, &old_volume).await;
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
