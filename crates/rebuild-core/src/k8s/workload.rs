//! Deployments, StatefulSets and CronJobs that are stopped and brought back.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pods::has_ended;
use super::wait::{Seen, Wakes, labelled, named};
use super::{Cluster, WorkloadKind, WorkloadRef};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::traits::{Workload, WorkloadState};

/// A [`Workload`] that is scaled to nothing and back, or, for a CronJob, suspended and resumed.
///
/// A HorizontalPodAutoscaler does not act on what is scaled to zero
/// (<https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation>).
pub struct ClusterWorkload {
    cluster: Cluster,
    name: String,
    workload: WorkloadRef,
    limit: Duration,
}

/// What is put down of a workload before it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Before {
    Replicas(i32),
    Suspended(bool),
}

impl Before {
    fn of(state: &WorkloadState) -> Result<Self> {
        serde_json::from_value(state.detail.clone()).map_err(|e| {
            Error::corrupt("the journal does not say what the workload was like").caused_by(e)
        })
    }

    fn runs(self) -> bool {
        match self {
            Self::Replicas(replicas) => replicas > 0,
            Self::Suspended(suspended) => !suspended,
        }
    }

    fn stopped(self) -> Self {
        match self {
            Self::Replicas(_) => Self::Replicas(0),
            Self::Suspended(_) => Self::Suspended(true),
        }
    }
}

impl ClusterWorkload {
    /// `workload` under the `name` that the spec gives it. Stopping and starting may take `limit`
    /// each.
    pub fn new(cluster: Cluster, name: &str, workload: WorkloadRef, limit: Duration) -> Self {
        Self {
            cluster,
            name: name.to_owned(),
            workload,
            limit,
        }
    }

    async fn now(&self, ctx: &Ctx) -> Result<Before> {
        let what = format!("could not read {}", self.workload);
        let name = &self.workload.name;
        let (cluster, what) = (&self.cluster, &*what);
        Ok(match self.workload.kind {
            WorkloadKind::Deployment => {
                let api = cluster.api::<Deployment>();
                let spec = cluster.ask(ctx, what, || api.get(name)).await?.spec;
                Before::Replicas(spec.and_then(|s| s.replicas).unwrap_or(1))
            }
            WorkloadKind::StatefulSet => {
                let api = cluster.api::<StatefulSet>();
                let spec = cluster.ask(ctx, what, || api.get(name)).await?.spec;
                Before::Replicas(spec.and_then(|s| s.replicas).unwrap_or(1))
            }
            WorkloadKind::CronJob => {
                let api = cluster.api::<CronJob>();
                let spec = cluster.ask(ctx, what, || api.get(name)).await?.spec;
                Before::Suspended(spec.and_then(|s| s.suspend).unwrap_or(false))
            }
        })
    }

    /// A StatefulSet may delete its claims, and with them its volumes, when it is scaled down
    /// (<https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention>).
    async fn refuse_to_lose_claims(&self, ctx: &Ctx) -> Result<()> {
        if self.workload.kind != WorkloadKind::StatefulSet {
            return Ok(());
        }
        let what = format!("could not read {}", self.workload);
        let api = self.cluster.api::<StatefulSet>();
        let name = &self.workload.name;
        let spec = self.cluster.ask(ctx, &what, || api.get(name)).await?.spec;
        let policy = spec.and_then(|s| s.persistent_volume_claim_retention_policy);
        if policy.and_then(|p| p.when_scaled).as_deref() != Some("Delete") {
            return Ok(());
        }
        Err(Error::refused(format!(
            "{} deletes its volumes when it is scaled down, and would come back with empty ones",
            self.workload
        ))
        .hint(format!(
            "kubectl -n {} patch statefulset {name} --type merge -p \
             '{{\"spec\":{{\"persistentVolumeClaimRetentionPolicy\":{{\"whenScaled\":\"Retain\"}}}}}}'",
            self.cluster.namespace()
        )))
    }

    async fn set(&self, ctx: &Ctx, to: Before) -> Result<()> {
        let what = format!("could not scale {}", self.workload);
        let name = &self.workload.name;
        let params = PatchParams::default();
        let patch = match to {
            Before::Replicas(replicas) => json!({ "spec": { "replicas": replicas } }),
            Before::Suspended(suspended) => json!({ "spec": { "suspend": suspended } }),
        };
        let patch = Patch::Merge(&patch);
        let (cluster, what) = (&self.cluster, &*what);
        match self.workload.kind {
            WorkloadKind::Deployment => {
                let api = cluster.api::<Deployment>();
                let scale = || api.patch_scale(name, &params, &patch);
                cluster.ask(ctx, what, scale).await.map(|_| ())
            }
            WorkloadKind::StatefulSet => {
                let api = cluster.api::<StatefulSet>();
                let scale = || api.patch_scale(name, &params, &patch);
                cluster.ask(ctx, what, scale).await.map(|_| ())
            }
            WorkloadKind::CronJob => {
                let api = cluster.api::<CronJob>();
                let suspend = || api.patch(name, &params, &patch);
                cluster.ask(ctx, what, suspend).await.map(|_| ())
            }
        }
    }

    /// Waits until no pod is left: one that is shutting down still writes.
    async fn wait_until_gone(&self, ctx: &Ctx) -> Result<()> {
        if self.workload.kind == WorkloadKind::CronJob {
            return self.wait_for_jobs(ctx).await;
        }
        let labels = self.cluster.labels_of_pods(ctx, &self.workload).await?;
        let wakes = Wakes::default().on(self.cluster.api::<Pod>(), labelled(&labels));
        let what = format!("stopping {}", self.workload);
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let pods = self.cluster.pods(ctx, &labels).await?;
                // Of a Deployment, those that were evicted stay for ever: nobody deletes them.
                let left = pods.iter().filter(|pod| !has_ended(pod));
                let left: Vec<String> = left.map(ResourceExt::name_any).collect();
                Ok(match &left[..] {
                    [] => Seen::Done(()),
                    _ => Seen::NotYet(format!("still there: {}", left.join(", "))),
                })
            })
            .await
    }

    /// Waits for the Jobs that a CronJob has begun.
    async fn wait_for_jobs(&self, ctx: &Ctx) -> Result<()> {
        let api = self.cluster.api::<CronJob>();
        let name = &self.workload.name;
        let wakes = Wakes::default().on(api.clone(), named(name));
        let what = format!("waiting for the Jobs of {}", self.workload);
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let now = self.cluster.ask(ctx, &what, || api.get(name)).await?;
                let active = now.status.and_then(|s| s.active).unwrap_or_default();
                let active: Vec<String> = active.into_iter().filter_map(|job| job.name).collect();
                Ok(match &active[..] {
                    [] => Seen::Done(()),
                    _ => Seen::NotYet(format!("still running: {}", active.join(", "))),
                })
            })
            .await
    }
}

#[async_trait]
impl Workload for ClusterWorkload {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState> {
        let now = self.now(ctx).await?;
        if now.runs() {
            self.refuse_to_lose_claims(ctx).await?;
        }
        let detail = serde_json::to_value(now)
            .map_err(|e| Error::internal("a replica count has no JSON form").caused_by(e))?;
        Ok(WorkloadState {
            running: now.runs(),
            detail,
        })
    }

    async fn stop(&self, ctx: &Ctx, _before: &WorkloadState) -> Result<()> {
        let now = self.now(ctx).await?;
        if now.runs() {
            self.refuse_to_lose_claims(ctx).await?;
            self.set(ctx, now.stopped()).await?;
        }
        self.wait_until_gone(ctx).await
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        let before = Before::of(before)?;
        if !before.runs() {
            return Ok(());
        }
        // Somebody may have scaled it up since, and knows better.
        if !self.now(ctx).await?.runs() {
            self.set(ctx, before).await?;
        }
        self.cluster
            .wait_for_rollout(ctx, &self.workload, self.limit)
            .await
    }
}
