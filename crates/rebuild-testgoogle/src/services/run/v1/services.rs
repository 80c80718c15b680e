//! Services and their revisions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Run;
use super::super::names::{not_found, part, short};
use super::super::services::{CHANGED, Service};
use super::meta::{self, Asked, with};
use super::{annotations, containers};
use crate::call::{Call, Result};
use crate::state::{State, lock};

const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.namespaces.services.get", run, get);
    registry.on("run.namespaces.services.list", run, list);
    registry.on("run.namespaces.services.replaceService", run, replace);
    registry.on("run.namespaces.services.delete", run, delete);
    registry.on("run.namespaces.revisions.get", run, get_revision);
    registry.on("run.namespaces.revisions.list", run, list_revisions);
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::one(&call);
    let mut all = lock(&run.services);
    let found = all.iter_mut().find(|(name, _)| asked.is(name));
    let (_, service) = found.ok_or_else(|| not_found("Service", call.param("name")))?;
    service.look();
    Ok(older(&service.value).into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::all(&call);
    Ok(listed(&run, &call, |name| asked.covers(name)).into())
}

/// The services that fit, as a list of the older API.
pub(in super::super) fn listed(run: &Run, call: &Call, fits: impl Fn(&str) -> bool) -> Value {
    let all = lock(&run.services);
    let all = all.iter().filter(|(name, _)| fits(name));
    meta::list(call, "ServiceList", all.map(|(_, it)| older(&it.value)))
}

async fn replace(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::one(&call);
    let fields = newer(&call.body)?;
    let mut all = lock(&run.services);
    let found = all.iter_mut().find(|(name, _)| asked.is(name));
    let (_, service) = found.ok_or_else(|| not_found("Service", call.param("name")))?;
    let etag = call.text("/metadata/resourceVersion");
    service.patch(etag, CHANGED, &fields)?;
    Ok(older(&service.value).into())
}

async fn delete(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::one(&call);
    let mut all = lock(&run.services);
    let name = all.keys().find(|name| asked.is(name)).cloned();
    let name = name.ok_or_else(|| not_found("Service", call.param("name")))?;
    all.remove(&name);
    Ok(json!({"status": "Success"}).into())
}

async fn get_revision(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::one(&call);
    let found = revisions(&run).into_iter().find(|(name, _)| asked.is(name));
    let (_, revision) = found.ok_or_else(|| not_found("Revision", call.param("name")))?;
    Ok(revision.into())
}

async fn list_revisions(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::all(&call);
    let all = revisions(&run).into_iter();
    let all = all.filter(|(name, _)| asked.covers(name));
    Ok(meta::list(&call, "RevisionList", all.map(|(_, it)| it)).into())
}

/// All revisions, with their full names.
fn revisions(run: &Run) -> Vec<(String, Value)> {
    let all = lock(&run.services);
    let mut found = Vec::new();
    for (service, it) in all.iter() {
        for (name, template) in &it.revisions {
            let full = format!("{service}/revisions/{name}");
            found.push((full.clone(), revision(&full, it, template)));
        }
    }
    found
}

fn revision(name: &str, service: &Service, template: &Value) -> Value {
    let own = json!({
        "name": name, "createTime": service.value["createTime"], "generation": "1",
        "labels": template["labels"],
    });
    let labels = [("serving.knative.dev/service", part(name, "services"))];
    let ready = json!({"type": "Ready", "state": "CONDITION_SUCCEEDED"});
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": meta::metadata(&own, &labels, annotations::of_template(template)),
        "spec": spec(template),
        "status": {"observedGeneration": 1, "conditions": meta::conditions([&ready])},
    })
}

fn older(service: &Value) -> Value {
    let template = &service["template"];
    let metadata = with(
        json!({"annotations": annotations::of_template(template)}),
        [
            ("name", &template["revision"]),
            ("labels", &template["labels"]),
        ],
    );
    let name = service["name"].as_str().unwrap_or_default();
    let project = part(name, "projects");
    let url = format!("https://{}-{project}.run.app", short(name));
    let latest = |field: &str| json!(service[field].as_str().map(short));
    let status = with(
        json!({"conditions": ready(service), "url": url, "address": {"url": url}}),
        [
            (
                "observedGeneration",
                &meta::number(&service["observedGeneration"]),
            ),
            (
                "latestCreatedRevisionName",
                &latest("latestCreatedRevision"),
            ),
            ("latestReadyRevisionName", &latest("latestReadyRevision")),
            ("traffic", &traffic(&service["trafficStatuses"])),
        ],
    );
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": meta::metadata(service, &[], annotations::of_service(service)),
        "spec": {
            "template": {"metadata": metadata, "spec": spec(template)},
            "traffic": traffic(&service["traffic"]),
        },
        "status": status,
    })
}

/// The condition of a service, and those of its parts, which are no other here.
fn ready(service: &Value) -> Value {
    let whole = &service["terminalCondition"];
    let part = |kind: &str| {
        let mut part = whole.clone();
        part["type"] = kind.into();
        part
    };
    let parts = [part("ConfigurationsReady"), part("RoutesReady")];
    meta::conditions([whole].into_iter().chain(&parts))
}

fn spec(template: &Value) -> Value {
    with(
        json!({"containers": containers::older(&template["containers"])}),
        [
            ("volumes", &containers::older_volumes(&template["volumes"])),
            (
                "containerConcurrency",
                &template["maxInstanceRequestConcurrency"],
            ),
            (
                "timeoutSeconds",
                &json!(meta::seconds(&template["timeout"])),
            ),
            ("serviceAccountName", &template["serviceAccount"]),
        ],
    )
}

fn traffic(targets: &Value) -> Value {
    let targets = targets.as_array().into_iter().flatten();
    let older = targets.map(|target| {
        let mut older = json!({"percent": target["percent"].as_i64().unwrap_or(0)});
        if target["type"] == LATEST {
            older["latestRevision"] = true.into();
        }
        let revision = json!(target["revision"].as_str().map(short));
        with(
            older,
            [("revisionName", &revision), ("tag", &target["tag"])],
        )
    });
    older.collect()
}

/// A service of the older form in the newer one: what a caller may set.
fn newer(service: &Value) -> Result<Value> {
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let mut fields = annotations::to_service(&metadata["annotations"])?;
    fields["template"] = newer_template(&spec["template"])?;
    let mut labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    labels.retain(|name, _| !name.starts_with("cloud.googleapis.com/"));
    fields["labels"] = labels.into();
    let targets = spec["traffic"].as_array().into_iter().flatten();
    let targets: Value = targets
        .map(|target| {
            let kind = if target["latestRevision"] == true {
                LATEST
            } else {
                REVISION
            };
            with(
                json!({"type": kind}),
                [
                    ("percent", &target["percent"]),
                    ("revision", &target["revisionName"]),
                    ("tag", &target["tag"]),
                ],
            )
        })
        .collect();
    fields["traffic"] = targets;
    Ok(fields)
}

fn newer_template(template: &Value) -> Result<Value> {
    let (metadata, spec) = (&template["metadata"], &template["spec"]);
    let mut newer = annotations::to_template(&metadata["annotations"])?;
    let mut volumes = containers::newer_volumes(&spec["volumes"])?;
    volumes.extend(newer["volumes"].as_array().cloned().unwrap_or_default());
    if !volumes.is_empty() {
        newer["volumes"] = volumes.into();
    }
    let timeout = spec["timeoutSeconds"].as_i64().map(|it| format!("{it}s"));
    Ok(with(
        newer,
        [
            ("revision", &metadata["name"]),
            ("labels", &metadata["labels"]),
            ("containers", &containers::newer(&spec["containers"])?),
            (
                "maxInstanceRequestConcurrency",
                &spec["containerConcurrency"],
            ),
            ("timeout", &json!(timeout)),
            ("serviceAccount", &spec["serviceAccountName"]),
        ],
    ))
}
