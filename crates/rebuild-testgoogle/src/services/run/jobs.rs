//! Jobs, and executing them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Run;
use super::names::{not_found, page, short};
use crate::call::{Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::google::Google;
use crate::state::{State, lock};

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.projects.locations.jobs.get", run, get);
    registry.on("run.projects.locations.jobs.list", run, list);
    registry.on("run.projects.locations.jobs.run", run, execute);
}

impl Google {
    /// Lets a command with its first arguments stand for a container's image.
    pub fn program(&self, image: &str, command: &[&str]) {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        lock(&self.services.run.programs).insert(image.to_owned(), command);
    }

    /// Deploys a job of Cloud Run, with an `ExecutionTemplate` as the API has it.
    pub fn deploy_job(&self, region: &str, job: &str, template: Value) {
        let project = self.project();
        let name = format!("projects/{project}/locations/{region}/jobs/{job}");
        let now = clock::format(Timestamp::now());
        let value = json!({
            "name": name, "uid": Uuid::new_v4(), "generation": "1", "observedGeneration": "1",
            "createTime": now, "updateTime": now, "template": template, "executionCount": 0,
            "reconciling": false, "etag": format!("\"{}\"", Uuid::new_v4().simple()),
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        });
        lock(&self.services.run.jobs).insert(name, value);
    }
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    Ok(run.job(call.param("name"))?.into())
}

async fn list(run: Arc<Run>, call: Call) -> Result {
    let parent = format!("{}/jobs/", call.param("parent"));
    let all = lock(&run.jobs);
    let all = all.iter().filter(|(name, _)| name.starts_with(&parent));
    let (jobs, next) = page(&call, all.map(|(_, job)| job.clone()).collect());
    Ok(json!({"jobs": jobs, "nextPageToken": next}).into())
}

async fn execute(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name");
    let execution = run.begin_execution(name, &call.body["overrides"], &call.principal)?;
    Ok(run.begin(&execution).into())
}

impl Run {
    fn job(&self, name: &str) -> Result<Value> {
        let found = lock(&self.jobs).get(name).cloned();
        found.ok_or_else(|| not_found("Job", name))
    }

    /// Begins an execution of a job that is told some things otherwise, and gives its name.
    pub(super) fn begin_execution(
        self: &Arc<Self>,
        name: &str,
        overrides: &Value,
        creator: &str,
    ) -> Result<String> {
        let template = overridden(&self.job(name)?["template"], overrides)?;
        let execution = self.execute(name, &template, creator);
        if let Some(job) = lock(&self.jobs).get_mut(name) {
            let count = job["executionCount"].as_i64().unwrap_or(0);
            job["executionCount"] = (count + 1).into();
            job["latestCreatedExecution"] = json!({"name": short(&execution)});
        }
        Ok(execution)
    }
}

/// The template with what an execution is told otherwise
/// (<https://cloud.google.com/run/docs/execute/jobs#override-job-configuration>).
fn overridden(template: &Value, overrides: &Value) -> Result<Value> {
    let mut template = template.clone();
    let task = &mut template["template"];
    for own in overrides["containerOverrides"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let named = own["name"].as_str().unwrap_or_default();
        let containers = task["containers"].as_array_mut();
        let found = containers.and_then(|all| {
            let mut all = all.iter_mut();
            all.find(|c| named.is_empty() || c["name"].as_str().unwrap_or_default() == named)
        });
        let Some(container) = found else {
            let said = format!("Container override '{named}' does not match any container");
            return Err(ApiError::new(400, said));
        };
        let args = own["args"].as_array().cloned().unwrap_or_default();
        if own["clearArgs"] == true {
            if !args.is_empty() {
                let said = "clear_args and args cannot both be set";
                return Err(ApiError::new(400, said));
            }
            container["args"] = json!([]);
        } else if !args.is_empty() {
            container["args"] = args.into();
        }
        let env = own["env"].as_array().cloned().unwrap_or_default();
        container["env"] = merged(&container["env"], env);
    }
    if let Some(count) = overrides["taskCount"].as_i64().filter(|count| *count > 0) {
        template["taskCount"] = count.into();
    }
    if overrides["timeout"].is_string() {
        template["template"]["timeout"] = overrides["timeout"].clone();
    }
    Ok(template)
}

fn merged(own: &Value, env: Vec<Value>) -> Value {
    let mut all = own.as_array().cloned().unwrap_or_default();
    all.retain(|old| !env.iter().any(|new| new["name"] == old["name"]));
    all.extend(env);
    all.into()
}
