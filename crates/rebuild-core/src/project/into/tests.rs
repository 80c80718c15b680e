//! What a new database is not made of.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
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

    /// What a restore on `cluster` ends with; no database is there afterwards that was not before.
    async fn fails_on(&self, cluster: &LocalCluster) -> Error {
        let destination = Destination {
            maintenance: cluster.endpoint("postgres"),
            store: self.destination.store.clone(),
            options: self.destination.options.clone(),
            tools: self.destination.tools.clone(),
            environment: self.destination.environment.clone(),
        };
        let before = databases(cluster).await;
        let everything = RestoreChoice::default();
        let ctx = Ctx::quiet();
        let restored = destination.restore(&ctx, &self.manifest.id, "beside", everything);
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

fn swap(one: &Path, two: &Path) {
    let (a, b) = (std::fs::read(one), std::fs::read(two));
    std::fs::write(one, b.expect("read")).expect("written");
    std::fs::write(two, a.expect("read")).expect("written");
}

/// What it is called, the file, and what is done to it.
type Damage<'a> = (&'a str, &'a str, &'a dyn Fn(&Path));

const SPLIT: &str = "
    create table public.t (id int primary key, x text);
    insert into public.t
    select i, pg_catalog.md5(i::text) from pg_catalog.generate_series(1, 5000) i";

#[tokio::test]
async fn nothing_is_made_of_a_damaged_backup() {
    let world = World::with(SPLIT).await;
    let chunks = &world.manifest.tables[0].chunks;
    assert!(chunks.len() > 3);
    let folder = world.backup_folder();
    let last = &chunks[chunks.len() - 1].file;
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("read");
        let at = bytes.len() / 2;
        bytes[at] ^= 0x40;
        std::fs::write(path, bytes).expect("written");
    };
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).expect("read");
        std::fs::write(path, &bytes[..bytes.len() - 9]).expect("written");
    };
    let other = folder.join(&chunks[0].file);
    let damages: [Damage<'_>; 7] = [
        ("a flipped byte", last, &flip),
        ("a truncated chunk", last, &cut),
        ("an empty chunk", last, &|path| {
            std::fs::write(path, b"").expect("written")
        }),
        ("a missing chunk", last, &|path| {
            std::fs::remove_file(path).expect("removed")
        }),
        ("a swapped chunk", last, &|path| swap(path, &other)),
        ("a changed schema", "pre-data.sql", &flip),
        ("a truncated script", "post-data.sql", &cut),
    ];
    for (damage, file, spoil) in damages {
        let path = folder.join(file);
        let (whole, others) = (std::fs::read(&path), std::fs::read(&other));
        spoil(&path);
        let error = world.fails_on(&world.cluster).await;
        let named = [file, &chunks[0].file].map(|name| error.chain().contains(name));
        let both = damage == "a swapped chunk";
        assert!(named[0] || both && named[1], "{damage}: {}", error.chain());
        std::fs::write(&path, whole.expect("read")).expect("put back");
        std::fs::write(&other, others.expect("read")).expect("put back");
    }
    let everything = RestoreChoice::default();
    let ctx = Ctx::quiet();
    let id = &world.manifest.id;
    let restored = world.destination.restore(&ctx, id, "beside", everything);
    let (_, verdict) = restored.await.expect("restored");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
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
    let error = world.fails_on(&bare).await;
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
