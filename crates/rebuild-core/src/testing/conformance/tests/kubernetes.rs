//! Workloads and the Lease of a cluster keep their contracts.

use std::time::Duration;

use async_trait::async_trait;
use kube::api::DeleteParams;

use crate::event::Ctx;
use crate::k8s::{Cluster, ClusterWorkload, LeaseLock};
use crate::testing::conformance::{self, LockStage, WorkloadStage};
use crate::testing::kubernetes::World;
use crate::traits::{Lock, Workload, WorkloadState};

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec:
  replicas: 2
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: main, image: "postgres:16", command: [sleep, "1000000"] }]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: queue }
spec:
  serviceName: queue
  replicas: 1
  selector: { matchLabels: { app: queue } }
  template:
    metadata: { labels: { app: queue } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: main, image: "postgres:16", command: [sleep, "1000000"] }]
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{ name: main, image: "postgres:16", command: ["true"] }]
"#;

struct Running<'a> {
    world: &'a World,
    kind: &'static str,
    name: &'static str,
    workload: ClusterWorkload,
}

#[async_trait]
impl WorkloadStage for Running<'_> {
    fn workload(&self) -> &dyn Workload {
        &self.workload
    }

    async fn writes(&self) -> bool {
        if self.kind == "cronjob" {
            let now = self.world.get("cronjob", self.name).await.expect("it");
            return now["spec"]["suspend"] != true;
        }
        let pods = self.world.names("pod").await;
        let prefix = format!("{}-", self.name);
        pods.iter().any(|pod| pod.starts_with(&prefix))
    }
}

#[tokio::test]
async fn cluster_workloads() {
    let world = World::empty().await;
    world.apply(WORKLOADS).await;
    let limit = Duration::from_secs(120);
    for (kind, name, count) in [
        ("deployment", "api", Some(2)),
        ("statefulset", "queue", Some(1)),
        ("cronjob", "nightly", None),
    ] {
        if let Some(count) = count {
            world.await_ready(kind, name, count).await;
        }
        let workload = format!("{kind}/{name}").parse().expect("a workload");
        let workload: crate::k8s::WorkloadRef = workload;
        conformance::workload(async || {
            let cluster = world.cluster().await;
            Running {
                workload: ClusterWorkload::new(cluster, "it", workload.clone(), limit),
                world: &world,
                kind,
                name,
            }
        })
        .await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_pod_that_was_evicted_long_ago_is_not_waited_for() {
    let world = World::empty().await;
    let Some(cluster) = world.inside("an eviction") else {
        return world.end().await;
    };
    world.apply(WORKLOADS).await;
    world.await_ready("deployment", "api", 2).await;
    let pods = world.names("pod").await;
    let evicted = pods.iter().find(|pod| pod.starts_with("api-"));
    let evicted = evicted.expect("a pod");
    cluster.evict(&world.namespace, evicted);
    let failed = |cluster: &rebuild_testkube::Cluster| {
        let pods = cluster.list("Pod", &world.namespace);
        let ended = pods.iter().filter(|pod| pod["status"]["phase"] == "Failed");
        pods.iter()
            .filter(|pod| {
                pod["metadata"]["name"]
                    .as_str()
                    .is_some_and(|n| n.starts_with("api-"))
            })
            .count()
            == 3
            && ended.count() == 1
    };
    cluster.until(failed).await;
    world.await_ready("deployment", "api", 2).await;
    let limit = Duration::from_secs(60);
    let api = "deployment/api".parse().expect("a workload");
    let api = ClusterWorkload::new(world.cluster().await, "it", api, limit);
    let ctx = Ctx::quiet();
    let before = api.look(&ctx).await.expect("it runs");
    api.stop(&ctx, &before).await.expect("stopped");
    assert!(
        world.names("pod").await.contains(evicted),
        "nobody deletes it"
    );
    api.start(&ctx, &before).await.expect("started");
    world.await_ready("deployment", "api", 2).await;
    world.end().await;
}

#[tokio::test]
async fn a_stateful_set_that_would_lose_its_volumes_is_not_scaled_down() {
    let world = World::empty().await;
    let losing = WORKLOADS.replace(
        "  serviceName: queue\n",
        "  serviceName: queue\n  persistentVolumeClaimRetentionPolicy: { whenScaled: Delete }\n",
    );
    assert_ne!(losing, WORKLOADS);
    world.apply(&losing).await;
    world.await_ready("statefulset", "queue", 1).await;
    let limit = Duration::from_secs(60);
    let queue = "statefulset/queue".parse().expect("a workload");
    let queue = ClusterWorkload::new(world.cluster().await, "it", queue, limit);
    let ctx = Ctx::quiet();
    let before = WorkloadState {
        running: true,
        detail: serde_json::json!({ "replicas": 1 }),
    };
    for refused in [
        queue.look(&ctx).await.map(|_| ()),
        queue.stop(&ctx, &before).await,
    ] {
        let refused = refused.expect_err("its volumes would go");
        assert!(refused.is_refusal(), "{refused:?}");
    }
    world.await_ready("statefulset", "queue", 1).await;
    world.end().await;
}

struct Leased<'a> {
    world: &'a World,
    cluster: Cluster,
    name: String,
}

#[async_trait]
impl LockStage for Leased<'_> {
    fn lock(&self) -> Box<dyn Lock> {
        Box::new(LeaseLock::new(self.cluster.clone(), self.name.clone()))
    }

    /// A Lease outlives its holder for a while. This is what somebody does who does not want to
    /// wait.
    async fn holder_dies(&self) {
        let api = self.world.api("lease");
        let gone = api.delete(&self.name, &DeleteParams::default()).await;
        gone.expect("the Lease is deleted");
    }
}

#[tokio::test]
async fn lease_lock() {
    let world = World::empty().await;
    let next = std::sync::atomic::AtomicU32::new(0);
    conformance::lock(async || Leased {
        cluster: world.cluster().await,
        name: format!(
            "lease-{}",
            next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        ),
        world: &world,
    })
    .await;
    world.end().await;
}
