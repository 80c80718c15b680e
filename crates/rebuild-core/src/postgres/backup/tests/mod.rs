//! Backups of real databases on a real server.

mod cut_off;
mod damage;
mod export;
mod pitfalls;
mod refusals;
mod script;
mod shared;
mod taking;
mod text;
mod watching;
mod writers;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::{ExportFormat, Manifest, PgBackup};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity, TableFingerprint};
use crate::postgres::rows::RowOptions;
use crate::postgres::{
    DatabaseKey, Environment, LocalCluster, Session, find_database, fingerprints,
};
use crate::store::Store;
use crate::testing::{client_bin_dir, cluster, load_kitchen_sink, scratch_database};
use crate::traits::{Backup, BackupMode};

/// A server, a database on it, and an empty store.
struct World {
    cluster: Arc<LocalCluster>,
    endpoint: Endpoint,
    identity: Identity,
    store_folder: TempDir,
    store: Store,
    ctx: Ctx,
}

impl World {
    /// With an empty database.
    async fn empty() -> Self {
        let cluster = cluster().await.expect("cluster");
        let endpoint = scratch_database(&cluster).await.expect("database");
        Self::around(Arc::new(cluster), endpoint).await
    }

    /// With a database that `sql` was run in.
    async fn with(sql: &str) -> Self {
        let world = Self::empty().await;
        world.run(sql).await;
        world
    }

    async fn kitchen_sink() -> Self {
        let world = Self::empty().await;
        load_kitchen_sink(&world.endpoint).await.expect("loaded");
        world
    }

    /// With another database of the same server, and a store of its own.
    async fn beside(&self, database: &str) -> Self {
        Self::around(self.cluster.clone(), self.endpoint.with_database(database)).await
    }

    async fn around(cluster: Arc<LocalCluster>, endpoint: Endpoint) -> Self {
        let session = Session::open(&endpoint, "test").await.expect("session");
        let identity = find_database(&session, DatabaseKey::Current)
            .await
            .expect("identity")
            .expect("it is there");
        let store_folder = TempDir::new().expect("folder");
        let path = store_folder.path().join("store");
        let store = Store::open(
            &format!("file://{}", path.display()),
            &crate::Environment::default(),
        )
        .await
        .expect("store");
        Self {
            cluster,
            endpoint,
            identity,
            store_folder,
            store,
            ctx: Ctx::quiet(),
        }
    }

    async fn session(&self) -> Session {
        Session::open(&self.endpoint, "test")
            .await
            .expect("session")
    }

    /// What the tables of the manifest add up to as they are now.
    async fn now(&self, manifest: &Manifest) -> Vec<TableFingerprint> {
        let (at, of) = (&self.endpoint, &self.identity);
        let sums = fingerprints(&self.ctx, at, of, manifest, &Self::options()).await;
        sums.expect("added up")
    }

    async fn run(&self, sql: &str) {
        self.session().await.batch_execute(sql).await.expect("run");
    }

    /// Small chunks and parts, so that little data makes many of them.
    fn options() -> RowOptions {
        RowOptions {
            jobs: NonZeroUsize::new(3).expect("not 0"),
            chunk_bytes: 256 << 10,
            split_bytes: 1 << 20,
            ..RowOptions::default()
        }
    }

    fn backup(&self) -> PgBackup {
        self.backup_with(Self::options())
    }

    fn backup_with(&self, options: RowOptions) -> PgBackup {
        // Any database of the server will do: the target is named by its identity.
        let endpoint = self.endpoint.with_database("postgres");
        self.backup_from(endpoint, options, client_bin_dir(&self.cluster))
    }

    fn backup_from(&self, endpoint: Endpoint, options: RowOptions, tools: PathBuf) -> PgBackup {
        let environment = Environment::default();
        PgBackup::new(
            endpoint,
            self.store.clone(),
            options,
            Some(tools),
            environment,
        )
    }

    async fn take(&self) -> Manifest {
        self.take_with(&self.backup()).await
    }

    async fn take_with(&self, backup: &PgBackup) -> Manifest {
        let id = BackupId::generate();
        let summary = backup
            .take(&self.ctx, &self.identity, &id, BackupMode::Full)
            .await
            .expect("taken");
        let manifest = backup.manifest(&id).await.expect("manifest");
        assert_eq!(manifest.summary(), summary);
        manifest
    }

    fn folder_of(&self, id: &BackupId) -> std::path::PathBuf {
        self.store
            .folder()
            .expect("local")
            .join("backups")
            .join(id.as_str())
    }

    /// What is wrong with a backup, one line each.
    async fn complaints(&self, id: &BackupId) -> Vec<String> {
        let (_, verdict) = self.backup().check(&self.ctx, id).await.expect("checked");
        assert!(!verdict.checks.is_empty());
        verdict.complaints()
    }
}
