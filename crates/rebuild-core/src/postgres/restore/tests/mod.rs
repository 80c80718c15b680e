//! Restores on a real server.

mod added_up;
mod csv;
mod cut;
mod keys;
mod locks;
mod named;
mod pitfalls;
mod places;
mod redefined;
mod room;
mod shared;
mod some_tables;
mod verified;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::event::{Collected, Events, Sink};
use crate::model::{Endpoint, Identity, TableName};
use crate::postgres::{
    DatabaseKey, LocalCluster, PgBackup, PgProvision, ProvisionOptions, TargetLock, database_facts,
    find_database, fingerprints,
};
use crate::spec::TablePatterns;
use crate::testing::{client_bin_dir, cluster, dump, load_kitchen_sink, scratch_database};
use crate::traits::{Backup, BackupMode, Lock, Provision, ProvisionRequest, SchemaApplier};

/// A server, a store, and what every test does with them.
struct World {
    cluster: LocalCluster,
    store: Store,
    ctx: Ctx,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self::on(cluster().await.expect("a server")).await
    }

    async fn on(cluster: LocalCluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}/store", folder.path().display());
        Self {
            cluster,
            store: Store::open(&url, &crate::Environment::default())
                .await
                .expect("a store"),
            ctx: Ctx::quiet(),
            _folder: folder,
        }
    }

    fn admin(&self) -> Endpoint {
        self.cluster.endpoint("postgres")
    }

    fn tools(&self) -> PathBuf {
        client_bin_dir(&self.cluster)
    }

    fn options(&self) -> RowOptions {
        RowOptions {
            // Small, so that tables come in several chunks and pieces.
            chunk_bytes: 4096,
            split_bytes: 16384,
            whole_bytes: 16384,
            jobs: const { std::num::NonZeroUsize::new(2).expect("2 is not 0") },
            ..RowOptions::default()
        }
    }

    async fn source(&self, sql: &str) -> (Endpoint, Identity) {
        let endpoint = scratch_database(&self.cluster).await.expect("a database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        let sql = format!("set search_path = public; {sql}; set search_path = ''");
        session.batch_execute(&sql).await.expect("the source");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        (endpoint, facts.expect("facts").identity)
    }

    /// A database with one of everything, and a session in it.
    async fn kitchen_sink(&self) -> (Identity, Session) {
        let source = scratch_database(&self.cluster).await.expect("a database");
        load_kitchen_sink(&source).await.expect("the kitchen sink");
        let session = Session::open(&source, "test").await.expect("session");
        let of = find_database(&session, DatabaseKey::Current).await;
        (of.expect("found").expect("there"), session)
    }

    fn backup(&self) -> PgBackup {
        PgBackup::new(
            self.admin(),
            self.store.clone(),
            self.options(),
            Some(self.tools()),
            Environment::from_process(),
        )
    }

    async fn take(&self, of: &Identity) -> BackupId {
        let id = BackupId::generate();
        let backup = self.backup();
        backup
            .take(&self.ctx, of, &id, BackupMode::Full)
            .await
            .expect("a backup");
        let (_, verdict) = backup.check(&self.ctx, &id).await.expect("checked");
        assert!(verdict.passed(), "{:?}", verdict.complaints());
        id
    }

    /// A database made by `sql`, a backup of it, and a staged database with the same schema.
    async fn ready(&self, sql: &str) -> (Identity, BackupId, Identity) {
        let (_, of) = self.source(sql).await;
        let id = self.take(&of).await;
        let db = self.staged(&of).await;
        self.apply(&db, &id).await;
        (of, id, db)
    }

    /// Makes the schema of the backup.
    async fn apply(&self, db: &Identity, id: &BackupId) {
        let applied = self.schema().apply(&self.ctx, db, id).await;
        applied.expect("the schema");
    }

    /// Restores the rows and all that follows them.
    async fn restore(&self, restorer: &PgRestorer, db: &Identity, id: &BackupId) -> RestoreReport {
        let restored = restorer.restore(&self.ctx, db, id).await;
        let report = restored.expect("restored");
        let finished = restorer.finish(&self.ctx, db, id).await;
        finished.expect("finished");
        report
    }

    /// What a restore into `db` is refused for.
    async fn refused(&self, restorer: &PgRestorer, db: &Identity, id: &BackupId) -> Error {
        let restored = restorer.restore(&self.ctx, db, id).await;
        restored.expect_err("a refusal")
    }

    /// An empty database of this run, like `like`.
    async fn staged(&self, like: &Identity) -> Identity {
        let lock = Arc::new(TargetLock::new(self.admin(), like.clone()));
        lock.acquire(&self.ctx).await.expect("the lock");
        let provision = PgProvision::new(self.admin(), lock.clone(), ProvisionOptions::default());
        let request = ProvisionRequest {
            name: format!("staged_{}", self.ctx.run.short()),
            like: Some(like.clone()),
        };
        let made = provision
            .provision(&self.ctx, &request)
            .await
            .expect("made");
        lock.release(&self.ctx).await.expect("released");
        made
    }

    fn restorer(&self, own_schema: bool) -> PgRestorer {
        PgRestorer {
            endpoint: self.admin(),
            store: self.store.clone(),
            options: self.options(),
            choice: RestoreChoice::default(),
            own_schema,
            tools: Some(self.tools()),
            environment: Environment::from_process(),
        }
    }

    fn schema(&self) -> PgBackupSchema {
        PgBackupSchema {
            endpoint: self.admin(),
            store: self.store.clone(),
            rows_follow: true,
        }
    }

    /// Every event of this world from now on.
    fn told(&mut self) -> Arc<Collected> {
        let seen = Arc::new(Collected::default());
        let sinks = vec![seen.clone() as Arc<dyn Sink>];
        self.ctx = Ctx::new(self.ctx.run.clone(), Events::new(None, sinks));
        seen
    }

    async fn inside(&self, db: &Identity) -> Session {
        Session::open_at(&self.admin(), db, &self.ctx)
            .await
            .expect("session")
    }

    /// The schema of a database, as pg_dump writes it.
    async fn dump(&self, db: &Identity) -> String {
        let endpoint = self.cluster.endpoint(&db.name);
        let dumped = dump(&self.cluster, &endpoint, &["--schema-only"]).await;
        dumped.expect("a dump")
    }

    async fn assert_same_rows(&self, db: &Identity, id: &BackupId) {
        let manifest = self.backup().manifest(id).await.expect("the manifest");
        let now = fingerprints(&self.ctx, &self.admin(), db, &manifest, &self.options())
            .await
            .expect("fingerprints");
        assert_eq!(now, manifest.fingerprints());
    }
}

async fn text(session: &Session, sql: &str) -> String {
    let row = session.query_one(sql, &[]).await.expect(sql);
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

fn difference(before: &str, after: &str) -> String {
    let lines: (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = lines.0.iter().filter(|l| !lines.1.contains(l)).take(20);
    let new = lines.1.iter().filter(|l| !lines.0.contains(l)).take(20);
    gone.map(|l| format!("- {l}\n"))
        .chain(new.map(|l| format!("+ {l}\n")))
        .collect()
}
