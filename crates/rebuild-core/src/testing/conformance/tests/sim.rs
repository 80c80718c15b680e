//! The simulated server keeps the contracts that the engine is tested against.

use std::sync::Arc;

use async_trait::async_trait;

use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::testing::conformance::{
    self, BackupStage, LockStage, ProvisionStage, RestoreStage, SchemaStage, TeardownStage,
    VerifyStage, WorkloadStage,
};
use crate::testing::sim::{Sim, SimDatabase};
use crate::traits::{
    Backup, BackupMode, Lock, Provision, ProvisionRequest, Restorer, SchemaApplier, Teardown,
    Verifier, Workload,
};

/// The simulated server, with `app` backed up and `app_new` staged.
struct Stage {
    sim: Sim,
    ctx: Ctx,
    app: Identity,
    staged: Identity,
    backup: BackupId,
    web: Arc<dyn Workload>,
}

impl Stage {
    async fn new() -> Self {
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
        let web = sim.backends().workloads[0].clone();
        Self {
            sim,
            ctx,
            app,
            staged,
            backup,
            web,
        }
    }

    /// As [`new`](Self::new), with an empty store.
    async fn without_backups() -> Self {
        let stage = Self::new().await;
        stage.sim.state().backups.clear();
        stage
    }

    /// As [`new`](Self::new), with everything in the staged database.
    async fn restored() -> Self {
        let stage = Self::new().await;
        stage.with(&stage.staged, |db| {
            db.schema = 2;
            db.rows = vec![10, 20, 30];
        });
        stage
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
        Box::new(self.sim.clone())
    }

    async fn holder_dies(&self) {
        self.sim.client_died();
    }
}

#[async_trait]
impl WorkloadStage for Stage {
    fn workload(&self) -> &dyn Workload {
        self.web.as_ref()
    }

    async fn writes(&self) -> bool {
        self.sim.state().workloads["web"]
    }
}

#[async_trait]
impl ProvisionStage for Stage {
    fn provision(&self) -> &dyn Provision {
        &self.sim
    }

    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn like(&self) -> Option<Identity> {
        Some(self.app.clone())
    }

    async fn occupy(&self, name: &str) -> Identity {
        self.add(name)
    }

    async fn promote(&self, made: &Identity) {
        self.with(made, |db| db.made_by = None);
    }

    async fn exists(&self, thing: &Identity) -> bool {
        self.has(thing)
    }
}

#[async_trait]
impl TeardownStage for Stage {
    fn teardown(&self) -> &dyn Teardown {
        &self.sim
    }

    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn target(&self) -> &Identity {
        &self.app
    }

    fn successor(&self) -> Option<&Identity> {
        Some(&self.staged)
    }

    async fn occupy(&self, name: &str) -> Identity {
        self.add(name)
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

    async fn exists(&self, thing: &Identity) -> bool {
        self.has(thing)
    }
}

#[async_trait]
impl BackupStage for Stage {
    fn backup(&self) -> &dyn Backup {
        &self.sim
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
impl SchemaStage for Stage {
    fn schema(&self) -> &dyn SchemaApplier {
        &self.sim
    }

    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.staged
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger")
    }

    async fn backup(&self) -> BackupId {
        self.backup.clone()
    }

    async fn shape(&self) -> String {
        self.text()
    }
}

#[async_trait]
impl RestoreStage for Stage {
    fn restorer(&self) -> &dyn Restorer {
        &self.sim
    }

    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.staged
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger")
    }

    fn backup(&self) -> &BackupId {
        &self.backup
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
impl VerifyStage for Stage {
    fn verifier(&self) -> &dyn Verifier {
        &self.sim
    }

    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.staged
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger")
    }

    fn backup(&self) -> &BackupId {
        &self.backup
    }

    async fn content(&self) -> String {
        self.text()
    }

    async fn spoil(&self) {
        self.with(&self.staged, |db| db.rows.clear());
    }
}

#[tokio::test]
async fn lock() {
    conformance::lock(Stage::new).await;
}

#[tokio::test]
async fn workload() {
    conformance::workload(Stage::new).await;
}

#[tokio::test]
async fn provision() {
    conformance::provision(Stage::new).await;
}

#[tokio::test]
async fn teardown() {
    conformance::teardown(async || {
        let stage = Stage::new().await;
        stage.with(&stage.staged, |db| db.rows = vec![10, 20, 30]);
        stage
    })
    .await;
}

#[tokio::test]
async fn backup() {
    conformance::backup(Stage::without_backups).await;
}

#[tokio::test]
async fn schema() {
    conformance::schema(Stage::new).await;
}

#[tokio::test]
async fn restore() {
    conformance::restore(Stage::new).await;
}

#[tokio::test]
async fn verify() {
    conformance::verify(Stage::restored).await;
}
