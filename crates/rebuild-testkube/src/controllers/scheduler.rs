//! The scheduler: pods go to the one node, if they can.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::object::{condition, is_deleting, items, namespace, set_condition, text};
use crate::resources::{CLAIMS, NODES, PODS};
use crate::store::{Key, Store};
use crate::{events, node, write};

/// Gives pods their node, or says why they have none.
pub(super) fn reconcile(store: &mut Store) {
    for pod in store.snapshot(&PODS, None) {
        if !text(&pod, "/spec/nodeName").is_empty() || is_deleting(&pod) {
            continue;
        }
        let key = Key::of(&PODS, &pod);
        match obstacle(store, &pod) {
            None => write::modify(store, &key, |pod| {
                pod["spec"]["nodeName"] = json!(node::NAME);
                set_condition(pod, "PodScheduled", true, "", "");
            }),
            Some(why) => refuse(store, &key, &pod, &why),
        }
    }
}

fn refuse(store: &mut Store, key: &Key, pod: &Arc<Value>, why: &str) {
    let why = format!(
        "0/1 nodes are available: {why}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    let known = condition(pod, "PodScheduled").is_some_and(|it| it["message"] == *why);
    if !known {
        write::modify(store, key, |pod| {
            set_condition(pod, "PodScheduled", false, "Unschedulable", &why);
        });
        events::record(store, pod, "Warning", "FailedScheduling", &why);
    }
}

fn obstacle(store: &Store, pod: &Value) -> Option<String> {
    let node = store.get(&Key::new(&NODES, "", node::NAME))?;
    if node["spec"]["unschedulable"] == true {
        return Some("1 node(s) were unschedulable".to_owned());
    }
    let wanted = pod["spec"]["nodeSelector"]
        .as_object()
        .into_iter()
        .flatten();
    let labels = &node["metadata"]["labels"];
    if wanted.into_iter().any(|(key, value)| labels[key] != *value) {
        return Some("1 node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    for volume in items(pod, "/spec/volumes") {
        let name = text(volume, "/persistentVolumeClaim/claimName");
        if name.is_empty() {
            continue;
        }
        match store.get(&Key::new(&CLAIMS, namespace(pod), name)) {
            None => return Some(format!("persistentvolumeclaim \"{name}\" not found")),
            Some(claim) if is_deleting(claim) => {
                return Some(format!("persistentvolumeclaim \"{name}\" is being deleted"));
            }
            Some(claim) if text(claim, "/status/phase") != "Bound" => {
                return Some("pod has unbound immediate PersistentVolumeClaims".to_owned());
            }
            Some(_) => {}
        }
    }
    None
}
