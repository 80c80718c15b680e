//! Calling a Python function as a step of a run.

use std::time::Duration;

use pyo3::prelude::*;
use rebuild_core::command::Redaction;
use rebuild_core::event::Ctx;
use rebuild_core::model::Identity;
use rebuild_core::postgres::application;
use rebuild_core::traits::FunctionCall;
use rebuild_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinHandle};

use crate::handle::Handle;

/// How long a function that was asked to stop may take until an exception is raised in it.
const ASKED: Duration = Duration::from_secs(2);

/// How long it may take from then on.
const RAISED: Duration = Duration::from_secs(10);

/// A function that the Python package found.
pub(crate) struct Step {
    pub(crate) call: FunctionCall,
    pub(crate) object: Py<PyAny>,
}

/// What the package answers.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(Value),
    Raised(Raised),
}

#[derive(Deserialize)]
struct Raised {
    message: String,
    traceback: String,
}

/// Why a function is to stop.
enum Why {
    Asked,
    Late,
}

impl Step {
    /// Calls `method`, on `db` if it is about one, and waits for its end.
    ///
    /// # Errors
    /// It raised an exception; it did not end in time; the operator stopped.
    pub(crate) async fn invoke(
        &self,
        ctx: &Ctx,
        method: &str,
        db: Option<&Identity>,
        more: Value,
    ) -> Result<Value> {
        let redaction = self.redaction();
        let handle = Handle::new(&self.call.name, &ctx.events, &redaction);
        let request = json!({
            "method": method,
            "run": ctx.run,
            "database": db.map(|db| self.database(ctx, db)),
            "more": more,
        });
        let mut called = self.call(request.to_string(), handle.clone())?;
        let answer = tokio::select! {
            answer = &mut called => answered(&self.call.name, answer)?,
            () = ctx.stop.cancelled() => self.stop(&handle, called, Why::Asked).await?,
            () = tokio::time::sleep(self.call.timeout) => {
                self.stop(&handle, called, Why::Late).await?
            }
        };
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Raised(raised) => Err(self.raised(&raised, &redaction)),
        }
    }

    /// What a function says is shown without the target's password, which it was given.
    pub(crate) fn redaction(&self) -> Redaction {
        Redaction::new(&self.call.server.password)
    }

    fn database(&self, ctx: &Ctx, db: &Identity) -> Value {
        let endpoint = self.call.server.with_database(&db.name);
        let mut parameters: Vec<(&str, String)> = endpoint.parameters();
        // By it a later process finds and ends what a killed run left behind.
        parameters.push(("application_name", application(ctx)));
        let parameters: serde_json::Map<String, Value> = parameters
            .into_iter()
            .map(|(keyword, value)| (keyword.to_owned(), json!(value)))
            .collect();
        json!({
            "parameters": parameters,
            "password": endpoint.password.as_ref().map(rebuild_core::Secret::expose),
        })
    }

    fn call(&self, request: String, handle: Handle) -> Result<JoinHandle<Result<Answer>>> {
        let object = Python::try_attach(|py| self.object.clone_ref(py)).ok_or_else(gone)?;
        Ok(tokio::task::spawn_blocking(move || {
            let answered = Python::try_attach(|py| -> PyResult<String> {
                object
                    .call_method1(py, "call", (request, handle))?
                    .extract(py)
            });
            let text = answered.ok_or_else(gone)?.map_err(|e| {
                Error::internal(format!("a Python function could not be called: {e}"))
            })?;
            serde_json::from_str(&text)
                .map_err(|e| Error::internal("a Python function gave no answer").caused_by(e))
        }))
    }

    /// Asks the function to stop, then raises an exception in it. One that ends well all the same
    /// has done its work.
    async fn stop(
        &self,
        handle: &Handle,
        mut called: JoinHandle<Result<Answer>>,
        why: Why,
    ) -> Result<Answer> {
        handle.ask_to_stop();
        let mut ended = tokio::time::timeout(ASKED, &mut called).await.ok();
        if ended.is_none() {
            Python::try_attach(|py| self.object.call_method0(py, "interrupt"));
            ended = tokio::time::timeout(RAISED, &mut called).await.ok();
        }
        let still = if ended.is_some() {
            ""
        } else {
            ", and still runs"
        };
        match ended {
            Some(Ok(Ok(answer @ Answer::Ok(_)))) => Ok(answer),
            _ => Err(match why {
                Why::Asked => Error::new(
                    ErrorKind::Interrupted,
                    format!("{} was stopped by the operator{still}", self.call.name),
                ),
                Why::Late => Error::new(
                    ErrorKind::Deadline,
                    format!(
                        "{} did not end within {:?}{still}",
                        self.call.name, self.call.timeout
                    ),
                )
                .hint("see what holds it up, or give it a longer timeout"),
            }),
        }
    }

    fn raised(&self, raised: &Raised, redaction: &Redaction) -> Error {
        Error::new(
            ErrorKind::Program,
            format!(
                "{} ({}) raised {}\n{}",
                self.call.name,
                self.call.function,
                redaction.line(&raised.message),
                redaction.last_lines(raised.traceback.trim_end())
            ),
        )
    }
}

/// What the thread of a call ended with.
fn answered(name: &str, ended: std::result::Result<Result<Answer>, JoinError>) -> Result<Answer> {
    ended.map_err(|e| Error::internal(format!("{name} was not called")).caused_by(e))?
}

fn gone() -> Error {
    Error::new(ErrorKind::Interrupted, "the Python interpreter is ending")
}
