//! A function that is not there.

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};
use crate::traits::{
    RestoreOutline, RestoreReport, Restorer, Task, Verifier, VerifyRequest, Workload, WorkloadState,
};

/// Stands where a function is missing, and says so when it is called.
pub(super) struct Absent {
    name: String,
    why: String,
    hint: Option<String>,
}

impl Absent {
    pub(super) fn new(name: &str, why: &Error) -> Self {
        Self {
            name: name.to_owned(),
            why: why.chain(),
            hint: why.advice().map(ToOwned::to_owned),
        }
    }

    fn refuse<T>(&self) -> Result<T> {
        let error = Error::refused(self.why.clone());
        Err(match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }
}

#[async_trait]
impl Task for Absent {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, _: &Ctx, _: &Identity) -> Result<()> {
        self.refuse()
    }
}

#[async_trait]
impl Restorer for Absent {
    async fn outline(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<RestoreOutline> {
        self.refuse()
    }

    async fn restore(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<RestoreReport> {
        self.refuse()
    }

    async fn finish(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<()> {
        self.refuse()
    }
}

#[async_trait]
impl Verifier for Absent {
    async fn verify(&self, _: &Ctx, _: &VerifyRequest) -> Result<Verdict> {
        self.refuse()
    }
}

#[async_trait]
impl Workload for Absent {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn look(&self, _: &Ctx) -> Result<WorkloadState> {
        self.refuse()
    }

    async fn stop(&self, _: &Ctx, _: &WorkloadState) -> Result<()> {
        self.refuse()
    }

    async fn start(&self, _: &Ctx, _: &WorkloadState) -> Result<()> {
        self.refuse()
    }
}
