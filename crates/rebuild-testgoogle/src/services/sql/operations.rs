//! Operations on instances.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Sql;
use crate::call::{Answer, Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::operations::{Failure, Operation, Outcome, Phase, Seen};
use crate::state::{State, lock};

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.operations.get", sql, get);
    registry.on("sql.operations.list", sql, list);
}

/// An operation that a call asks for.
pub(super) struct Asked<'a> {
    pub(super) call: &'a Call,
    /// Such as `BACKUP_VOLUME`.
    pub(super) kind: &'static str,
    /// The instance's name.
    pub(super) target: &'a str,
    /// Further fields of the operation, such as `exportContext`.
    pub(super) more: Value,
}

impl Sql {
    /// Begins an operation on an instance, which may have only one at a time.
    pub(super) fn begin(
        &self,
        asked: &Asked<'_>,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Result<Arc<Operation>> {
        let project = asked.call.param("project");
        self.begin_in(project, asked, work)
    }

    /// The same for a method whose path has no project of its own.
    pub(super) fn begin_in(
        &self,
        project: &str,
        asked: &Asked<'_>,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Result<Arc<Operation>> {
        let _gate = lock(&self.gate);
        self.idle(project, asked.target)?;
        let facts = json!({
            "project": project, "instance": asked.target, "kind": asked.kind,
            "more": asked.more,
        });
        Ok(self.operations.begin(&self.state, asked.call, facts, work))
    }

    /// Refuses a call while an operation on an instance goes on, or waits for a test.
    pub(super) fn idle(&self, project: &str, instance: &str) -> Result<()> {
        let own = |facts: &Value| facts["project"] == project && facts["instance"] == instance;
        let operations = self.operations.list(own);
        if operations.iter().any(|operation| operation.is_at_work()) {
            return Err(in_progress());
        }
        Ok(())
    }
}

fn in_progress() -> ApiError {
    let said = "Operation failed because another operation was already in progress. Try your \
                request after the current operation is complete.";
    ApiError::new(409, said).reason("operationInProgress")
}

/// An operation as the call that began it is answered.
pub(super) fn begun(operation: &Operation, call: &Call) -> Answer {
    render(operation, &operation.look(), call).into()
}

/// A failure of the server's own programs.
pub(super) fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new("INTERNAL_ERROR", error.to_string())
}

/// The end of work that gives nothing.
pub(super) fn done(result: std::io::Result<()>) -> Outcome {
    result.map(|()| Value::Null).map_err(internal)
}

/// Where the resources of a call's version are.
pub(super) fn base(call: &Call) -> String {
    let path = match call.api {
        "sqladmin.v1beta4" => "sql/v1beta4",
        _ => "v1",
    };
    format!("{}/{path}", call.server)
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let operation = sql.operations.find(call.param("operation"));
    let own = |it: &Arc<Operation>| it.facts["project"] == call.param("project");
    let operation = operation.filter(own).ok_or_else(|| {
        let said = "The Cloud SQL operation does not exist.";
        ApiError::new(404, said).reason("operationDoesNotExist")
    })?;
    Ok(render(&operation, &operation.poll(), &call).into())
}

/// The newest first. Looking at the list brings nothing further.
async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instance = call.query("instance");
    let mut found = sql.operations.list(|facts| {
        facts["project"] == call.param("project")
            && (instance.is_empty() || facts["instance"] == instance)
    });
    found.reverse();
    let shown = found.iter().take(call.at_most("maxResults"));
    let items: Vec<Value> = shown.map(|it| render(it, &it.look(), &call)).collect();
    Ok(json!({"kind": "sql#operationsList", "items": items}).into())
}

fn render(operation: &Operation, seen: &Seen, call: &Call) -> Value {
    let facts = &operation.facts;
    let text = |name: &str| facts[name].as_str().unwrap_or_default();
    let (base, project) = (base(call), text("project"));
    let status = match seen.phase {
        Phase::Pending => "PENDING",
        Phase::Running => "RUNNING",
        Phase::Done => "DONE",
    };
    let mut rendered = json!({
        "kind": "sql#operation", "name": operation.id, "operationType": text("kind"),
        "status": status, "user": operation.principal, "targetId": text("instance"),
        "targetProject": project, "insertTime": clock::format(operation.inserted),
        "targetLink": format!("{base}/projects/{project}/instances/{}", text("instance")),
        "selfLink": format!("{base}/projects/{project}/operations/{}", operation.id),
    });
    for (name, time) in [("startTime", seen.started), ("endTime", seen.ended)] {
        if let Some(time) = time {
            rendered[name] = json!(clock::format(time));
        }
    }
    for (name, value) in facts["more"].as_object().into_iter().flatten() {
        rendered[name] = value.clone();
    }
    if let Some(Err(failure)) = &seen.outcome {
        rendered["error"] = json!({"kind": "sql#operationErrors", "errors": [{
            "kind": "sql#operationError", "code": failure.code, "message": failure.message,
        }]});
    }
    rendered
}
