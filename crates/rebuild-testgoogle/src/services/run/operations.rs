//! Operations, which end when what they are about is no longer reconciled, or as a test says.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Run;
use super::names::{not_found, part};
use crate::call::{Call, Result};
use crate::operations::{Failure, OperationFault};
use crate::state::{State, lock};

/// An operation.
pub(super) struct Operation {
    /// The name of what it is about.
    about: String,
    course: Course,
}

/// What becomes of an operation.
enum Course {
    /// It ends as what it is about.
    Usual,
    /// It has not begun, and may never.
    Waits,
    /// It has failed, however what it is about is.
    Failed(Failure),
}

pub(super) fn register(state: &State, run: &Arc<Run>) {
    let registry = &state.registry;
    registry.on("run.projects.locations.operations.get", run, get);
    registry.on("run.projects.locations.operations.wait", run, get);
}

/// Who asks for an operation on a service looks at the service, too.
async fn get(run: Arc<Run>, call: Call) -> Result {
    let name = call.param("name");
    let operations = lock(&run.operations);
    let operation = operations.get(name);
    let operation = operation.ok_or_else(|| not_found("Operation", name))?;
    if let Some(service) = lock(&run.services).get_mut(&operation.about) {
        service.look();
    }
    Ok(run.shown(name, operation).into())
}

impl Run {
    /// A new operation on what has this name.
    pub(super) fn begin(&self, about: &str) -> Value {
        self.begin_as(about, Course::Usual).1
    }

    /// A new operation on a service, which has this effect, or meets the fault that a test has set for the
    /// method.
    pub(super) fn change(
        self: &Arc<Self>,
        call: &Call,
        about: &str,
        effect: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> Result {
        let course = match self.state.operation_faults.take(&call.method) {
            None => {
                effect(self)?;
                Course::Usual
            }
            Some((OperationFault::FailAfter(why), _)) => {
                effect(self)?;
                Course::Failed(why)
            }
            Some((OperationFault::Fail(why), _)) => Course::Failed(why),
            Some((OperationFault::Never, _)) => Course::Waits,
            Some((OperationFault::Hold, handle)) => {
                let (name, value) = self.begin_as(about, Course::Waits);
                let run = self.clone();
                tokio::spawn(async move {
                    handle.released().await;
                    let course = match effect(&run) {
                        Ok(()) => Course::Usual,
                        Err(e) => Course::Failed(Failure::new("9", e.message)),
                    };
                    if let Some(operation) = lock(&run.operations).get_mut(&name) {
                        operation.course = course;
                    }
                });
                return Ok(value.into());
            }
        };
        Ok(self.begin_as(about, course).1.into())
    }

    /// Its name, and how it is shown.
    fn begin_as(&self, about: &str, course: Course) -> (String, Value) {
        let (project, location) = (part(about, "projects"), part(about, "locations"));
        let id = Uuid::new_v4();
        let name = format!("projects/{project}/locations/{location}/operations/{id}");
        let about = about.to_owned();
        let operation = Operation { about, course };
        let shown = self.shown(&name, &operation);
        lock(&self.operations).insert(name.clone(), operation);
        (name, shown)
    }

    fn shown(&self, name: &str, operation: &Operation) -> Value {
        let about = &operation.about;
        let (kind, value) = if about.contains("/executions/") {
            let found = self.execution(about).ok();
            ("Execution", found.map(|execution| execution.value()))
        } else {
            let service = lock(&self.services).get(about).map(|s| s.value.clone());
            ("Service", service)
        };
        let kind = format!("type.googleapis.com/google.cloud.run.v2.{kind}");
        let mut shown = json!({"name": name, "done": false});
        // What is deleted is gone at once.
        let mut response = json!({"@type": kind, "name": about});
        let mut reconciling = false;
        let mut error = None;
        if let Some(mut value) = value {
            value["@type"] = kind.into();
            reconciling = value["reconciling"] == true;
            error = failed(&value["terminalCondition"]);
            shown["metadata"] = value.clone();
            response = value;
        }
        match &operation.course {
            Course::Waits => return shown,
            Course::Failed(why) => error = Some(status(why)),
            Course::Usual if reconciling => return shown,
            Course::Usual => {}
        }
        shown["done"] = true.into();
        match error {
            Some(error) => shown["error"] = error,
            None => shown["response"] = response,
        }
        shown
    }
}

/// The error of an operation on what ended in this condition, if it did not end well.
fn failed(condition: &Value) -> Option<Value> {
    let failed = condition["state"] == "CONDITION_FAILED";
    // FAILED_PRECONDITION.
    failed.then(|| json!({"code": 9, "message": condition["message"]}))
}

/// A failure as an operation of this API says it. A code that is no number is INTERNAL.
fn status(why: &Failure) -> Value {
    let code: i32 = why.code.parse().unwrap_or(13);
    json!({"code": code, "message": why.message})
}
