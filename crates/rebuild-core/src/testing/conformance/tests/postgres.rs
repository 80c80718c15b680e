//! The PostgreSQL backend keeps the contracts, on a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;

use crate::event::Ctx;
use crate::model::{BackupId, Identity, TableName};
use crate::postgres::{
    DatabaseKey, EndSessions, Environment, LocalCluster, PgBackup, PgProvision, PgTeardown,
    ProvisionOptions, ReadOnlyGate, RowOptions, Session, TargetLock, exact_counts, find_database,
    ident, made_by,
};
use crate::store::Store;
use crate::testing::client_bin_dir;
use crate::testing::conformance::{
    self, BackupStage, LockStage, NamesScene, ProvisionStage, TeardownStage, WorkloadStage,
};
use crate::traits::{Backup, BackupMode, Lock, Provision, Teardown, Workload};

async fn session(cluster: &LocalCluster, database: &str) -> Session {
    Session::open(&cluster.endpoint(database), "conformance")
        .await
        .expect("a session")
}

/// A server with the target `app` and a staged `app_new`, and the lock on the target.
struct Stage {
    cluster: Arc<LocalCluster>,
    admin: Session,
    /// A session of the application's, that is there before the run.
    client: Mutex<Session>,
    ctx: Ctx,
    app: Identity,
    staged: Identity,
    lock: Arc<TargetLock>,
    backup: PgBackup,
    store: TempDir,
    teardown: PgTeardown,
    provision: PgProvision,
    gate: ReadOnlyGate,
}

impl Stage {
    /// A stage on `cluster`, where nothing of an earlier one is left.
    async fn new(cluster: &Arc<LocalCluster>) -> Self {
        let admin = session(cluster, "postgres").await;
        clear(&admin).await;
        let ctx = Ctx::quiet();
        for name in ["app", "app_new"] {
            run(&admin, &format!("create database {name}")).await;
            let inside = session(cluster, name).await;
            run(
                &inside,
                "create table public.t (n int); insert into public.t values (1), (2)",
            )
            .await;
            inside.close().await;
        }
        let mark = made_by(&ctx.run);
        run(&admin, &format!("comment on database app_new is '{mark}'")).await;
        let app = find(&admin, "app").await;
        let staged = find(&admin, "app_new").await;
        let maintenance = cluster.endpoint("postgres");
        let lock = Arc::new(TargetLock::new(maintenance.clone(), app.clone()));
        let store = TempDir::new().expect("a folder");
        let url = format!("file://{}", store.path().join("store").display());
        let backup = PgBackup::new(
            maintenance.clone(),
            Store::open(&url, &crate::Environment::default())
                .await
                .expect("a store"),
            RowOptions::default(),
            Some(client_bin_dir(cluster)),
            Environment::from_process(),
        );
        Self {
            client: Mutex::new(session(cluster, "app").await),
            teardown: PgTeardown::new(
                maintenance.clone(),
                lock.clone(),
                EndSessions::All,
                Arc::new(backup.clone()),
            ),
            provision: PgProvision::new(maintenance, lock.clone(), ProvisionOptions::default()),
            gate: ReadOnlyGate::new(app.clone(), lock.clone(), EndSessions::All),
            cluster: cluster.clone(),
            admin,
            ctx,
            app,
            staged,
            lock,
            backup,
            store,
        }
    }

    /// As [`new`](Self::new), with the lock taken, so that the backend may act.
    async fn locked(cluster: &Arc<LocalCluster>) -> Self {
        let stage = Self::new(cluster).await;
        stage.lock.acquire(&stage.ctx).await.expect("the lock");
        stage
    }

    async fn add(&self, name: &str) -> Identity {
        let name_quoted = ident(name).expect("a name");
        run(&self.admin, &format!("create database {name_quoted}")).await;
        find(&self.admin, name).await
    }

    /// Adds a row to what is called `app` now, and waits until the server has counted it.
    async fn insert(&self) {
        let inside = session(&self.cluster, &self.app.name).await;
        run(&inside, "insert into public.t values (3)").await;
        let pid = inside.backend_pid();
        inside.close().await;
        // A session hands its counts in when it ends, which is after the goodbye.
        let there = "select from pg_catalog.pg_stat_activity where pid = $1";
        while !self
            .admin
            .query(there, &[&pid])
            .await
            .expect("sessions")
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    }

    async fn has(&self, thing: &Identity) -> bool {
        let oid = thing.uid.parse().expect("an oid");
        find_database(&self.admin, DatabaseKey::Oid(oid))
            .await
            .expect("an answer")
            .is_some()
    }
}

async fn run(session: &Session, sql: &str) {
    session.batch_execute(sql).await.expect(sql);
}

async fn find(admin: &Session, name: &str) -> Identity {
    find_database(admin, DatabaseKey::Name(name))
        .await
        .expect("an answer")
        .expect("there")
}

/// Ends every other session and drops every database that the server did not come with.
async fn clear(admin: &Session) {
    let rows = admin
        .query(
            "select datname::text from pg_catalog.pg_database
              where datname not in ('postgres', 'template0', 'template1')",
            &[],
        )
        .await
        .expect("names");
    for row in rows {
        let name = ident(row.get(0)).expect("a name");
        run(admin, &format!("drop database {name} with (force)")).await;
    }
}

#[async_trait]
impl LockStage for Stage {
    fn lock(&self) -> Box<dyn Lock> {
        Box::new(TargetLock::new(
            self.cluster.endpoint("postgres"),
            self.app.clone(),
        ))
    }

    async fn holder_dies(&self) {
        let holders = "select pid from pg_catalog.pg_locks where locktype = 'advisory'";
        let deadline = Instant::now() + Duration::from_secs(30);
        run(
            &self.admin,
            &format!("select pg_catalog.pg_terminate_backend(pid) from ({holders}) h"),
        )
        .await;
        while !self
            .admin
            .query(holders, &[])
            .await
            .expect("locks")
            .is_empty()
        {
            assert!(Instant::now() < deadline, "the holder lives on");
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl WorkloadStage for Stage {
    fn workload(&self) -> &dyn Workload {
        &self.gate
    }

    async fn writes(&self) -> bool {
        let insert = "insert into public.t values (3)";
        let mut client = self.client.lock().await;
        let mut written = client.batch_execute(insert).await;
        if client.is_closed() {
            *client = session(&self.cluster, "app").await;
            written = client.batch_execute(insert).await;
        }
        match written {
            Ok(()) => true,
            Err(e) if e.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => false,
            Err(e) => panic!("the application could not even try to write: {e:?}"),
        }
    }
}

#[async_trait]
impl NamesScene for Stage {
    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    async fn occupy(&self, name: &str) -> Identity {
        self.add(name).await
    }

    async fn exists(&self, thing: &Identity) -> bool {
        self.has(thing).await
    }
}

#[async_trait]
impl ProvisionStage for Stage {
    fn provision(&self) -> &dyn Provision {
        &self.provision
    }

    fn like(&self) -> Option<Identity> {
        Some(self.app.clone())
    }

    async fn promote(&self, made: &Identity) {
        let name = ident(&made.name).expect("a name");
        run(
            &self.admin,
            &format!("comment on database {name} is 'in service'"),
        )
        .await;
    }
}

#[async_trait]
impl TeardownStage for Stage {
    fn teardown(&self) -> &dyn Teardown {
        &self.teardown
    }

    fn target(&self) -> &Identity {
        &self.app
    }

    fn successor(&self) -> Option<&Identity> {
        Some(&self.staged)
    }

    async fn back_up(&self) -> BackupId {
        let id = BackupId::generate();
        self.backup
            .take(&self.ctx, &self.app, &id, BackupMode::Full)
            .await
            .expect("taken");
        id
    }

    async fn write(&self) {
        self.insert().await;
    }
}

#[async_trait]
impl BackupStage for Stage {
    fn backup(&self) -> &dyn Backup {
        &self.backup
    }

    fn target(&self) -> &Identity {
        &self.app
    }

    async fn stranger(&self) -> Identity {
        self.add("stranger").await
    }

    async fn rows(&self) -> u64 {
        let inside = session(&self.cluster, "app").await;
        let counts = exact_counts(&inside, &[TableName::new("public", "t")]).await;
        inside.close().await;
        counts.expect("counted")[0].1
    }

    async fn write(&self) {
        self.insert().await;
    }

    async fn damage(&self, id: &BackupId) {
        let folder = self.store.path().join("store/backups").join(id.as_str());
        let mut files: Vec<_> = std::fs::read_dir(folder.join("rows"))
            .expect("rows")
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        let mut bytes = std::fs::read(&files[0]).expect("rows");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(&files[0], bytes).expect("damaged");
    }
}

async fn server() -> Arc<LocalCluster> {
    Arc::new(crate::testing::cluster().await.expect("a server"))
}

#[tokio::test]
async fn target_lock() {
    let cluster = server().await;
    conformance::lock(async || Stage::new(&cluster).await).await;
}

#[tokio::test]
async fn read_only_gate() {
    let cluster = server().await;
    conformance::workload(async || Stage::locked(&cluster).await).await;
}

#[tokio::test]
async fn pg_provision() {
    let cluster = server().await;
    conformance::provision(async || Stage::locked(&cluster).await).await;
}

#[tokio::test]
async fn pg_teardown() {
    let cluster = server().await;
    conformance::teardown(async || Stage::locked(&cluster).await).await;
}

#[tokio::test]
async fn pg_backup() {
    let cluster = server().await;
    conformance::backup(async || Stage::new(&cluster).await).await;
}
