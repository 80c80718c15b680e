//! The `scale` subresource: the number of replicas as an object of its own.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Options, find, replace};
use crate::object::number;
use crate::status::Result;
use crate::store::{Key, Store};

/// The scale of a workload.
pub(crate) fn scale_of(store: &Store, key: &Key) -> Result<Value> {
    let object = find(store, key)?;
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    Ok(json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": number(&object, "/spec/replicas").unwrap_or(1)},
        "status": {
            "replicas": number(&object, "/status/replicas").unwrap_or(0),
            "selector": selector.join(","),
        },
    }))
}

/// Sets the number of replicas from a Scale object.
pub(crate) fn set_scale(
    store: &mut Store,
    key: &Key,
    scale: &Value,
    options: &Options,
) -> Result<Value> {
    let mut object = Value::clone(&*find(store, key)?);
    let version = &scale["metadata"]["resourceVersion"];
    if !version.is_null() {
        object["metadata"]["resourceVersion"] = version.clone();
    }
    object["spec"]["replicas"] = json!(number(scale, "/spec/replicas").unwrap_or(0));
    let stored: Arc<Value> = replace(store, key, object, None, options)?;
    let mut answer = scale_of(store, key)?;
    answer["spec"]["replicas"] = stored["spec"]["replicas"].clone();
    Ok(answer)
}
