//! What the server refuses to store.

use serde_json::Value;

use crate::object::{name, text};
use crate::resources::{self, Resource};
use crate::selector::Selector;
use crate::status::{ApiError, Result};

/// Names are DNS subdomains: small letters, digits, `-` and `.`.
pub(crate) fn check_name(resource: &Resource, name: &str) -> Result<()> {
    // Roles may have colons in their names.
    let is_letter = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.')
    };
    let edge = |letter: Option<char>| letter.is_some_and(|it| it.is_ascii_alphanumeric());
    let is_name = name.chars().all(is_letter)
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.len() <= 253;
    if is_name || resource.group == "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let why = format!(
        "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
         alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
    );
    Err(ApiError::invalid(resource, name, "metadata.name", &why))
}

/// Rules for an object that is to be created.
pub(crate) fn check_new(resource: &Resource, new: &Value) -> Result<()> {
    let invalid = |field: &str, why: &str| Err(ApiError::invalid(resource, name(new), field, why));
    let template = match resource.kind {
        "Pod" => new,
        "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" => &new["spec"]["template"],
        "CronJob" => &new["spec"]["jobTemplate"]["spec"]["template"],
        "PersistentVolumeClaim" => {
            if text(new, "/spec/resources/requests/storage").is_empty() {
                return invalid("spec.resources[storage]", "Required value");
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if template["spec"]["containers"]
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        return invalid("spec.template.spec.containers", "Required value");
    }
    if matches!(resource.kind, "Deployment" | "StatefulSet" | "ReplicaSet") {
        if new["spec"]["selector"]
            .as_object()
            .is_none_or(|it| it.is_empty())
        {
            return invalid("spec.selector", "Required value");
        }
        if !Selector::of_object(&new["spec"]["selector"]).matches(template) {
            let why = "Invalid value: `selector` does not match template `labels`";
            return invalid("spec.template.metadata.labels", why);
        }
    }
    let policy = text(template, "/spec/restartPolicy");
    if matches!(resource.kind, "Job" | "CronJob") && policy == "Always" {
        let why = "Required value: valid values: \"OnFailure\", \"Never\"";
        return invalid("spec.template.spec.restartPolicy", why);
    }
    if resource.kind == "Job" {
        return check_indexes(resource, new, policy);
    }
    Ok(())
}

/// A limit for each index needs indexes, and pods that are replaced when they fail.
fn check_indexes(resource: &Resource, job: &Value, policy: &str) -> Result<()> {
    let invalid = |field: &str, why: &str| Err(ApiError::invalid(resource, name(job), field, why));
    let spec = &job["spec"];
    let indexed = spec["completionMode"] == "Indexed";
    if indexed && spec["completions"].is_null() {
        let why = "Required value: when completion mode is Indexed";
        return invalid("spec.completions", why);
    }
    let limited = !spec["backoffLimitPerIndex"].is_null();
    if limited && !indexed {
        let why = "Invalid value: requires indexed completion mode";
        return invalid("spec.backoffLimitPerIndex", why);
    }
    if !limited && !spec["maxFailedIndexes"].is_null() {
        let why = "Required value: when maxFailedIndexes is specified";
        return invalid("spec.backoffLimitPerIndex", why);
    }
    let replaced = limited || !spec["podFailurePolicy"].is_null();
    if replaced && policy != "Never" {
        let why = "Invalid value: only \"Never\" is supported with backoffLimitPerIndex or \
                   podFailurePolicy";
        return invalid("spec.template.spec.restartPolicy", why);
    }
    Ok(())
}

/// Rules for a change of an object that is there: much of a spec is fixed once it is created.
pub(crate) fn check_change(resource: &Resource, old: &Value, new: &Value) -> Result<()> {
    let changed = |field: &str| new["spec"].get(field) != old["spec"].get(field);
    let invalid = |field: &str, why: &str| Err(ApiError::invalid(resource, name(new), field, why));
    match resource.kind {
        "StatefulSet" => {
            let free = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ];
            if differs_outside(&old["spec"], &new["spec"], &free) {
                let why = "Forbidden: updates to statefulset spec for fields other than \
                           'replicas', 'ordinals', 'template', 'updateStrategy', \
                           'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                           'minReadySeconds' are forbidden";
                return invalid("spec", why);
            }
        }
        "Deployment" | "ReplicaSet" if changed("selector") => {
            return invalid("spec.selector", "Invalid value: field is immutable");
        }
        "Job" => {
            for field in ["selector", "completionMode", "template"] {
                if changed(field) {
                    let field = format!("spec.{field}");
                    return invalid(&field, "Invalid value: field is immutable");
                }
            }
        }
        "PersistentVolumeClaim" => {
            let bound = !text(old, "/spec/volumeName").is_empty();
            let free: &[&str] = if bound {
                &["resources"]
            } else {
                &["resources", "volumeName"]
            };
            if differs_outside(&old["spec"], &new["spec"], free) {
                let why = "Forbidden: spec is immutable after creation except \
                           resources.requests and volumeAttributesClassName for bound claims";
                return invalid("spec", why);
            }
        }
        "PersistentVolume" if differs_source(old, new) => {
            let why = "Forbidden: spec.persistentvolumesource is immutable after creation";
            return invalid("spec.persistentvolumesource", why);
        }
        "Pod" => {
            let free = [
                "containers",
                "initContainers",
                "activeDeadlineSeconds",
                "tolerations",
                "nodeName",
                "terminationGracePeriodSeconds",
            ];
            if differs_outside(&old["spec"], &new["spec"], &free) {
                let why = "Forbidden: pod updates may not change fields other than \
                           `spec.containers[*].image`, `spec.activeDeadlineSeconds` and few others";
                return invalid("spec", why);
            }
        }
        _ => {}
    }
    if matches!(resource.kind, "Deployment" | "StatefulSet" | "ReplicaSet") {
        return check_new(resource, new);
    }
    Ok(())
}

/// Some kinds are replaced only by who says which version he has seen.
pub(crate) fn check_version_given(resource: &Resource, new: &Value) -> Result<()> {
    let careful = resource.kind == "Lease" || resource.group == resources::SNAPSHOT;
    if careful && text(new, "/metadata/resourceVersion").is_empty() {
        let why = "Invalid value: 0x0: must be specified for an update";
        return Err(ApiError::invalid(
            resource,
            name(new),
            "metadata.resourceVersion",
            why,
        ));
    }
    Ok(())
}

fn differs_outside(old: &Value, new: &Value, free: &[&str]) -> bool {
    let rest = |spec: &Value| {
        let mut rest = spec.clone();
        for field in free {
            if let Some(map) = rest.as_object_mut() {
                map.remove(*field);
            }
        }
        rest
    };
    rest(old) != rest(new)
}

/// The kinds of places where a volume's data can be.
fn differs_source(old: &Value, new: &Value) -> bool {
    let sources = ["hostPath", "local", "csi", "nfs"];
    let differs = |source: &&str| old["spec"].get(*source) != new["spec"].get(*source);
    sources.iter().any(differs)
}
