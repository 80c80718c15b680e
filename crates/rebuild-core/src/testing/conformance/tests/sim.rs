//! The simulated server keeps the contracts that the engine is tested against.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;

use super::faulty::{Fault, Subject};
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::testing::conformance::{
    self, BackupStage, DatabaseScene, LockStage, NamesScene, PreserveStage, ProvisionStage,
    RestoreStage, SchemaStage, TeardownStage, VerifyStage, WorkloadStage,
};
use crate::testing::sim::{Sim, SimDatabase};
use crate::traits::{
    Backup, BackupMode, Lock, Preserver, Provision, ProvisionRequest, Restorer, SchemaApplier,
    Teardown, Verifier, Workload,
};

/// The simulated server, with `app` backed up and `app_new` staged.
struct Stage {
    sim: Sim,
    ctx: Ctx,
    app: Identity,
    staged: Identity,
    backup: BackupId,
    subject: Subject,
}

impl Stage {
    async fn new(fault: Option<Fault>) -> Self {
        let sim = Sim::with_app();
        let ctx = Ctx::quiet();
        let app = sim.identity("app").expect("there");
        let backup = BackupId::generate();
        sim.take(&ctx, &app, &backup, BackupMode::Full)
            .await
            .expect("taken");
        let request = ProvisionRequest {
            name: "app_new".to_owned(),
            like: None,
        };
        let staged = sim.provision(&ctx, &request).await.expect("staged");
        Self {
            subject: Subject::new(sim.clone(), fault),
            sim,
            ctx,
            app,
            staged,
            backup,
        }
    }

    /// With an empty store.
    fn without_backups(self) -> Self {
        self.sim.state().backups.clear();
        self
    }

    /// With the rows and the schema in the staged database.
    fn restored(self) -> Self {
        self.with(&self.staged, |db| {
            db.schema = 2;
            db.rows = vec![10, 20, 30];
        });
        self
    }

    fn with<T>(&self, thing: &Identity, act: impl FnOnce(&mut SimDatabase) -> T) -> T {
        let oid = thing.uid.parse().expect("an oid");
        act(self.sim.state().databases.get_mut(&oid).expect("there"))
    }

    fn add(&self, name: &str) -> Identity {
        let mut state = self.sim.state();
        let oid = state.databases.keys().max().expect("some") + 1000;
        let db = SimDatabase {
            name: name.to_owned(),
            ..SimDatabase::default()
        };
        state.databases.insert(oid, db);
        drop(state);
        self.sim.identity(name).expect("there")
    }

    fn has(&self, thing: &Identity) -> bool {
        let oid: u32 = thing.uid.parse().expect("an oid");
        self.sim.state().databases.contains_key(&oid)
    }

    fn text(&self) -> String {
        self.with(&self.staged, |db| format!("{:?}", (db.schema, &db.rows)))
    }
}

#[async_trait]
impl LockStage for Stage {
    fn lock(&self) -> Box<dyn Lock> {
        Box::new(Subject::new(self.sim.clone(), self.subject.fault))
    }

    async fn holder_dies(&self) {
        self.sim.client_died();
    }
}

#[async_trait]
impl WorkloadStage for Stage {
    fn workload(&self) -> &dyn Workload {
        &self.subject
    }

    async fn writes(&self) -> bool {
        self.sim.state().workloads["web"]
    }
}

#[async_trait]
impl NamesScene for Stage {
    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    async fn occupy(&self, name: &str) -> Identity {
        self.add(name)
    }

    async fn exists(&self, thing: &Identity) -> bool {
        self.has(thing)
    }
}

#[async_trait]
impl ProvisionStage for Stage {
    fn provision(&self) -> &dyn Provision {
        &self.subject
    }

    fn like(&self) -> Option<Identity> {
        Some(self.app.clone())
    }

    async fn promote(&self, made: &Identity) {
        self.with(made, |db| db.made_by = None);
    }
}

#[async_trait]
impl TeardownStage for Stage {
    fn teardown(&self) -> &dyn Teardown {
        &self.subject
    }

    fn target(&self) -> &Identity {
        &self.app
    }

    fn successor(&self) -> Option<&Identity> {
        Some(&self.staged)
    }

    async fn back_up(&self) -> BackupId {
        let id = BackupId::generate();
        self.sim
            .take(&self.ctx, &self.app, &id, BackupMode::Full)
            .await
            .expect("taken");
        id
    }

    async fn write(&self) {
        let live = self.sim.identity("app").expect("in service");
        self.with(&live, |db| db.rows.push(99));
    }
}

#[async_trait]
impl BackupStage for Stage {
    fn backup(&self) -> &dyn Backup {
        &self.subject
    }

    fn target(&self) -> &Identity {
        &self.app
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger")
    }

    async fn rows(&self) -> u64 {
        self.with(&self.app, |db| db.rows.len() as u64)
    }

    async fn write(&self) {
        self.with(&self.app, |db| db.rows.push(99));
    }

    async fn damage(&self, id: &BackupId) {
        let mut state = self.sim.state();
        state
            .backups
            .get_mut(id)
            .expect("there")
            .database
            .rows
            .pop();
    }
}

#[async_trait]
impl DatabaseScene for Stage {
    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.staged
    }

    fn backup(&self) -> &BackupId {
        &self.backup
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger")
    }
}

#[async_trait]
impl SchemaStage for Stage {
    fn schema(&self) -> &dyn SchemaApplier {
        &self.subject
    }

    async fn shape(&self) -> String {
        self.text()
    }
}

#[async_trait]
impl RestoreStage for Stage {
    fn restorer(&self) -> &dyn Restorer {
        &self.subject
    }

    async fn content(&self) -> String {
        self.text()
    }

    fn expected(&self) -> String {
        "(0, [10, 20, 30])".to_owned()
    }

    async fn half_restore(&self) {
        self.with(&self.staged, |db| db.rows = vec![10, 20]);
    }
}

#[async_trait]
impl PreserveStage for Stage {
    fn preserver(&self) -> &dyn Preserver {
        &self.subject
    }

    fn old(&self) -> &Identity {
        &self.app
    }

    async fn rows(&self, db: &Identity) -> String {
        self.with(db, |db| format!("{:?}", db.rows))
    }

    fn expected(&self) -> String {
        "[10, 20, 30]".to_owned()
    }
}

#[async_trait]
impl VerifyStage for Stage {
    fn verifier(&self) -> &dyn Verifier {
        &self.subject
    }

    async fn content(&self) -> String {
        self.text()
    }

    async fn spoil(&self) {
        self.with(&self.staged, |db| db.rows.clear());
    }
}

/// Runs each contract's suite on the simulated server with `fault`, if there is to be one.
async fn suites(fault: Option<Fault>, wanted: &str) {
    let stage = async || Stage::new(fault).await;
    match wanted {
        "lock" => conformance::lock(stage).await,
        "workload" => conformance::workload(stage).await,
        "provision" => conformance::provision(stage).await,
        "teardown" => conformance::teardown(async || stage().await.restored()).await,
        "backup" => conformance::backup(async || stage().await.without_backups()).await,
        "schema" => conformance::schema(stage).await,
        "restore" => conformance::restore(stage).await,
        "preserve" => conformance::preserve(stage).await,
        "verify" => conformance::verify(async || stage().await.restored()).await,
        other => panic!("there is no suite {other}"),
    }
}

#[tokio::test]
async fn the_simulated_server_keeps_every_contract() {
    for wanted in [
        "lock",
        "workload",
        "provision",
        "teardown",
        "backup",
        "schema",
        "restore",
        "preserve",
        "verify",
    ] {
        suites(None, wanted).await;
    }
}

/// What the suite `wanted` says about the fault.
async fn said(wanted: &str, fault: Fault) -> String {
    let panic = AssertUnwindSafe(suites(Some(fault), wanted))
        .catch_unwind()
        .await
        .expect_err(&format!("the suite {wanted} does not see {fault:?}"));
    *panic.downcast::<String>().expect("a message")
}

#[tokio::test]
async fn each_fault_is_found_and_named() {
    for (wanted, fault, message) in [
        (
            "lock",
            Fault::LockForAll,
            "acquire of a taken target must not succeed",
        ),
        (
            "workload",
            Fault::StartsWhatWasStopped,
            "start brings what was stopped back to being stopped",
        ),
        (
            "provision",
            Fault::DiscardsByName,
            "discard of the same identifier on another server must not succeed",
        ),
        (
            "teardown",
            Fault::SwapsBack,
            "\"conformance_old\" must be carried by",
        ),
        (
            "teardown",
            Fault::PurgesWithAnyPermit,
            "purge with a permit for something else must not succeed",
        ),
        (
            "backup",
            Fault::PassesDamage,
            "a damaged backup fails its check",
        ),
        (
            "backup",
            Fault::TakesAgain,
            "take of a finished backup returns it as it is",
        ),
        (
            "schema",
            Fault::AppliesAgain,
            "what was pending was applied, in order",
        ),
        ("restore", Fault::AddsRows, "the second call adds nothing"),
        ("preserve", Fault::PutsAgain, "the rows are those of both"),
        (
            "verify",
            Fault::FailsOnDifference,
            "verify of a wrong database (a difference is no error) must succeed",
        ),
    ] {
        let said = said(wanted, fault).await;
        assert!(
            said.starts_with(&format!("contract broken: {message}")),
            "{fault:?}: {said}"
        );
    }
}
