//! What the engine acts through.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::traits::{
    Backup, Lock, Preserver, Provision, Restorer, SchemaApplier, Task, Teardown, Verifier, Workload,
};

/// One implementation of each contract, for one target.
#[derive(Clone)]
pub struct Backends {
    /// One run per target.
    pub lock: Arc<dyn Lock>,
    /// Copies of the data.
    pub backup: Arc<dyn Backup>,
    /// The old database.
    pub teardown: Arc<dyn Teardown>,
    /// What infrastructure-as-code tools apply, in order. The database they are given is the target.
    pub infrastructure: Vec<Arc<dyn Task>>,
    /// The new database.
    pub provision: Arc<dyn Provision>,
    /// Its schema.
    pub schema: Arc<dyn SchemaApplier>,
    /// Its rows.
    pub restorer: Arc<dyn Restorer>,
    /// What brings the schema to its newest version once the rows are there.
    pub migrator: Option<Arc<dyn SchemaApplier>>,
    /// Rows of the old database that outlive it.
    pub preserver: Option<Arc<dyn Preserver>>,
    /// Rows that the spec adds after the restore.
    pub fixtures: Option<Arc<dyn SchemaApplier>>,
    /// Commands that load rows, in order.
    pub loads: Vec<Arc<dyn Task>>,
    /// Whether it is right.
    pub verifier: Arc<dyn Verifier>,
    /// The writers, in the order they are stopped; started in reverse.
    pub workloads: Vec<Arc<dyn Workload>>,
    /// The after-steps, in order.
    pub tasks: Vec<Arc<dyn Task>>,
}

impl Backends {
    pub(super) fn workload(&self, name: &str) -> Result<&Arc<dyn Workload>> {
        self.workloads
            .iter()
            .find(|w| w.name() == name)
            .ok_or_else(|| {
                Error::refused(format!("the spec has no workload {name:?} any more"))
                    .hint("put it back into the spec, then go on")
            })
    }

    pub(super) fn infrastructure(&self, name: &str) -> Result<&Arc<dyn Task>> {
        named(&self.infrastructure, "infrastructure", name)
    }

    pub(super) fn load(&self, name: &str) -> Result<&Arc<dyn Task>> {
        named(&self.loads, "load", name)
    }

    pub(super) fn task(&self, name: &str) -> Result<&Arc<dyn Task>> {
        named(&self.tasks, "after-step", name)
    }
}

fn named<'a>(tasks: &'a [Arc<dyn Task>], what: &str, name: &str) -> Result<&'a Arc<dyn Task>> {
    tasks.iter().find(|t| t.name() == name).ok_or_else(|| {
        Error::refused(format!("the spec has no {what} {name:?} any more"))
            .hint("put it back into the spec, then go on")
    })
}
