//! Events: what the parts of the cluster tell about objects.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::object::{self, number};
use crate::resources::EVENTS;
use crate::store::{Key, Store};

/// Tells something about an object. What was told before is counted.
pub(crate) fn record(store: &mut Store, about: &Value, kind: &str, reason: &str, message: &str) {
    let namespace = match object::namespace(about) {
        "" => "default",
        namespace => namespace,
    };
    let all = store.snapshot(&EVENTS, Some(namespace));
    let known = all.into_iter().find(|event| {
        event["involvedObject"]["uid"] == about["metadata"]["uid"]
            && event["reason"] == reason
            && event["message"] == message
    });
    let now = clock::now();
    let event = match known {
        // Controllers look at an object after every change, this one included: what is told again
        // and again is counted once a second.
        Some(known) if known["lastTimestamp"] == now => return,
        Some(known) => {
            let mut event = (*known).clone();
            event["count"] = json!(number(&event, "/count").unwrap_or(1) + 1);
            event["lastTimestamp"] = json!(now);
            event
        }
        None => json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": format!("{}.{}", object::name(about), &Uuid::new_v4().simple().to_string()[..16]),
                "namespace": namespace, "uid": Uuid::new_v4().to_string(),
                "creationTimestamp": now,
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"], "kind": about["kind"],
                "name": about["metadata"]["name"], "namespace": namespace,
                "uid": about["metadata"]["uid"],
                "resourceVersion": about["metadata"]["resourceVersion"],
            },
            "type": kind, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": "testkube"}, "reportingComponent": "testkube",
        }),
    };
    let key = Key::of(&EVENTS, &event);
    store.put(key, event);
}
