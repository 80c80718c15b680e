//! Looking whether what runs around the database runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use super::pods::restarts;
use super::{Cluster, WorkloadRef};
use crate::error::{ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::model::{Check, Outcome, Verdict};
use crate::traits::{Verifier, VerifyRequest};

/// Something that must hold in the cluster once the database is in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterCheck {
    /// Every pod that a workload asks for is of its newest template and ready.
    Rollout {
        /// Which.
        workload: WorkloadRef,
        /// How often the containers of a pod may have been started again since the run began.
        max_restarts: Option<u32>,
        /// How long until it must be so.
        limit: Duration,
    },
    /// A PersistentVolumeClaim is bound.
    Claim(String),
}

/// The checks of another verifier, and those of the cluster.
pub struct ClusterVerifier {
    /// What is checked first.
    pub first: Arc<dyn Verifier>,
    /// Where.
    pub cluster: Cluster,
    /// What, once the database is in service.
    pub checks: Vec<ClusterCheck>,
    /// How often the containers of each pod, by its uid, had been started again when the run began.
    /// Without a run, none: then every time counts.
    pub restarts_before: BTreeMap<String, i32>,
}

#[async_trait]
impl Verifier for ClusterVerifier {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let mut verdict = self.first.verify(ctx, request).await?;
        if request.live {
            for check in &self.checks {
                verdict.checks.push(self.check(ctx, check).await?);
            }
        }
        Ok(verdict)
    }
}

impl ClusterVerifier {
    async fn check(&self, ctx: &Ctx, check: &ClusterCheck) -> Result<Check> {
        match check {
            ClusterCheck::Rollout {
                workload,
                max_restarts,
                limit,
            } => self.rollout(ctx, workload, *max_restarts, *limit).await,
            ClusterCheck::Claim(name) => self.claim(ctx, name).await,
        }
    }

    async fn rollout(
        &self,
        ctx: &Ctx,
        workload: &WorkloadRef,
        max_restarts: Option<u32>,
        limit: Duration,
    ) -> Result<Check> {
        let cluster = &self.cluster;
        let mut complaints = Vec::new();
        match cluster.wait_for_rollout(ctx, workload, limit).await {
            Ok(()) => {}
            // That it is not so in time is an answer.
            Err(e) if matches!(e.kind(), ErrorKind::Deadline | ErrorKind::Server) => {
                complaints.push(e.chain());
            }
            Err(e) => return Err(e),
        }
        let labels = cluster.labels_of_pods(ctx, workload).await?;
        let pods = cluster.pods(ctx, &labels).await?;
        let allowed = max_restarts.map_or(i32::MAX, |n| i32::try_from(n).unwrap_or(i32::MAX));
        for pod in &pods {
            let n = self.restarts_since(pod);
            if n > allowed {
                let name = pod.name_any();
                complaints.push(format!("pod {name} was started again {n} times"));
            }
        }
        Ok(Check {
            name: format!("rollout of {workload}"),
            looked_at: format!("{} pods", pods.len()),
            outcome: outcome(complaints),
        })
    }

    fn restarts_since(&self, pod: &Pod) -> i32 {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let before = self.restarts_before.get(uid).copied().unwrap_or(0);
        restarts(pod) - before
    }

    async fn claim(&self, ctx: &Ctx, name: &str) -> Result<Check> {
        let what = format!("could not read the PersistentVolumeClaim {name:?}");
        let api = self.cluster.api::<PersistentVolumeClaim>();
        let claim = self.cluster.ask(ctx, &what, || api.get_opt(name)).await?;
        let phase = claim.and_then(|claim| claim.status?.phase);
        let complaint = match phase.as_deref() {
            Some("Bound") => None,
            Some(phase) => Some(format!("it is {}", clean(phase))),
            None => Some("there is none".to_owned()),
        };
        Ok(Check {
            name: format!("claim {name}"),
            looked_at: "its phase".to_owned(),
            outcome: outcome(complaint.into_iter().collect()),
        })
    }
}

fn outcome(complaints: Vec<String>) -> Outcome {
    if complaints.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(complaints)
    }
}
