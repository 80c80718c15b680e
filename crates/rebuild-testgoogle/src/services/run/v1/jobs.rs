//! Jobs, and executing them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Run;
use super::super::names::{not_found, short};
use super::executions::older as older_execution;
use super::meta::{self, Asked, with};
use super::{annotations, containers};
use crate::call::{Call, Result};
use crate::state::{State, lock};

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.namespaces.jobs.get", run, get);
    registry.on("run.namespaces.jobs.list", run, list);
    registry.on("run.namespaces.jobs.run", run, execute);
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    Ok(older(&find(&run, &call)?).into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::all(&call);
    let all = lock(&run.jobs).clone();
    let all = all.iter().filter(|(name, _)| asked.covers(name));
    Ok(meta::list(&call, "JobList", all.map(|(_, job)| older(job))).into())
}

async fn execute(run: Arc<Run>, call: Call) -> Result {
    let job = find(&run, &call)?;
    let name = job["name"].as_str().unwrap_or_default();
    let overrides = &call.body["overrides"];
    let mut newer = overrides.clone();
    if let Some(fields) = newer.as_object_mut() {
        fields.remove("timeoutSeconds");
    }
    if let Some(seconds) = overrides["timeoutSeconds"].as_i64() {
        newer["timeout"] = format!("{seconds}s").into();
    }
    let execution = run.begin_execution(name, &newer, &call.principal)?;
    Ok(older_execution(&run.execution(&execution)?.value()).into())
}

fn find(run: &Run, call: &Call) -> Result<Value> {
    let asked = Asked::one(call);
    let jobs = lock(&run.jobs);
    let found = jobs.iter().find(|(name, _)| asked.is(name));
    found
        .map(|(_, job)| job.clone())
        .ok_or_else(|| not_found("Job", call.param("name")))
}

fn older(job: &Value) -> Value {
    let template = &job["template"];
    let spec = with(
        json!({"template": {"spec": task(&template["template"])}}),
        [
            ("taskCount", &template["taskCount"]),
            ("parallelism", &template["parallelism"]),
        ],
    );
    let status = with(
        json!({"conditions": meta::conditions([&job["terminalCondition"]])}),
        [
            (
                "observedGeneration",
                &meta::number(&job["observedGeneration"]),
            ),
            ("executionCount", &job["executionCount"]),
            (
                "latestCreatedExecution",
                &latest(&job["latestCreatedExecution"]),
            ),
        ],
    );
    json!({
        "apiVersion": "run.googleapis.com/v1", "kind": "Job",
        "metadata": meta::metadata(job, &[], json!({})),
        "spec": {"template": {
            "metadata": {"annotations": annotations::of_template(&template["template"])},
            "spec": spec,
        }},
        "status": status,
    })
}

fn latest(execution: &Value) -> Value {
    let Some(name) = execution["name"].as_str() else {
        return Value::Null;
    };
    with(
        json!({"name": short(name)}),
        [
            ("creationTimestamp", &execution["createTime"]),
            ("completionTimestamp", &execution["completionTime"]),
        ],
    )
}

/// A template of tasks in the older form.
pub(super) fn task(template: &Value) -> Value {
    let timeout = meta::seconds(&template["timeout"]).map(|it| it.to_string());
    with(
        json!({"containers": containers::older(&template["containers"])}),
        [
            ("volumes", &containers::older_volumes(&template["volumes"])),
            ("maxRetries", &template["maxRetries"]),
            ("timeoutSeconds", &json!(timeout)),
            ("serviceAccountName", &template["serviceAccount"]),
        ],
    )
}
