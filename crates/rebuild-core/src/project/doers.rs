//! Who does a step of a spec: a function, something in a cluster or in Google Cloud, or a program.

use std::sync::Arc;

use super::Project;
use super::compose;
use super::teardown::policy;
use crate::command::{CommandTask, CommandWorkload};
use crate::error::Result;
use crate::model::{Identity, StepMark};
use crate::plan::Survey;
use crate::postgres::{BackedUp, PgVerifier, ReadOnlyGate, TargetLock};
use crate::spec::{CheckSpec, CommandSpec, RestoreFrom, SchemaSource, WorkloadSpec};
use crate::traits::{Task, Verifier, Workload};

/// True for the check of every row.
pub(super) fn compares_content(check: &CheckSpec) -> bool {
    matches!(check, CheckSpec::Content { .. })
}

impl Project {
    /// Functions, the cluster and Google Cloud are asked besides the server, so where there are no other checks,
    /// what is checked without any is checked all the same. What counts since a run began counts since `began`.
    pub(super) fn verifier(&self, began: Option<&Survey>) -> Result<Arc<dyn Verifier>> {
        let restorer = self.restorer(self.spec.schema_from() == SchemaSource::Backup)?;
        self.verifier_of(self.checks(), Arc::new(restorer), began)
    }

    /// The same for a comparison with a backup: if no check of the spec compares content, one does besides.
    pub(super) fn comparer_by(&self, backups: Arc<dyn BackedUp>) -> Result<Arc<dyn Verifier>> {
        let mut checks = self.checks();
        if !checks.iter().any(compares_content) {
            checks.push(CheckSpec::Content { except: Vec::new() });
        }
        self.verifier_of(checks, backups, None)
    }

    /// What is checked in the database.
    fn checks(&self) -> Vec<CheckSpec> {
        let mut checks = self.spec.checks.clone();
        checks.retain(|check| !check.is_elsewhere());
        if checks.is_empty() {
            checks = PgVerifier::default_checks(self.spec.rows_from() == RestoreFrom::Backup);
        }
        checks
    }

    #[cfg_attr(
        not(feature = "k8s"),
        allow(
            unused_variables,
            reason = "what counts since a run began is a cluster's"
        )
    )]
    fn verifier_of(
        &self,
        checks: Vec<CheckSpec>,
        backups: Arc<dyn BackedUp>,
        began: Option<&Survey>,
    ) -> Result<Arc<dyn Verifier>> {
        let verifier = PgVerifier::new(
            self.endpoint.clone(),
            checks,
            backups,
            compose::row_options(&self.spec).jobs,
        )?;
        let verifier = self.with_function_checks(Arc::new(verifier));
        #[cfg(feature = "k8s")]
        let verifier = self.with_cluster_checks(verifier, began)?;
        #[cfg(feature = "gcp")]
        let verifier = self.with_gcp_checks(verifier)?;
        Ok(verifier)
    }

    pub(super) fn commands(
        &self,
        kind: &str,
        commands: &[CommandSpec],
    ) -> Result<Vec<Arc<dyn Task>>> {
        let marked = commands.iter().enumerate().map(|(place, command)| {
            let mark = StepMark::once(format!("{kind}/{}", command.name));
            self.command(&mark, place, command)
        });
        marked.collect()
    }

    /// A load or an after-step: a function, something in a cluster or in Google Cloud, or a program.
    #[cfg_attr(not(feature = "gcp"), allow(unused_variables))]
    pub(super) fn command(
        &self,
        mark: &StepMark,
        place: usize,
        spec: &CommandSpec,
    ) -> Result<Arc<dyn Task>> {
        if let Some(function) = self.function_task(spec) {
            return Ok(function);
        }
        if let Some(task) = self.infrastructure_again(spec)? {
            return Ok(task);
        }
        #[cfg(feature = "k8s")]
        if let Some(task) = self.cluster_task(spec)? {
            return Ok(task);
        }
        #[cfg(feature = "gcp")]
        if let Some(task) = self.gcp_task(mark, place, spec)? {
            return Ok(task);
        }
        let endpoint = self.endpoint.clone();
        Ok(Arc::new(CommandTask::new(
            spec,
            endpoint,
            self.spec.folder(),
        )))
    }

    fn workload(&self, spec: &WorkloadSpec) -> Result<Arc<dyn Workload>> {
        if let Some(function) = self.function_workload(spec) {
            return Ok(function);
        }
        #[cfg(feature = "k8s")]
        if let Some(workload) = self.cluster_workload(spec)? {
            return Ok(workload);
        }
        #[cfg(feature = "gcp")]
        if let Some(workload) = self.gcp_workload(spec)? {
            return Ok(workload);
        }
        Ok(Arc::new(CommandWorkload::new(spec, self.spec.folder())))
    }

    pub(super) fn workloads(
        &self,
        target: &Identity,
        lock: &Arc<TargetLock>,
    ) -> Result<Vec<Arc<dyn Workload>>> {
        let mut workloads: Vec<Arc<dyn Workload>> = Vec::new();
        for spec in &self.spec.workloads {
            workloads.push(self.workload(spec)?);
        }
        // Last, so that programs that are stopped orderly are not cut off.
        if self.spec.quiesce.read_only {
            workloads.push(Arc::new(ReadOnlyGate::new(
                target.clone(),
                lock.clone(),
                policy(&self.spec)?,
            )));
        }
        Ok(workloads)
    }
}
