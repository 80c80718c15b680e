//! Snapshots of the volumes besides the backup.

use super::replace::{filled, rows};
use super::*;

#[tokio::test]
async fn a_backup_has_a_snapshot_that_a_server_starts_on() {
    let world = filled().await;
    let Some(_) = world.inside("a cluster that takes snapshots") else {
        return world.end().await;
    };
    world.sql("checkpoint").await;
    let text = format!(
        "{}snapshot = {{ timeout = \"60s\" }}\n",
        world.spec_text("")
    );
    let project = world.open(&text).await.expect("a project");
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    let name = format!("data-db-0-{}", summary.id);
    let looked = verdict
        .checks
        .iter()
        .find(|c| c.name == format!("volumesnapshot/{name}"));
    assert_eq!(looked.expect("it was looked at").looked_at, "1Gi");
    assert_eq!(world.names("volumesnapshot").await, [name.as_str()]);

    // The way back by hand, as the documentation says: a claim from the snapshot, and a server on it.
    world.sql("delete from public.item where id > 50").await;
    let restored = World::server_manifest()
        .replace("name: db }", "name: restored }")
        .replace("app: db", "app: restored")
        .replace("serviceName: db", "serviceName: restored")
        .replace("name: restored, key", "name: db, key")
        .replace(
            "requests: { storage: 1Gi } }",
            &format!(
                "requests: {{ storage: 1Gi }} }}\n        dataSource: {{ apiGroup: \
                 snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {name} }}"
            ),
        );
    world.apply(&restored).await;
    world.await_ready("statefulset", "restored", 1).await;
    let there = text.replace("service = \"db\"", "service = \"restored\"");
    let there = world.open(&there).await.expect("a project");
    let count = "select count(*)::text from public.item";
    assert_eq!(crate::testing::kubernetes::sql(&there, count).await, "100");
    assert_eq!(rows(&world).await, "50");

    // A snapshot that somebody has deleted is missed.
    let deleted = world
        .api("volumesnapshot")
        .delete(&name, &Default::default())
        .await;
    deleted.expect("it goes");
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert_eq!(verdict.complaints().len(), 1, "{verdict:?}");

    // Those of a backup that is pruned go with it.
    let (newer, _) = project.backup().await.expect("a backup");
    let (newest, _) = project.backup().await.expect("a backup");
    assert_eq!(world.names("volumesnapshot").await.len(), 2);
    let gone = project.prune_backups(Some(1), None, true).await;
    assert_eq!(gone.expect("pruned"), [newer.id, summary.id]);
    let left = format!("data-db-0-{}", newest.id);
    assert_eq!(world.names("volumesnapshot").await, [left]);
    world.end().await;
}

/// A server with two claims.
async fn with_two_claims() -> World {
    let world = World::empty().await;
    let manifests = World::manifests()
        .replace(
            "volumeMounts: [",
            "volumeMounts: [{ name: wal, mountPath: /wal }, ",
        )
        .replace(
            "  volumeClaimTemplates:\n",
            "  volumeClaimTemplates:\n    - metadata: { name: wal }\n      spec:\n        \
             accessModes: [ReadWriteOnce]\n        resources: { requests: { storage: 1Gi } }\n",
        );
    world.apply(&manifests).await;
    world.await_ready("statefulset", "db", 1).await;
    world
}

#[tokio::test]
async fn of_several_snapshots_each_is_missed_and_looked_into() {
    let world = with_two_claims().await;
    let Some(cluster) = world.inside("a cluster that takes snapshots") else {
        return world.end().await;
    };
    let text = format!("{}snapshot = {{}}\n", world.spec_text(""));
    let project = world.open(&text).await.expect("a project");
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    let name = |claim: &str| format!("{claim}-{}", summary.id);
    let (data, wal) = (name("data-db-0"), name("wal-db-0"));
    assert_eq!(world.names("volumesnapshot").await, [&*data, &*wal]);
    let complaints = async || {
        let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
        verdict.complaints()
    };

    // Somebody has deleted what one of them stands for.
    let snapshot = world.get("volumesnapshot", &data).await.expect("it");
    let content = &snapshot["status"]["boundVolumeSnapshotContentName"];
    let content = content.as_str().expect("a content");
    let gone = cluster.delete("VolumeSnapshotContent", "", content);
    gone.expect("it goes");
    cluster
        .until(|it| it.get("VolumeSnapshotContent", "", content).is_none())
        .await;
    let told = complaints().await;
    let why = format!("its volumesnapshotcontent/{content} is gone, or not ready");
    assert!(told.len() == 1 && told[0].contains(&why), "{told:?}");

    // Where one may not look, what the snapshot says of itself counts, and that is told.
    cluster.deny("get", "volumesnapshotcontents");
    let (_, verdict) = project.check_backup(&summary.id).await.expect("a verdict");
    assert!(verdict.passed(), "{verdict:?}");
    let mut looked = verdict.checks.iter().map(|check| &check.looked_at);
    let unseen = looked.any(|it| it == "1Gi; this account may not see its content");
    assert!(unseen, "{verdict:?}");
    cluster.allow("get", "volumesnapshotcontents");

    // One that is gone is missed by the other.
    let snapshots = world.api("volumesnapshot");
    let gone = snapshots.delete(&data, &Default::default()).await;
    gone.expect("it goes");
    let told = complaints().await;
    let why = format!("volumesnapshot/{data}: it is gone");
    assert!(told.len() == 1 && told[0].contains(&why), "{told:?}");
    world.end().await;
}
