//! Backups that are damaged, and restores that are left half done.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::event::{Event, EventKind, Events, Progress, Sink};
use crate::model::RunId;
use crate::postgres::FORMAT;
use crate::testing::{Direction, Network, Trouble};

const SPLIT: &str = "
    create table public.t (id int primary key, x text);
    insert into public.t
    select i, pg_catalog.md5(i::text) from pg_catalog.generate_series(1, 20000) i;
    create table public.other (id int primary key);
    insert into public.other values (1);
    select pg_catalog.lo_from_bytea(77, 'abcdef')";

/// What it is called, the file, what is done to it, and whether that is seen before anything is
/// made even if the rows are not read first.
type Damage<'a> = (&'a str, &'a str, &'a dyn Fn(&Path), bool);

fn swap(one: &Path, two: &Path) {
    let (a, b) = (std::fs::read(one), std::fs::read(two));
    std::fs::write(one, b.expect("read")).expect("written");
    std::fs::write(two, a.expect("read")).expect("written");
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("read");
    let at = bytes.len() / 2;
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).expect("written");
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).expect("read");
    std::fs::write(path, &bytes[..bytes.len() - 9]).expect("written");
}

fn empty(path: &Path) {
    std::fs::write(path, b"").expect("written");
}

fn remove(path: &Path) {
    std::fs::remove_file(path).expect("removed");
}

/// Calls a function with the name of every step that begins.
struct OnStep<F>(F);

impl<F: Fn(&str) + Send + Sync> Sink for OnStep<F> {
    fn event(&self, event: &Event) {
        if let EventKind::StepStarted { step, .. } = &event.kind {
            (self.0)(step);
        }
    }

    fn progress(&self, _: &Progress) {}
}

fn on_step(act: impl Fn(&str) + Send + Sync + 'static) -> Ctx {
    Ctx::new(
        RunId::generate(),
        Events::new(None, vec![Arc::new(OnStep(act))]),
    )
}

/// What a restore fails with, and the steps that began after the rows were looked at.
async fn fails(world: &World) -> (Error, Vec<String>) {
    fails_with(world, true).await
}

async fn fails_with(world: &World, precheck: bool) -> (Error, Vec<String>) {
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = steps.clone();
    let ctx = on_step(move |step| seen.lock().expect("a lock").push(step.to_owned()));
    let error = world.fails_with(&world.cluster, &ctx, precheck).await;
    let mut steps = steps.lock().expect("a lock").clone();
    steps.retain(|step| step != "precheck");
    (error, steps)
}

#[tokio::test]
async fn nothing_is_made_of_a_damaged_backup() {
    let world = World::with(SPLIT).await;
    let tables = world.manifest.tables.iter();
    let chunks = &tables.max_by_key(|t| t.rows).expect("a table").chunks;
    assert!(chunks.len() > 1);
    let folder = world.backup_folder();
    let last = &chunks[chunks.len() - 1].file;
    let other = folder.join(&chunks[0].file);
    let damages: [Damage<'_>; 11] = [
        ("a flipped byte", last, &flip, false),
        ("a truncated chunk", last, &cut, true),
        ("an empty chunk", last, &empty, true),
        ("a missing chunk", last, &remove, true),
        ("a swapped chunk", last, &|path| swap(path, &other), true),
        ("a changed schema", "pre-data.sql", &flip, true),
        ("a truncated script", "post-data.sql", &cut, true),
        ("a missing list of roles", "roles.json", &remove, true),
        ("changed large objects", "schema.dump", &flip, true),
        ("missing large objects", "schema.dump", &remove, true),
        ("a changed manifest", "manifest.json", &flip, true),
    ];
    for (damage, file, spoil, early) in damages {
        let path = folder.join(file);
        let (whole, others) = (std::fs::read(&path), std::fs::read(&other));
        spoil(&path);
        for precheck in [true, false] {
            let (error, steps) = fails_with(&world, precheck).await;
            let named = [file, &chunks[0].file].map(|name| error.chain().contains(name));
            let both = damage == "a swapped chunk";
            assert!(named[0] || both && named[1], "{damage}: {}", error.chain());
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}: {error:?}");
            assert_eq!(steps.is_empty(), precheck || early, "{damage}: {steps:?}");
        }
        std::fs::write(&path, whole.expect("read")).expect("put back");
        std::fs::write(&other, others.expect("read")).expect("put back");
    }
    restores(&world, &[]).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_while_rows_go_in_leaves_no_database() {
    let world = World::with(SPLIT).await;
    let server = world.cluster.endpoint("postgres");
    let before = databases(&world.cluster).await;
    for bytes in [100_000, 400_000, 700_000] {
        let proxy = Network::in_trouble(&server, Direction::ToServer, bytes, Trouble::Cut).await;
        let proxy = proxy.expect("a proxy");
        let destination = world.destination_at(proxy.endpoint(), true);
        let (ctx, everything) = (Ctx::quiet(), RestoreChoice::default());
        let restoring = destination.restore(&ctx, &world.manifest.id, "beside", everything);
        let restored = tokio::time::timeout(Duration::from_secs(120), restoring).await;
        let error = restored.expect("in time").expect_err("it was cut");
        assert!(proxy.is_struck(), "{}", error.chain());
        assert_ne!(error.kind(), ErrorKind::Internal, "{}", error.chain());
        assert_eq!(databases(&world.cluster).await, before, "after {bytes}");
    }
    restores(&world, &[]).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_before_the_rows_are_read() {
    let world = World::with("create table public.t as select generate_series(1, 10) as n").await;
    let chunk = &world.manifest.tables[0].chunks[0].file;
    flip(&world.backup_folder().join(chunk));
    let session = Session::open(&world.cluster.endpoint("postgres"), "test").await;
    let session = session.expect("a session");
    let make = "create database beside";
    session.batch_execute(make).await.expect("taken");
    let ctx = on_step(|step| assert_ne!(step, "precheck"));
    let error = world.fails_on(&world.cluster, &ctx).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("beside"), "{error}");
}

async fn restores(world: &World, tables: &[&str]) {
    let tables: Vec<String> = tables.iter().map(|&t| t.to_owned()).collect();
    let choice = RestoreChoice {
        tables: crate::spec::TablePatterns::compile(&tables).expect("patterns"),
        ..RestoreChoice::default()
    };
    let (ctx, id) = (Ctx::quiet(), &world.manifest.id);
    let restored = world.destination.restore(&ctx, id, "beside", choice);
    let (_, verdict) = restored.await.expect("restored");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
}

#[tokio::test]
async fn a_chunk_that_is_not_needed_may_be_missing() {
    let world = World::with(SPLIT).await;
    let mut tables = world.manifest.tables.iter();
    let large = tables.find(|t| t.rows > 1).expect("a table");
    remove(&world.backup_folder().join(&large.chunks[0].file));
    fails(&world).await;
    restores(&world, &["public.other"]).await;
}

#[tokio::test]
async fn nothing_is_made_of_a_manifest_that_cannot_be_followed() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let rewritten = async |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = world.manifest.clone();
        change(&mut manifest);
        let path = world.backup_folder().join("manifest.json");
        let bytes = manifest.to_bytes().expect("a manifest");
        std::fs::write(&path, bytes).expect("written");
        let (error, steps) = fails(&world).await;
        assert_eq!(steps, Vec::<String>::new(), "{error:?}");
        error.chain()
    };
    let newer = format!("the manifest has format {}", FORMAT + 1);
    let said = rewritten(&|m| m.format += 1).await;
    assert!(said.contains(&newer), "{said}");
    for path in ["../../outside", "/etc/passwd", "rows/../../../outside"] {
        let said = rewritten(&|m| m.tables[0].chunks[0].file = path.to_owned()).await;
        assert!(said.contains(&format!("names the file {path:?}")), "{said}");
        let said = rewritten(&|m| m.files[0].file = path.to_owned()).await;
        assert!(said.contains(&format!("names the file {path:?}")), "{said}");
    }
    let another = BackupId::generate();
    let said = rewritten(&|m| m.id = another.clone()).await;
    let both = [&world.manifest.id, &another].map(|id| said.contains(id.as_str()));
    assert_eq!(both, [true, true], "{said}");
    let said = rewritten(&|m| m.mode = BackupMode::SchemaOnly).await;
    assert!(said.contains("holds no rows"), "{said}");
}

#[tokio::test]
async fn a_restore_that_is_stopped_leaves_nothing() {
    let world = World::with(SPLIT).await;
    for wanted in ["schema", "restore", "finish", "verify"] {
        let stop = tokio_util::sync::CancellationToken::new();
        let stopping = stop.clone();
        let mut ctx = on_step(move |step| {
            if step == wanted {
                stopping.cancel();
            }
        });
        ctx.stop = stop;
        let error = world.fails_on(&world.cluster, &ctx).await;
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{wanted}: {error:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_removed_again_is_named() {
    let world = World::with(SPLIT).await;
    let tables = world.manifest.tables.iter();
    let chunks = &tables.max_by_key(|t| t.rows).expect("a table").chunks;
    flip(&world.backup_folder().join(&chunks[0].file));
    let beside = world.cluster.endpoint("beside");
    // A database with a subscription cannot be dropped.
    let ctx = on_step(move |step| {
        if step == "restore" {
            let beside = beside.clone();
            let subscribing = std::thread::spawn(|| subscribe(beside));
            subscribing.join().expect("a subscription");
        }
    });
    let everything = RestoreChoice::default();
    let id = &world.manifest.id;
    let destination = Destination {
        precheck: false,
        ..world.destination
    };
    let restored = destination.restore(&ctx, id, "beside", everything);
    let said = restored.await.expect_err("no restore").chain();
    let left: Vec<String> = databases(&world.cluster).await;
    let left = left.iter().find(|name| name.starts_with("rebuild_drop_"));
    let left = left.expect("a database that is set apart");
    for part in ["\"beside\"", left, "subscription", &chunks[0].file] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn subscribe(at: Endpoint) {
    let session = Session::open(&at, "test").await.expect("a session");
    let sql = "create subscription s connection 'dbname=postgres' publication p
               with (connect = false)";
    session.batch_execute(sql).await.expect("a subscription");
    session.close().await;
}
