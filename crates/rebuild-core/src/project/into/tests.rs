//! What a new database is not made of.

mod damage;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::model::Endpoint;
use crate::postgres::{DatabaseKey, LocalCluster, Manifest, database_facts};
use crate::testing::{client_bin_dir, cluster, scratch_database};
use crate::traits::{Backup, BackupMode};

/// A server with a database, a backup of it, and another server.
struct World {
    cluster: LocalCluster,
    folder: TempDir,
    destination: Destination,
    manifest: Manifest,
}

impl World {
    async fn with(sql: &str) -> Self {
        let cluster = cluster().await.expect("a server");
        let source = scratch_database(&cluster).await.expect("a database");
        let session = Session::open(&source, "test").await.expect("a session");
        session.batch_execute(sql).await.expect("the source");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        let of = facts.expect("facts").identity;
        session.close().await;
        let folder = TempDir::new().expect("a folder");
        let url = format!("file://{}", folder.path().join("store").display());
        let destination = Destination {
            maintenance: cluster.endpoint("postgres"),
            store: Store::open(&url, &Environment::default())
                .await
                .expect("a store"),
            options: RowOptions {
                chunk_bytes: 16 << 10,
                split_bytes: 32 << 10,
                ..RowOptions::default()
            },
            tools: Some(client_bin_dir(&cluster)),
            environment: Environment::default(),
            precheck: true,
        };
        let backup = destination.backup();
        let (ctx, id) = (Ctx::quiet(), BackupId::generate());
        let taken = backup.take(&ctx, &of, &id, BackupMode::Full).await;
        taken.expect("a backup");
        let manifest = backup.manifest(&id).await.expect("the manifest");
        Self {
            cluster,
            folder,
            destination,
            manifest,
        }
    }

    fn backup_folder(&self) -> std::path::PathBuf {
        let backups = self.folder.path().join("store/backups");
        backups.join(self.manifest.id.as_str())
    }

    fn destination_at(&self, maintenance: Endpoint, precheck: bool) -> Destination {
        Destination {
            maintenance,
            store: self.destination.store.clone(),
            options: self.destination.options.clone(),
            tools: self.destination.tools.clone(),
            environment: self.destination.environment.clone(),
            precheck,
        }
    }

    /// What a restore on `cluster` ends with; no database is there afterwards that was not before.
    async fn fails_on(&self, cluster: &LocalCluster, ctx: &Ctx) -> Error {
        self.fails_with(cluster, ctx, true).await
    }

    /// The same with rows that are read before anything is made, or are not.
    async fn fails_with(&self, cluster: &LocalCluster, ctx: &Ctx, precheck: bool) -> Error {
        let destination = self.destination_at(cluster.endpoint("postgres"), precheck);
        let before = databases(cluster).await;
        let everything = RestoreChoice::default();
        let restored = destination.restore(ctx, &self.manifest.id, "beside", everything);
        let error = restored.await.expect_err("no restore");
        assert_eq!(databases(cluster).await, before, "{}", error.chain());
        error
    }
}

async fn databases(cluster: &LocalCluster) -> Vec<String> {
    let session = Session::open(&cluster.endpoint("postgres"), "test").await;
    let session = session.expect("a session");
    let names = "select datname::text from pg_catalog.pg_database order by 1";
    let rows = session.query(names, &[]).await.expect("the databases");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_role_that_the_server_lacks_is_named_before_anything_is_made() {
    let world = World::with(
        "create role \"the owner\"; create role group_of_it; grant group_of_it to \"the owner\";
         create role reader; create table public.t (x int);
         alter table public.t owner to \"the owner\"; grant select on public.t to reader",
    )
    .await;
    let bare = cluster().await.expect("a server");
    let error = world.fails_on(&bare, &Ctx::quiet()).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("\"the owner\"") && text.contains("\"reader\""),
        "{text}"
    );
    let hint = error.advice().unwrap_or_default();
    assert!(hint.contains("roles.sql"), "{hint}");
    // Nobody owns anything by a group that its owner is in.
    let session = Session::open(&bare.endpoint("postgres"), "test").await;
    let session = session.expect("a session");
    let make = "create role \"the owner\"; create role reader";
    session.batch_execute(make).await.expect("made");
    let destination = Destination {
        maintenance: bare.endpoint("postgres"),
        ..world.destination
    };
    let ctx = Ctx::quiet();
    let everything = RestoreChoice::default();
    let restored = destination.restore(&ctx, &world.manifest.id, "beside", everything);
    let (_, verdict) = restored.await.expect("restored");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
}
