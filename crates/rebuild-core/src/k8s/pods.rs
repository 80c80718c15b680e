//! The pods of a workload, and what is the matter with them.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::Selector;

use super::Cluster;
use crate::error::{Error, Result, clean};
use crate::event::Ctx;

/// A selector of an object as text for a query.
///
/// # Errors
/// It has an operator that does not exist.
pub(super) fn selector_text(selector: &LabelSelector) -> Result<String> {
    let selector: Selector = selector
        .clone()
        .try_into()
        .map_err(|e| Error::internal("a label selector cannot be read").caused_by(e))?;
    Ok(selector.to_string())
}

/// The label by which the pods of a Job are found. Before Kubernetes 1.27 they had this one alone, and they
/// have it still (<https://kubernetes.io/docs/reference/labels-annotations-taints/#job-name>).
pub(super) fn labels_of_job(name: &str) -> String {
    format!("job-name={name}")
}

impl Cluster {
    /// The pods with these labels.
    pub(super) async fn pods(&self, ctx: &Ctx, labels: &str) -> Result<Vec<Pod>> {
        let api = self.api::<Pod>();
        let params = ListParams::default().labels(labels);
        let what = format!("could not look for pods with {labels}");
        let list = self.ask(ctx, &what, || api.list(&params)).await?;
        Ok(list.items)
    }
}

/// True if the pod takes connections and will go on doing so.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .flatten()
            .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// True once every container has ended for good.
pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Its phase.
pub(super) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or("Unknown")
}

/// The statuses of its containers, init containers first.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// How often its containers were started again.
pub(super) fn restarts(pod: &Pod) -> i32 {
    containers(pod).map(|c| c.restart_count).sum()
}

/// What holds a pod up, or nothing: it cannot be scheduled, its image cannot be pulled, its
/// program ends again and again.
pub(super) fn trouble(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref().filter(|_| phase(pod) == "Failed") {
        let message = status.message.as_deref().unwrap_or_default();
        return Some(clean(&format!("pod {name} failed: {reason} {message}")));
    }
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions
        .clone()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        let reason = condition.reason.as_deref().unwrap_or("not scheduled");
        let message = condition.message.as_deref().unwrap_or_default();
        return Some(clean(&format!("pod {name} is {reason}: {message}")));
    }
    containers(pod).find_map(|container| {
        let state = container.state.as_ref()?;
        let about = about_container(container, state)?;
        Some(clean(&format!("pod {name}: {about}")))
    })
}

fn about_container(container: &ContainerStatus, state: &ContainerState) -> Option<String> {
    let name = &container.name;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting.message.as_deref().unwrap_or_default();
        let last = container.last_state.as_ref().and_then(ended);
        let last = last.map_or_else(String::new, |last| format!("; the last time it {last}"));
        return Some(format!("container {name} is in {reason} {message}{last}"));
    }
    let ended = ended(state)?;
    Some(format!("container {name} {ended}"))
}

/// How a container ended, if it ended badly.
fn ended(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref().filter(|t| t.exit_code != 0)?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    Some(format!(
        "ended with exit code {} ({reason})",
        ended.exit_code
    ))
}
