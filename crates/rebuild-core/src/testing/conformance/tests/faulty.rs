//! The simulated server with one fault: each suite must find the ones of its contract.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Outcome, Verdict};
use crate::testing::sim::Sim;
use crate::traits::{
    AppliedFile, Backup, BackupMode, BackupSummary, DestroyPermit, Lock, Preserver, Provision,
    ProvisionRequest, PutBack, RestoreOutline, RestoreReport, Restorer, RetireRequest, Retired,
    SchemaApplied, SchemaApplier, SchemaState, Teardown, Verifier, VerifyRequest, Workload,
    WorkloadState,
};

/// What is wrong with an implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The lock is given to whoever asks.
    LockForAll,
    /// A workload is started although it did not run before.
    StartsWhatWasStopped,
    /// What is discarded is found by its name.
    DiscardsByName,
    /// A second retire swaps the names back.
    SwapsBack,
    /// A permit for anything allows to purge.
    PurgesWithAnyPermit,
    /// Damage passes the check of a backup.
    PassesDamage,
    /// A finished backup is taken again.
    TakesAgain,
    /// A schema file is applied again.
    AppliesAgain,
    /// Rows are added to those that are there.
    AddsRows,
    /// A row that is there already is put back once more.
    PutsAgain,
    /// A difference is an error.
    FailsOnDifference,
}

/// The simulated server, right or with a fault.
pub(super) struct Subject {
    pub(super) sim: Sim,
    pub(super) fault: Option<Fault>,
    pub(super) web: Arc<dyn Workload>,
}

impl Subject {
    pub(super) fn new(sim: Sim, fault: Option<Fault>) -> Self {
        Self {
            web: sim.backends().workloads[0].clone(),
            sim,
            fault,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

#[async_trait]
impl Lock for Subject {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        if self.has(Fault::LockForAll) {
            self.sim.state().lock = None;
        }
        self.sim.acquire(ctx).await
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        self.sim.assert_held(ctx).await
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        self.sim.release(ctx).await
    }
}

#[async_trait]
impl Workload for Subject {
    fn name(&self) -> String {
        self.web.name()
    }

    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState> {
        self.web.look(ctx).await
    }

    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        self.web.stop(ctx, before).await
    }

    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
        let mut before = before.clone();
        before.running |= self.has(Fault::StartsWhatWasStopped);
        self.web.start(ctx, &before).await
    }
}

#[async_trait]
impl Provision for Subject {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        Provision::look(&self.sim, ctx, name).await
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        self.sim.provision(ctx, request).await
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        let named = self.sim.identity(&made.name);
        match named.filter(|_| self.has(Fault::DiscardsByName)) {
            Some(named) => self.sim.discard(ctx, &named).await,
            None => self.sim.discard(ctx, made).await,
        }
    }

    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        like: Option<&'a Identity>,
    ) -> Result<()> {
        self.sim.settle(ctx, made, like).await
    }
}

#[async_trait]
impl Teardown for Subject {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        Teardown::look(&self.sim, ctx, name).await
    }

    async fn retire(&self, ctx: &Ctx, request: &RetireRequest) -> Result<Retired> {
        let done = self.sim.identity(&request.retired_name).is_some();
        let retired = self.sim.retire(ctx, request).await?;
        if done && self.has(Fault::SwapsBack) {
            self.sim.reinstate(ctx, &retired).await?;
        }
        Ok(retired)
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        self.sim.reinstate(ctx, retired).await
    }

    async fn marks(&self, ctx: &Ctx, db: &Identity) -> Result<serde_json::Value> {
        self.sim.marks(ctx, db).await
    }

    async fn written_since(&self, ctx: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        self.sim.written_since(ctx, retired).await
    }

    async fn purge(&self, ctx: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        let permit = if self.has(Fault::PurgesWithAnyPermit) {
            DestroyPermit::by_name(&retired.old, &retired.old.name)?
        } else {
            permit
        };
        self.sim.purge(ctx, retired, permit).await
    }
}

#[async_trait]
impl Backup for Subject {
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>> {
        self.sim.list(ctx).await
    }

    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        if self.has(Fault::TakesAgain) {
            self.sim.state().backups.remove(id);
        }
        self.sim.take(ctx, target, id, mode).await
    }

    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let (summary, mut verdict) = self.sim.check(ctx, id).await?;
        if self.has(Fault::PassesDamage) {
            verdict.checks[0].outcome = Outcome::Passed;
        }
        Ok((summary, verdict))
    }

    async fn remove(&self, ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        self.sim.remove(ctx, id, permit).await
    }
}

#[async_trait]
impl SchemaApplier for Subject {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        SchemaApplier::look(&self.sim, ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied> {
        let mut applied = self.sim.apply(ctx, db, backup).await?;
        if self.has(Fault::AppliesAgain) {
            applied.applied.push(AppliedFile {
                path: "again.sql".to_owned(),
                checksum: String::new(),
            });
        }
        Ok(applied)
    }
}

#[async_trait]
impl Restorer for Subject {
    async fn outline(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        self.sim.outline(ctx, db, backup).await
    }

    async fn restore(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let oid: u32 = db.uid.parse().expect("an oid");
        let there = self.sim.state().databases[&oid].rows.clone();
        let report = self.sim.restore(ctx, db, backup).await?;
        if self.has(Fault::AddsRows) {
            let mut state = self.sim.state();
            let db = state.databases.get_mut(&oid).expect("there");
            db.rows.extend(there);
        }
        Ok(report)
    }

    async fn finish(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<()> {
        self.sim.finish(ctx, db, backup).await
    }
}

#[async_trait]
impl Preserver for Subject {
    async fn put_back(&self, ctx: &Ctx, old: &Identity, db: &Identity) -> Result<PutBack> {
        let report = self.sim.put_back(ctx, old, db).await?;
        if self.has(Fault::PutsAgain) && report.tables.iter().any(|t| t.unchanged > 0) {
            let oid: u32 = db.uid.parse().expect("an oid");
            let mut state = self.sim.state();
            state.databases.get_mut(&oid).expect("there").rows.push(10);
        }
        Ok(report)
    }
}

#[async_trait]
impl Verifier for Subject {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let verdict = self.sim.verify(ctx, request).await?;
        if self.has(Fault::FailsOnDifference) && !verdict.passed() {
            return Err(Error::refused("the rows differ"));
        }
        Ok(verdict)
    }
}
