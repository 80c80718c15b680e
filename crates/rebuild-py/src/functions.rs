//! Python functions as the parts of a run that a spec names.

use std::sync::Arc;

use async_trait::async_trait;
use pyo3::prelude::*;
use rebuild_core::event::Ctx;
use rebuild_core::model::{BackupId, Identity, Verdict};
use rebuild_core::traits::{
    FunctionCall, Functions, RestoreOutline, RestoreReport, Restorer, Task, Verifier,
    VerifyRequest, Workload, WorkloadState,
};
use rebuild_core::{Error, Result};
use serde_json::{Value, json};

use crate::call::Step;

/// Asks the package for functions.
pub(crate) struct PyFunctions(pub(crate) Py<PyAny>);

impl PyFunctions {
    fn find(&self, role: &str, call: &FunctionCall) -> Result<Arc<Step>> {
        let folder = call.folder.display().to_string();
        let ask = || {
            Python::try_attach(|py| {
                self.0
                    .call1(py, (role, &call.name, &call.function, folder))
                    .map_err(|e| {
                        // The package says what is wrong; anything else is an error of the module.
                        Error::refused(format!("{}: {}", call.name, e.value(py)))
                    })
            })
        };
        // A module that is imported does what it likes, for as long as it likes.
        let found = tokio::task::block_in_place(ask);
        let object = found.ok_or_else(|| Error::internal("the Python interpreter is ending"))??;
        let call = call.clone();
        Ok(Arc::new(Step { call, object }))
    }
}

impl Functions for PyFunctions {
    fn task(&self, call: &FunctionCall) -> Result<Arc<dyn Task>> {
        Ok(self.find("task", call)?)
    }

    fn restorer(&self, call: &FunctionCall) -> Result<Arc<dyn Restorer>> {
        Ok(self.find("restorer", call)?)
    }

    fn verifier(&self, call: &FunctionCall) -> Result<Arc<dyn Verifier>> {
        Ok(self.find("verifier", call)?)
    }

    fn workload(&self, call: &FunctionCall) -> Result<Arc<dyn Workload>> {
        Ok(self.find("workload", call)?)
    }
}

impl Step {
    fn unreadable(&self, e: serde_json::Error) -> Error {
        let name = &self.call.function;
        Error::internal(format!("what {name} returned cannot be read")).caused_by(e)
    }
}

#[async_trait]
impl Task for Step {
    fn name(&self) -> String {
        self.call.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        self.invoke(ctx, "run", Some(db), Value::Null).await?;
        Ok(())
    }
}

#[async_trait]
impl Restorer for Step {
    async fn outline(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<RestoreOutline> {
        // Only the function knows what it restores.
        Ok(RestoreOutline::default())
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let more = json!({ "backup": backup });
        let rows = self.invoke(ctx, "restore", Some(db), more).await?;
        Ok(RestoreReport {
            rows: rows.as_u64().unwrap_or_default(),
            ..RestoreReport::default()
        })
    }

    async fn finish(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Verifier for Step {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let more = json!({ "live": request.live, "backup": request.backup });
        let complaints = self.invoke(ctx, "check", Some(&request.db), more).await?;
        let complaints: Vec<String> =
            serde_json::from_value(complaints).map_err(|e| self.unreadable(e))?;
        let redaction = self.redaction();
        let complaints = complaints.iter().map(|line| redaction.line(line));
        let mut verdict = Verdict::default();
        verdict.add_complaints(&self.call.name, &self.call.function, complaints.collect());
        Ok(verdict)
    }
}

#[async_trait]
impl Workload for Step {
    fn name(&self) -> String {
        self.call.name.clone()
    }

    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState> {
        let state = self.invoke(ctx, "look", None, Value::Null).await?;
        serde_json::from_value(state).map_err(|e| self.unreadable(e))
    }

    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        self.invoke(ctx, "stop", None, json!(before)).await?;
        Ok(())
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        self.invoke(ctx, "start", None, json!(before)).await?;
        Ok(())
    }
}
