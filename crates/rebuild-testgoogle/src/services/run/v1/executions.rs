//! Executions of jobs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Run;
use super::super::executions::Execution;
use super::super::names::{not_found, part, short};
use super::jobs::task;
use super::meta::{self, Asked, with};
use crate::call::{Call, Result};
use crate::state::{State, lock};

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.namespaces.executions.get", run, get);
    registry.on("run.namespaces.executions.list", run, list);
    registry.on("run.namespaces.executions.cancel", run, cancel);
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    Ok(older(&find(&run, &call)?.value()).into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let asked = Asked::all(&call);
    let all = lock(&run.executions).clone();
    let newest_first = all.iter().rev().filter(|it| asked.covers(&it.name));
    let all = newest_first.map(|execution| older(&execution.value()));
    Ok(meta::list(&call, "ExecutionList", all).into())
}

async fn cancel(run: Arc<Run>, call: Call) -> Result {
    let execution = find(&run, &call)?;
    execution.cancel(&call.principal)?;
    Ok(older(&execution.value()).into())
}

fn find(run: &Run, call: &Call) -> Result<Arc<Execution>> {
    let asked = Asked::one(call);
    let all = lock(&run.executions);
    let found = all.iter().find(|it| asked.is(&it.name)).cloned();
    found.ok_or_else(|| not_found("Execution", call.param("name")))
}

/// An execution in the older form.
pub(super) fn older(execution: &Value) -> Value {
    let name = execution["name"].as_str().unwrap_or_default();
    let labels = [("run.googleapis.com/job", short(part(name, "jobs")))];
    let conditions = execution["conditions"].as_array().into_iter().flatten();
    let mut status = json!({"conditions": meta::conditions(conditions)});
    for field in [
        "startTime",
        "completionTime",
        "runningCount",
        "succeededCount",
        "failedCount",
        "cancelledCount",
        "retriedCount",
        "logUri",
    ] {
        status = with(status, [(field, &execution[field])]);
    }
    let observed = meta::number(&execution["observedGeneration"]);
    json!({
        "apiVersion": "run.googleapis.com/v1", "kind": "Execution",
        "metadata": meta::metadata(execution, &labels, json!({})),
        "spec": {
            "taskCount": execution["taskCount"], "parallelism": execution["parallelism"],
            "template": {"spec": task(&execution["template"])},
        },
        "status": with(status, [("observedGeneration", &observed)]),
    })
}
