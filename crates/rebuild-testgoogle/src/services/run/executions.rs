//! Executions of jobs.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::Run;
use super::names::{not_found, page, part, short};
use crate::call::{Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::google::Google;
use crate::state::{State, lock};

/// An execution, as far as it is.
pub(crate) struct Execution {
    pub(super) name: String,
    value: Mutex<Value>,
    /// Who cancelled it.
    pub(super) cancelled: watch::Sender<Option<String>>,
}

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.projects.locations.jobs.executions.get", run, get);
    registry.on("run.projects.locations.jobs.executions.list", run, list);
    registry.on("run.projects.locations.jobs.executions.cancel", run, cancel);
}

impl Google {
    /// The executions of a job, the oldest first, as the API shows them.
    pub fn executions(&self, region: &str, job: &str) -> Vec<Value> {
        let parent = format!("projects/{}/locations/{region}/jobs/{job}", self.project());
        self.services.run.of_job(&parent)
    }
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    Ok(run.execution(call.param("name"))?.value().into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let mut all = run.of_job(call.param("parent"));
    all.reverse();
    let (executions, next) = page(&call, all);
    Ok(json!({"executions": executions, "nextPageToken": next}).into())
}

async fn cancel(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name");
    run.execution(name)?.cancel(&call.principal)?;
    Ok(run.begin(name).into())
}

impl Run {
    pub(super) fn execution(&self, name: &str) -> Result<Arc<Execution>> {
        let all = lock(&self.executions);
        let found = all.iter().find(|execution| execution.name == name).cloned();
        found.ok_or_else(|| not_found("Execution", name))
    }

    fn of_job(&self, job: &str) -> Vec<Value> {
        let prefix = format!("{job}/executions/");
        let all = lock(&self.executions);
        let all = all.iter().filter(|e| e.name.starts_with(&prefix));
        all.map(|execution| execution.value()).collect()
    }

    /// Begins an execution, and gives its name.
    pub(super) fn execute(self: &Arc<Self>, job: &str, template: &Value, creator: &str) -> String {
        let suffix = &Uuid::new_v4().simple().to_string()[..5];
        let name = format!("{job}/executions/{}-{suffix}", short(job));
        let now = clock::format(Timestamp::now());
        let count = template["taskCount"].as_i64().unwrap_or(1).max(1);
        let value = json!({
            "name": name, "uid": Uuid::new_v4(), "creator": creator, "generation": "1",
            "createTime": now, "updateTime": now, "job": short(job), "taskCount": count,
            "parallelism": template["parallelism"].as_i64().unwrap_or(count.min(8)),
            "template": template["template"], "reconciling": true,
            "runningCount": 0, "succeededCount": 0, "failedCount": 0, "cancelledCount": 0,
            "retriedCount": 0, "etag": format!("\"{}\"", Uuid::new_v4().simple()),
            "logUri": format!("https://console.cloud.google.com/logs/viewer?project={}",
                part(job, "projects")),
            "conditions": [condition("Completed", "CONDITION_RECONCILING", "")],
        });
        let execution = Arc::new(Execution {
            name: name.clone(),
            value: Mutex::new(value),
            cancelled: watch::Sender::new(None),
        });
        lock(&self.executions).push(execution.clone());
        tokio::spawn(super::tasks::run(self.clone(), execution));
        name
    }
}

impl Execution {
    /// As the API shows it.
    pub(crate) fn value(&self) -> Value {
        lock(&self.value).clone()
    }

    /// Ends it at somebody's wish.
    pub(super) fn cancel(&self, by: &str) -> Result<()> {
        if self.value()["reconciling"] != true {
            let said = format!("Execution '{}' has already completed.", short(&self.name));
            return Err(ApiError::new(400, said).status("FAILED_PRECONDITION"));
        }
        self.cancelled.send_replace(Some(by.to_owned()));
        Ok(())
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut value = lock(&self.value);
        change(&mut value);
        value["updateTime"] = clock::format(Timestamp::now()).into();
    }

    /// Adds to a count.
    pub(super) fn count(&self, name: &str, by: i64) {
        self.change(|value| value[name] = (value[name].as_i64().unwrap_or(0) + by).into());
    }
}

pub(super) fn condition(kind: &str, state: &str, message: &str) -> Value {
    let now = clock::format(Timestamp::now());
    json!({"type": kind, "state": state, "message": message, "lastTransitionTime": now})
}
