//! What controllers of pods have in common.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::events;
use crate::object::{self, condition_is, is_deleting, namespace, text};
use crate::resources::PODS;
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions, Options};

/// The pods that an object controls, by name.
pub(super) fn pods_of(store: &Store, owner: &Value) -> Vec<Arc<Value>> {
    let mut pods = store.snapshot(&PODS, Some(namespace(owner)));
    pods.retain(|pod| object::is_controlled_by(pod, owner));
    pods
}

/// A pod from the template of its controller.
pub(super) fn pod_from(owner: &Value, template: &Value) -> Value {
    let mut pod = json!({
        "metadata": template["metadata"].clone(), "spec": template["spec"].clone(),
    });
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    pod["metadata"]["namespace"] = json!(namespace(owner));
    pod["metadata"]["ownerReferences"] = json!([object::controller_reference(owner)]);
    pod
}

/// Creates a pod, and tells it as an event of its controller.
pub(super) fn create(store: &mut Store, owner: &Value, pod: Value) {
    match write::create(store, &PODS, namespace(owner), pod, &Options::default()) {
        Ok(pod) => {
            let message = format!("Created pod: {}", object::name(&pod));
            events::record(store, owner, "Normal", "SuccessfulCreate", &message);
        }
        Err(error) => {
            let message = format!("Error creating: {}", text(&error.to_value(), "/message"));
            events::record(store, owner, "Warning", "FailedCreate", &message);
        }
    }
}

/// Deletes a pod, if that was not asked for already.
pub(super) fn delete(store: &mut Store, pod: &Value) {
    if !is_deleting(pod) {
        // What is gone by now is what was asked for.
        let _ = write::delete(store, &Key::of(&PODS, pod), &DeleteOptions::default());
    }
}

pub(super) fn is_ready(pod: &Value) -> bool {
    condition_is(pod, "Ready", "True") && !is_deleting(pod)
}

pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A name for the content of a template: the same for the same content.
pub(super) fn revision_of(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

/// A number of pods from `maxSurge` or `maxUnavailable`, which can be per cent of all.
pub(super) fn share(value: &Value, of: i64, round_up: bool) -> i64 {
    let Some(percent) = value.as_str().and_then(|text| text.strip_suffix('%')) else {
        return value.as_i64().unwrap_or(0);
    };
    let product = percent.parse::<i64>().unwrap_or(0) * of;
    if round_up {
        (product + 99) / 100
    } else {
        product / 100
    }
}
