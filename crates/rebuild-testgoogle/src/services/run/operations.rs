//! Operations, which end when what they are about is no longer reconciled.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Run;
use super::names::{not_found, part};
use crate::call::{Call, Result};
use crate::state::{State, lock};

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.projects.locations.operations.get", run, get);
    registry.on("run.projects.locations.operations.wait", run, get);
}

async fn get(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name");
    let about = lock(&run.operations).get(name).cloned();
    let about = about.ok_or_else(|| not_found("Operation", name))?;
    Ok(run.operation(name, &about).into())
}

impl Run {
    /// A new operation on what has this name.
    pub(super) fn begin(&self, about: &str) -> Value {
        let (project, location) = (part(about, "projects"), part(about, "locations"));
        let id = Uuid::new_v4();
        let name = format!("projects/{project}/locations/{location}/operations/{id}");
        lock(&self.operations).insert(name.clone(), about.to_owned());
        self.operation(&name, about)
    }

    fn operation(&self, name: &str, about: &str) -> Value {
        let (kind, value) = if about.contains("/executions/") {
            let found = self.execution(about).ok();
            ("Execution", found.map(|execution| execution.value()))
        } else {
            let service = lock(&self.services).get(about).map(|s| s.value.clone());
            ("Service", service)
        };
        // What is deleted is gone at once.
        let Some(mut value) = value else {
            return json!({"name": name, "done": true, "response": {
                "@type": format!("type.googleapis.com/google.cloud.run.v2.{kind}"), "name": about,
            }});
        };
        let done = value["reconciling"] != true;
        value["@type"] = format!("type.googleapis.com/google.cloud.run.v2.{kind}").into();
        if done {
            json!({"name": name, "done": true, "metadata": value, "response": value})
        } else {
            json!({"name": name, "done": false, "metadata": value})
        }
    }
}
