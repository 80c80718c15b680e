//! The values that the server fills in where a manifest says nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::object::{map, text};
use crate::resources::Resource;

/// Fills in what is missing.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    match resource.kind {
        "Pod" => pod_spec(&mut object["spec"]),
        "Deployment" => deployment(&mut object["spec"]),
        "ReplicaSet" => {
            set(&mut object["spec"], "replicas", json!(1));
            pod_spec(&mut object["spec"]["template"]["spec"]);
        }
        "StatefulSet" => stateful_set(&mut object["spec"]),
        "Job" => job(&mut object["spec"]),
        "CronJob" => {
            let spec = &mut object["spec"];
            set(spec, "suspend", json!(false));
            set(spec, "concurrencyPolicy", json!("Allow"));
            set(spec, "successfulJobsHistoryLimit", json!(3));
            set(spec, "failedJobsHistoryLimit", json!(1));
            pod_spec(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
        }
        "Service" => service(&mut object["spec"]),
        "PersistentVolumeClaim" => set(&mut object["spec"], "volumeMode", json!("Filesystem")),
        "PersistentVolume" => {
            let spec = &mut object["spec"];
            set(spec, "volumeMode", json!("Filesystem"));
            set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        }
        "StorageClass" => {
            set(object, "reclaimPolicy", json!("Delete"));
            set(object, "volumeBindingMode", json!("Immediate"));
        }
        "Secret" => secret(object),
        _ => {}
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    map(object).entry(field).or_insert(value);
}

fn pod_spec(spec: &mut Value) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            let image = text(container, "/image");
            let tag = image
                .rsplit('/')
                .next()
                .and_then(|last| last.split_once(':'));
            let latest = tag.is_none_or(|(_, tag)| tag == "latest") && !image.contains('@');
            let policy = if latest { "Always" } else { "IfNotPresent" };
            set(container, "imagePullPolicy", json!(policy));
            set(container, "resources", json!({}));
            set(
                container,
                "terminationMessagePath",
                json!("/dev/termination-log"),
            );
            set(container, "terminationMessagePolicy", json!("File"));
            for port in each(container, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
    for volume in each(spec, "volumes") {
        for source in ["secret", "configMap"] {
            if volume.get(source).is_some() {
                set(&mut volume[source], "defaultMode", json!(420));
            }
        }
    }
}

/// The elements of a list, none if it is not there: indexing would put a null in its place.
fn each<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn deployment(spec: &mut Value) {
    set(spec, "replicas", json!(1));
    set(spec, "progressDeadlineSeconds", json!(600));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "strategy", json!({"type": "RollingUpdate"}));
    set(&mut spec["strategy"], "type", json!("RollingUpdate"));
    if spec["strategy"]["type"] == "RollingUpdate" {
        set(&mut spec["strategy"], "rollingUpdate", json!({}));
        let rolling = &mut spec["strategy"]["rollingUpdate"];
        set(rolling, "maxSurge", json!("25%"));
        set(rolling, "maxUnavailable", json!("25%"));
    }
    pod_spec(&mut spec["template"]["spec"]);
}

fn stateful_set(spec: &mut Value) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "podManagementPolicy", json!("OrderedReady"));
    set(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(
            &mut spec["updateStrategy"],
            "rollingUpdate",
            json!({"partition": 0}),
        );
    }
    set(
        spec,
        "persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    pod_spec(&mut spec["template"]["spec"]);
    for claim in each(spec, "volumeClaimTemplates") {
        set(claim, "apiVersion", json!("v1"));
        set(claim, "kind", json!("PersistentVolumeClaim"));
        set(&mut claim["spec"], "volumeMode", json!("Filesystem"));
        set(claim, "status", json!({"phase": "Pending"}));
    }
}

fn job(spec: &mut Value) {
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    // Where each index has a limit of its own, all of them together have none.
    let limit = match spec.get("backoffLimitPerIndex") {
        Some(_) => i32::MAX,
        None => 6,
    };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    pod_spec(&mut spec["template"]["spec"]);
}

fn service(spec: &mut Value) {
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "clusterIP", json!("10.96.0.10"));
    for port in each(spec, "ports") {
        set(port, "protocol", json!("TCP"));
        let target = port["port"].clone();
        set(port, "targetPort", target);
    }
}

fn secret(object: &mut Value) {
    set(object, "type", json!("Opaque"));
    if let Some(Value::Object(plain)) = map(object).remove("stringData") {
        for (key, value) in plain {
            let bytes = value.as_str().unwrap_or_default().as_bytes();
            object["data"][key] = json!(STANDARD.encode(bytes));
        }
    }
}
