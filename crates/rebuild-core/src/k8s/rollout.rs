//! Waiting until what a Deployment or a StatefulSet asks for is what runs.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;

use super::pods::{selector_text, trouble};
use super::wait::{Seen, Wakes, labelled, named};
use super::{Cluster, WorkloadKind, WorkloadRef};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;

/// How far a rollout is.
struct Rollout {
    /// The labels of its pods.
    labels: String,
    /// Why it is not complete, or nothing.
    missing: Option<String>,
    /// Why it will not become complete, or nothing.
    failed: Option<String>,
}

impl Cluster {
    /// Waits until every pod that `workload` asks for is of its newest template and ready, as
    /// `kubectl rollout status` does.
    ///
    /// # Errors
    /// It is not within `limit`, with what holds it up: an image that cannot be pulled, a program
    /// that ends again and again, a pod that no node takes; the rollout gave up.
    pub async fn wait_for_rollout(
        &self,
        ctx: &Ctx,
        workload: &WorkloadRef,
        limit: Duration,
    ) -> Result<()> {
        let name = &workload.name;
        let wakes = match workload.kind {
            WorkloadKind::Deployment => Wakes::default().on(self.api::<Deployment>(), named(name)),
            WorkloadKind::StatefulSet => {
                Wakes::default().on(self.api::<StatefulSet>(), named(name))
            }
            // Its Jobs begin when their time comes.
            WorkloadKind::CronJob => return Ok(()),
        };
        let labels = self.rollout(ctx, workload).await?.labels;
        let wakes = wakes.on(self.api::<Pod>(), labelled(&labels));
        let what = format!("the rollout of {workload}");
        self.wait(ctx, &what, limit, wakes, || async {
            let now = self.rollout(ctx, workload).await?;
            if let Some(why) = now.failed {
                return Err(Error::new(
                    ErrorKind::Server,
                    format!("{what} failed: {why}"),
                ));
            }
            let Some(missing) = now.missing else {
                return Ok(Seen::Done(()));
            };
            let pods = self.pods(ctx, &now.labels).await?;
            let trouble: Vec<String> = pods.iter().filter_map(trouble).collect();
            Ok(Seen::NotYet(match &trouble[..] {
                [] => missing,
                _ => format!("{missing}; {}", trouble.join("; ")),
            }))
        })
        .await
    }

    /// The labels of the pods of `workload`.
    pub(super) async fn labels_of_pods(&self, ctx: &Ctx, workload: &WorkloadRef) -> Result<String> {
        Ok(self.rollout(ctx, workload).await?.labels)
    }

    async fn rollout(&self, ctx: &Ctx, workload: &WorkloadRef) -> Result<Rollout> {
        let what = format!("could not read {workload}");
        let name = &workload.name;
        match workload.kind {
            WorkloadKind::Deployment => {
                let api = self.api::<Deployment>();
                deployment(&self.ask(ctx, &what, || api.get(name)).await?)
            }
            WorkloadKind::StatefulSet => {
                let api = self.api::<StatefulSet>();
                stateful_set(&self.ask(ctx, &what, || api.get(name)).await?)
            }
            WorkloadKind::CronJob => Err(Error::usage(format!("{workload} has no rollout"))),
        }
    }
}

/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>
fn deployment(now: &Deployment) -> Result<Rollout> {
    let spec = now.spec.clone().unwrap_or_default();
    let status = now.status.clone().unwrap_or_default();
    let wanted = spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let all = status.replicas.unwrap_or(0);
    let missing = if status.observed_generation < now.metadata.generation {
        Some("the change was not taken up yet".to_owned())
    } else if updated < wanted {
        Some(format!(
            "{updated} of {wanted} pods are of the newest template"
        ))
    } else if all > updated {
        Some(format!("{} old pods are still there", all - updated))
    } else if available < wanted {
        Some(format!("{available} of {wanted} pods are available"))
    } else {
        None
    };
    let gave_up = status.conditions.unwrap_or_default().into_iter().find(|c| {
        c.type_ == "Progressing" && c.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    let current = status.observed_generation >= now.metadata.generation;
    Ok(Rollout {
        labels: selector_text(&spec.selector)?,
        failed: gave_up
            .filter(|_| current && missing.is_some())
            .map(|c| c.message.unwrap_or_default()),
        missing,
    })
}

/// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates>
fn stateful_set(now: &StatefulSet) -> Result<Rollout> {
    let spec = now.spec.clone().unwrap_or_default();
    let status = now.status.clone().unwrap_or_default();
    let wanted = spec.replicas.unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or(0);
    let rolling = spec
        .update_strategy
        .as_ref()
        .and_then(|s| s.type_.as_deref())
        .is_none_or(|t| t == "RollingUpdate");
    // Pods below the partition are meant to stay as they are.
    let held = spec
        .update_strategy
        .and_then(|s| s.rolling_update?.partition)
        .unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let to_update = (wanted - held).max(0);
    let missing = if status.observed_generation < now.metadata.generation {
        Some("the change was not taken up yet".to_owned())
    } else if status.replicas != wanted {
        Some(format!("{} of {wanted} pods are there", status.replicas))
    } else if ready < wanted {
        Some(format!("{ready} of {wanted} pods are ready"))
    } else if rolling && status.current_revision != status.update_revision && updated < to_update {
        Some(format!(
            "{updated} of {to_update} pods are of the newest template"
        ))
    } else {
        None
    };
    Ok(Rollout {
        labels: selector_text(&spec.selector)?,
        missing,
        failed: None,
    })
}
