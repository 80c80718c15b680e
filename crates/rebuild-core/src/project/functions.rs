//! The functions that a spec names, found and put where they belong.

mod absent;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::absent::Absent;
use super::Project;
use crate::error::{Error, Result};
use crate::model::Endpoint;
use crate::postgres::{
    FunctionMigrator, FunctionRestorer, FunctionTask, FunctionVerifier, PgRestorer,
};
use crate::spec::{CheckSpec, CommandSpec, RestoreFrom, SchemaSource, Within, WorkloadSpec};
use crate::traits::{FunctionCall, Functions, Restorer, SchemaApplier, Task, Verifier, Workload};

/// How long a function that makes the schema may take, if the spec does not say.
const SCHEMA_WITHIN: Duration = Duration::from_secs(600);

/// How long a function that restores rows may take, if the spec does not say.
const RESTORE_WITHIN: Duration = Duration::from_secs(3600);

impl Project {
    /// Finds every function that the spec names, so that one which is missing is told of before
    /// anything is touched.
    ///
    /// # Errors
    /// One is missing, or the program that runs the spec has none at all.
    pub(super) fn require_functions(&self) -> Result<()> {
        for call in self.tasks_called() {
            self.functions(&call)?.task(&call)?;
        }
        if let Some(call) = self.restore_called() {
            self.functions(&call)?.restorer(&call)?;
        }
        for call in self.checks_called() {
            self.functions(&call)?.verifier(&call)?;
        }
        for call in self
            .spec
            .workloads
            .iter()
            .filter_map(|w| self.stopped_by(w))
        {
            self.functions(&call)?.workload(&call)?;
        }
        Ok(())
    }

    fn functions(&self, call: &FunctionCall) -> Result<&dyn Functions> {
        self.functions.as_deref().ok_or_else(|| {
            Error::refused(format!(
                "{} is {}, a function of a program, and this program has no functions",
                call.name, call.function
            ))
            .hint("if it is Python, type the same with: python -m rebuild")
        })
    }

    /// What `find` finds. What it does not find is told of when it is called, and only then: the
    /// way back needs few of them, and must not fail for want of the others.
    fn found<T: ?Sized>(
        &self,
        call: &FunctionCall,
        find: impl FnOnce(&dyn Functions) -> Result<Arc<T>>,
        absent: impl FnOnce(Absent) -> Arc<T>,
    ) -> Arc<T> {
        self.functions(call)
            .and_then(find)
            .unwrap_or_else(|e| absent(Absent::new(&call.name, &e)))
    }

    fn call(&self, name: &str, function: &str, timeout: Duration) -> FunctionCall {
        FunctionCall {
            name: name.to_owned(),
            function: function.to_owned(),
            folder: self.spec.folder().to_path_buf(),
            server: self.endpoint.clone(),
            timeout,
        }
    }

    /// The schema, loads and after-steps that are functions.
    fn tasks_called(&self) -> impl Iterator<Item = FunctionCall> {
        let commands = self.spec.commands();
        self.schema_called()
            .into_iter()
            .chain(commands.filter_map(|command| self.done_by(command)))
    }

    fn done_by(&self, command: &CommandSpec) -> Option<FunctionCall> {
        let function = command.function.as_ref()?;
        Some(self.call(&command.name, function, command.timeout.0))
    }

    fn stopped_by(&self, workload: &WorkloadSpec) -> Option<FunctionCall> {
        let function = workload.function.as_ref()?;
        Some(self.call(&workload.name, function, workload.timeout.0))
    }

    fn schema_called(&self) -> Option<FunctionCall> {
        let schema = &self.spec.schema;
        let function = schema.function.as_ref()?;
        (self.spec.schema_from() == SchemaSource::Function)
            .then(|| self.call("schema", function, or(schema.timeout, SCHEMA_WITHIN)))
    }

    fn restore_called(&self) -> Option<FunctionCall> {
        let restore = &self.spec.restore;
        let function = restore.function.as_ref()?;
        (self.spec.rows_from() == RestoreFrom::Function)
            .then(|| self.call("restore", function, or(restore.timeout, RESTORE_WITHIN)))
    }

    fn checks_called(&self) -> impl Iterator<Item = FunctionCall> {
        self.spec.checks.iter().filter_map(|check| match check {
            CheckSpec::Function {
                name,
                function,
                timeout,
            } => Some(self.call(name, function, timeout.0)),
            _ => None,
        })
    }

    /// The load or after-step `command`, if it is a function.
    pub(super) fn function_task(&self, command: &CommandSpec) -> Option<Arc<dyn Task>> {
        let call = self.done_by(command)?;
        Some(Arc::new(FunctionTask {
            function: self.task(&call),
            endpoint: self.endpoint.clone(),
        }))
    }

    fn task(&self, call: &FunctionCall) -> Arc<dyn Task> {
        self.found(call, |f| f.task(call), |absent| Arc::new(absent))
    }

    /// The workload, if it is a function.
    pub(super) fn function_workload(&self, workload: &WorkloadSpec) -> Option<Arc<dyn Workload>> {
        let call = self.stopped_by(workload)?;
        Some(self.found(&call, |f| f.workload(&call), |absent| Arc::new(absent)))
    }

    /// The schema, if it is a function.
    pub(super) fn function_schema(&self, endpoint: &Endpoint) -> Option<Arc<dyn SchemaApplier>> {
        let call = self.schema_called()?;
        let migrator = FunctionMigrator::new(self.task(&call), endpoint.clone());
        Some(Arc::new(migrator))
    }

    /// What restores the rows: a function, or `restorer`.
    pub(super) fn function_rows(&self, restorer: PgRestorer) -> Arc<dyn Restorer> {
        match self.restore_called() {
            None => Arc::new(restorer),
            Some(call) => Arc::new(FunctionRestorer {
                function: self.found(&call, |f| f.restorer(&call), |absent| Arc::new(absent)),
                restorer,
            }),
        }
    }

    /// `first`, and after it the checks that are functions.
    pub(super) fn with_function_checks(&self, first: Arc<dyn Verifier>) -> Arc<dyn Verifier> {
        let functions: Vec<Arc<dyn Verifier>> = self
            .checks_called()
            .map(|call| self.found(&call, |f| f.verifier(&call), |absent| Arc::new(absent)))
            .collect();
        if functions.is_empty() {
            return first;
        }
        Arc::new(FunctionVerifier {
            first,
            functions,
            endpoint: self.endpoint.clone(),
        })
    }
}

fn or(given: Option<Within>, without: Duration) -> Duration {
    given.map_or(without, |given| given.0)
}
