//! What the server says that it serves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::resources::Resource;
use crate::state::State;

/// The document at a path of discovery, if it is one.
pub(super) fn discover(state: &State, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "2025-04-23T13:07:12Z", "goVersion": "go1.24.2",
            "compiler": "gc", "platform": "linux/amd64",
        })),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => {
            let groups = groups(state).into_iter();
            let groups: Vec<Value> = groups.map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => groups(state).get(name).map(|name| group(name)),
        ["api", "v1"] => resources(state, ""),
        ["apis", name, "v1"] => resources(state, name),
        _ => None,
    }
}

fn groups(state: &State) -> BTreeSet<&'static str> {
    let groups = state.served().map(|resource| resource.group);
    groups.filter(|group| !group.is_empty()).collect()
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name,
        "versions": [version], "preferredVersion": version,
    })
}

fn resources(state: &State, group: &str) -> Option<Value> {
    let served = state.served().filter(|resource| resource.group == group);
    let entries: Vec<Value> = served.flat_map(entries).collect();
    if entries.is_empty() {
        return None;
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
        "resources": entries,
    }))
}

fn entries(resource: &'static Resource) -> Vec<Value> {
    let verbs: &[&str] = if resource.is_review() {
        &["create"]
    } else {
        &[
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ]
    };
    let mut entries = vec![json!({
        "name": resource.plural, "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
        "shortNames": resource.short,
        "categories": if has_category(resource) { vec!["all"] } else { vec![] },
    })];
    for subresource in resource.subresources {
        let (kind, verbs): (&str, &[&str]) = match *subresource {
            "scale" => ("Scale", &["get", "patch", "update"]),
            "eviction" => ("Eviction", &["create"]),
            "exec" => ("PodExecOptions", &["create", "get"]),
            "attach" => ("PodAttachOptions", &["create", "get"]),
            "portforward" => ("PodPortForwardOptions", &["create", "get"]),
            "log" => (resource.kind, &["get"]),
            _ => (resource.kind, &["get", "patch", "update"]),
        };
        let mut entry = json!({
            "name": format!("{}/{subresource}", resource.plural), "singularName": "",
            "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
        });
        let of_group = match kind {
            "Scale" => Some("autoscaling"),
            "Eviction" => Some("policy"),
            _ => None,
        };
        if let Some(group) = of_group {
            entry["group"] = json!(group);
            entry["version"] = json!("v1");
        }
        entries.push(entry);
    }
    entries
}

/// What `kubectl get all` shows.
fn has_category(resource: &Resource) -> bool {
    matches!(
        resource.kind,
        "Pod" | "Service" | "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob"
    )
}
