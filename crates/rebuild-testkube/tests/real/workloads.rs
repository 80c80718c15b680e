//! Jobs, claims and volumes, with `kube`.

use std::path::PathBuf;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::wait::{Condition, conditions};
use rebuild_testkube::{Cluster, Container, Program};
use serde_json::json;

use crate::{client, until};

fn job(name: &str, more: &str, script: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n{more}  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n      - {{name: c, image: 'shell:1', command: [sh, -c, '{script}']}}\n"
    )
}

#[tokio::test]
async fn jobs_succeed_fail_and_run_out_of_time() {
    let cluster = Cluster::start().await.unwrap();
    let jobs: Api<Job> = Api::default_namespaced(client(&cluster).await);
    cluster.image("shell:1", |container: &Container| {
        Program::new(&container.command)
    });
    let indexed = "  completions: 3\n  parallelism: 2\n  completionMode: Indexed\n";
    cluster
        .put(&job("good", indexed, "echo $JOB_COMPLETION_INDEX"))
        .unwrap();
    cluster
        .put(&job("bad", "  backoffLimit: 2\n", "exit 1"))
        .unwrap();
    cluster
        .put(&job(
            "slow",
            "  activeDeadlineSeconds: 1\n",
            "exec sleep 100",
        ))
        .unwrap();
    let good = until(&jobs, "good", conditions::is_job_completed())
        .await
        .unwrap();
    let status = good.status.unwrap();
    assert_eq!(status.succeeded, Some(3));
    assert_eq!(status.completed_indexes.as_deref(), Some("0-2"));
    for (name, reason, failed) in [
        ("bad", "BackoffLimitExceeded", 3),
        ("slow", "DeadlineExceeded", 1),
    ] {
        let failure = |job: Option<&Job>| {
            let conditions = job.and_then(|job| job.status.as_ref()?.conditions.clone());
            conditions.is_some_and(|all| {
                all.iter()
                    .any(|it| it.type_ == "Failed" && it.status == "True")
            })
        };
        let status = until(&jobs, name, failure).await.unwrap().status.unwrap();
        let conditions = status.conditions.unwrap();
        assert!(
            conditions
                .iter()
                .all(|it| it.reason.as_deref() == Some(reason)),
            "{conditions:?}"
        );
        assert_eq!(status.failed, Some(failed), "{name}");
    }
}

#[tokio::test]
async fn each_index_of_a_job_has_tries_of_its_own() {
    let cluster = Cluster::start().await.unwrap();
    let jobs: Api<Job> = Api::default_namespaced(client(&cluster).await);
    cluster.image("shell:1", |container: &Container| {
        Program::new(&container.command)
    });
    let scratch = tempfile::TempDir::new().unwrap();
    let scratch = scratch.path().display();
    let limits = "  completions: 3\n  parallelism: 3\n  completionMode: Indexed\n  \
                  backoffLimitPerIndex: 1\n";
    // The number 1 fails once, and in the second job always.
    let once =
        format!("[ $JOB_COMPLETION_INDEX != 1 ] || ! mkdir {scratch}/tried 2> /dev/null || exit 1");
    let always = "[ $JOB_COMPLETION_INDEX != 1 ]";
    let given_up = format!("{limits}  maxFailedIndexes: 0\n");
    for (name, limits, script) in [
        ("once", limits, &*once),
        ("always", limits, always),
        ("given-up", &*given_up, always),
    ] {
        cluster.put(&job(name, limits, script)).unwrap();
    }
    let done = until(&jobs, "once", conditions::is_job_completed()).await;
    let status = done.unwrap().status.unwrap();
    assert_eq!((status.succeeded, status.failed), (Some(3), Some(1)));
    assert_eq!(status.completed_indexes.as_deref(), Some("0-2"));
    for (name, reason) in [
        ("always", "FailedIndexes"),
        ("given-up", "MaxFailedIndexesExceeded"),
    ] {
        let failure = |job: Option<&Job>| {
            let conditions = job.and_then(|job| job.status.as_ref()?.conditions.clone());
            conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Failed"))
        };
        let status = until(&jobs, name, failure).await.unwrap().status.unwrap();
        assert_eq!(status.failed_indexes.as_deref(), Some("1"), "{name}");
        assert_eq!(status.failed, Some(2), "{name}");
        let conditions = status.conditions.unwrap();
        let told =
            |it: &k8s_openapi::api::batch::v1::JobCondition| it.reason.as_deref() == Some(reason);
        assert!(conditions.iter().all(told), "{conditions:?}");
    }
    let policy = format!(
        "{limits}  podFailurePolicy:\n    rules:\n    - action: FailJob\n      onExitCodes: \
         {{operator: In, values: [3]}}\n    - action: Ignore\n      onPodConditions: [{{type: \
         DisruptionTarget, status: \"True\"}}]\n"
    );
    let three = "[ $JOB_COMPLETION_INDEX != 1 ] || exit 3";
    cluster.put(&job("three", &policy, three)).unwrap();
    let failure = |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()?.conditions.clone());
        conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Failed"))
    };
    let status = until(&jobs, "three", failure).await.unwrap();
    let status = status.status.unwrap();
    assert_eq!(status.failed, Some(1));
    let conditions = status.conditions.unwrap();
    let why = conditions[0].message.as_deref().unwrap();
    assert_eq!(conditions[0].reason.as_deref(), Some("PodFailurePolicy"));
    assert!(
        why.contains("failed with exit code 3 matching FailJob rule at index 0"),
        "{why}"
    );

    // What the node gives up is made again, and counts nowhere.
    let waits =
        format!("mkdir {scratch}/waits$JOB_COMPLETION_INDEX 2> /dev/null && sleep 100; exit 0");
    cluster.put(&job("given-back", &policy, &waits)).unwrap();
    let mut evicted = std::collections::BTreeSet::new();
    while evicted.len() < 3 {
        for pod in cluster.list("Pod", "default") {
            let metadata = &pod["metadata"];
            let name = metadata["name"].as_str().unwrap();
            let index = metadata["labels"]["batch.kubernetes.io/job-completion-index"].as_str();
            let index = index.unwrap_or_default().to_owned();
            let waits = std::path::Path::new(&format!("{scratch}/waits{index}")).exists();
            if name.starts_with("given-back") && waits && evicted.insert(index) {
                cluster.evict("default", name);
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let done = until(&jobs, "given-back", conditions::is_job_completed()).await;
    let status = done.unwrap().status.unwrap();
    assert_eq!((status.succeeded, status.failed.unwrap_or(0)), (Some(3), 0));

    let wrong = job("wrong", "  backoffLimitPerIndex: 1\n", "exit 0");
    let refused = cluster.put(&wrong).unwrap_err().to_string();
    assert!(
        refused.contains("requires indexed completion mode"),
        "{refused}"
    );
}

const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: NAME}\n\
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, EXTRA}\n";

fn claim(name: &str, extra: &str) -> String {
    CLAIM.replace("NAME", name).replace(", EXTRA", extra)
}

fn is_bound() -> impl Condition<PersistentVolumeClaim> {
    |claim: Option<&PersistentVolumeClaim>| {
        let phase = claim.and_then(|claim| claim.status.as_ref()?.phase.clone());
        phase.as_deref() == Some("Bound")
    }
}

fn folder(cluster: &Cluster, claim: &str) -> (String, PathBuf) {
    let claim = cluster
        .get("PersistentVolumeClaim", "default", claim)
        .unwrap();
    let volume = claim["spec"]["volumeName"].as_str().unwrap().to_owned();
    let object = cluster.get("PersistentVolume", "", &volume).unwrap();
    let path = object["spec"]["hostPath"]["path"].as_str().unwrap().into();
    (volume, path)
}

#[tokio::test]
async fn a_retained_volume_is_bound_again_and_a_snapshot_is_a_copy() {
    let cluster = Cluster::start().await.unwrap();
    let client = client(&cluster).await;
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client);
    cluster.put(&claim("one", "")).unwrap();
    until(&claims, "one", is_bound()).await;
    let (volume, path) = folder(&cluster, "one");
    std::fs::write(path.join("file"), "kept").unwrap();
    cluster
        .put("apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {name: snap}\nspec: {source: {persistentVolumeClaimName: one}}\n")
        .unwrap();
    let source =
        ", dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: snap}";
    cluster.put(&claim("copy", source)).unwrap();
    until(&claims, "copy", is_bound()).await;
    let (_, copied) = folder(&cluster, "copy");
    assert_eq!(
        std::fs::read_to_string(copied.join("file")).unwrap(),
        "kept"
    );
    assert_ne!(copied, path);

    let retain = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}));
    volumes
        .patch(&volume, &PatchParams::default(), &retain)
        .await
        .unwrap();
    claims
        .delete("one", &DeleteParams::default())
        .await
        .unwrap();
    let phase_is = |wanted: &'static str| {
        move |volume: Option<&PersistentVolume>| {
            let phase = volume.and_then(|volume| volume.status.as_ref()?.phase.clone());
            phase.as_deref() == Some(wanted)
        }
    };
    until(&volumes, &volume, phase_is("Released")).await;
    assert!(path.join("file").exists());
    let free = Patch::Merge(json!({"spec": {"claimRef": null}}));
    volumes
        .patch(&volume, &PatchParams::default(), &free)
        .await
        .unwrap();
    until(&volumes, &volume, phase_is("Available")).await;
    cluster
        .put(&claim("again", &format!(", volumeName: {volume}")))
        .unwrap();
    until(&claims, "again", is_bound()).await;
    assert_eq!(folder(&cluster, "again"), (volume.clone(), path.clone()));

    let back = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
    volumes
        .patch(&volume, &PatchParams::default(), &back)
        .await
        .unwrap();
    claims
        .delete("again", &DeleteParams::default())
        .await
        .unwrap();
    until(&volumes, &volume, |volume: Option<&PersistentVolume>| {
        volume.is_none()
    })
    .await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_claim_waits_for_its_first_pod_and_is_not_bound_to_a_volume_of_another_class() {
    let cluster = Cluster::start().await.unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client(&cluster).await);
    cluster.image("shell:1", |_| Program::new(["sleep", "1000"]));
    cluster
        .put(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: late}\nprovisioner: testkube.local/folder\n\
             volumeBindingMode: WaitForFirstConsumer\n---\n\
             apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: other}\nspec: {storageClassName: slow, capacity: {storage: 9Gi}, \
             accessModes: [ReadWriteOnce], hostPath: {path: /nowhere}}\n",
        )
        .unwrap();
    cluster
        .put(&claim("late", ", storageClassName: late"))
        .unwrap();
    cluster.put(&claim("wrong", ", volumeName: other")).unwrap();
    let told = |reason: &'static str| {
        let cluster = &cluster;
        async move {
            let told = || {
                let events = cluster.list("Event", "default");
                events.iter().any(|event| event["reason"] == reason)
            };
            while !told() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, told("WaitForFirstConsumer"))
        .await
        .unwrap();
    tokio::time::timeout(limit, told("VolumeMismatch"))
        .await
        .unwrap();
    for claim in ["late", "wrong"] {
        let claim = claims.get(claim).await.unwrap();
        assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
    }
    cluster
        .put(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {terminationGracePeriodSeconds: 1, \
             volumes: [{name: v, persistentVolumeClaim: {claimName: late}}], \
             containers: [{name: c, image: 'shell:1', volumeMounts: [{name: v, mountPath: /v}]}]}\n",
        )
        .unwrap();
    until(&claims, "late", is_bound()).await;
}

#[tokio::test]
async fn a_claim_that_is_to_go_with_its_set_is_the_sets_and_no_later_one_takes_it() {
    let cluster = Cluster::start().await.unwrap();
    cluster.image("shell:1", |_| Program::new(["sleep", "1000"]));
    let set = |policy: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  serviceName: db\n  \
             selector: {{matchLabels: {{app: db}}}}\n  \
             persistentVolumeClaimRetentionPolicy: {{whenDeleted: {policy}, whenScaled: Retain}}\n  \
             template:\n    metadata: {{labels: {{app: db}}}}\n    spec:\n      \
             terminationGracePeriodSeconds: 1\n      containers: [{{name: c, image: 'shell:1'}}]\n  \
             volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec: {{accessModes: \
             [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let owners = |cluster: &Cluster| {
        let claim = cluster.get("PersistentVolumeClaim", "default", "data-db-0");
        claim.map(|claim| claim["metadata"]["ownerReferences"].clone())
    };
    let uid = |kind: &str, name: &str| {
        cluster.get(kind, "default", name).unwrap()["metadata"]["uid"].clone()
    };
    cluster.put(&set("Retain")).unwrap();
    cluster.until(|it| owners(it) == Some(json!(null))).await;
    cluster.put(&set("Delete")).unwrap();
    let first = uid("StatefulSet", "db");
    cluster
        .until(|it| owners(it).is_some_and(|all| all[0]["uid"] == first))
        .await;

    // A set of the same name is another one: what belonged to the first goes, and it gets one of its own.
    let old = uid("PersistentVolumeClaim", "data-db-0");
    cluster.delete("StatefulSet", "default", "db").unwrap();
    cluster.put(&set("Delete")).unwrap();
    let second = uid("StatefulSet", "db");
    cluster
        .until(|it| owners(it).is_some_and(|all| all[0]["uid"] == second))
        .await;
    assert_ne!(uid("PersistentVolumeClaim", "data-db-0"), old);
}
