//! Loads on a server whose disk fills up.

use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::postgres::{FreeSpace, TaskWithRoom};
use crate::testing::wait_for_lock;
use crate::traits::Task;
use crate::work::{Crew, WorkFolder, WorkId};

/// Within this time what a load still did in the database is ended; the server itself looks for
/// clients that are gone every five seconds.
const SOON: Duration = Duration::from_secs(3);

const TABLES: &str = "
    create table t (id int primary key, b text);
    insert into t select n, repeat('x', 50) from generate_series(1, 20000) n";

/// No room at all.
fn full() -> FreeSpace {
    FreeSpace::told_by(|_| Some(1000))
}

/// A restorer for a server whose disks have `free` bytes.
fn with(world: &World, free: FreeSpace) -> PgRestorer {
    let mut restorer = world.restorer(true);
    restorer.options.free_space = free;
    restorer
}

fn assert_no_room(world: &World, e: &Error) {
    let said = e.chain();
    let data = world.cluster.data_dir();
    assert!(said.contains("are kept free"), "{said}");
    assert!(said.contains(&data.display().to_string()), "{said}");
    assert!(
        e.advice()
            .is_some_and(|hint| hint.contains("rebuild purge"))
    );
}

/// The rows wait for a lock, so that the load is under way until it is ended.
#[tokio::test]
async fn a_load_is_ended_before_the_disk_of_the_server_is_full() {
    let world = World::new().await;
    let (_, id, db) = world.ready(TABLES).await;
    // Plenty, until somebody waits for the lock.
    let left = Arc::new(AtomicU64::new(1 << 40));
    let told = left.clone();
    let free = FreeSpace::told_by(move |_| Some(told.load(Ordering::Relaxed)));
    let restorer = with(&world, free);
    let blocker = Session::open(&world.cluster.endpoint(&db.name), "a test").await;
    let blocker = blocker.expect("a session");
    let lock = "begin; lock table public.t in exclusive mode";
    blocker.batch_execute(lock).await.expect("locked");
    let inside = world.cluster.endpoint(&db.name);
    let fills_up = async {
        wait_for_lock(&inside, "relation = 'public.t'::pg_catalog.regclass").await;
        left.store(1 << 29, Ordering::Relaxed);
    };
    let (ended, ()) = tokio::join!(restorer.restore(&world.ctx, &db, &id), fills_up);
    let e = ended.expect_err("no room");
    assert_no_room(&world, &e);
    assert!(e.chain().contains("of about"), "how far it came: {e:?}");
    let gone = async {
        let waits = "select pg_catalog.count(*)::text from pg_catalog.pg_locks
                      where not granted and relation = 'public.t'::pg_catalog.regclass";
        while text(&blocker, waits).await != "0" {}
    };
    let gone = tokio::time::timeout(SOON, gone).await;
    gone.expect("what the load did there is ended with it");
    blocker.batch_execute("rollback").await.expect("unlocked");
    // With room again, it goes on where it was.
    world.restore(&world.restorer(true), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
}

struct Nobody(WorkId);

#[async_trait]
impl Crew for Nobody {
    fn size(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    fn work(&self) -> &WorkId {
        &self.0
    }

    async fn run(&self, _: &Ctx, _: &WorkFolder) -> Result<()> {
        panic!("nobody is asked to load anything");
    }
}

/// Whoever loads them: sessions of this program, workers elsewhere, or a program of the spec.
#[tokio::test]
async fn no_row_goes_into_a_server_without_room() {
    let world = World::new().await;
    let (_, id, db) = world.ready(TABLES).await;
    let restorer = with(&world, full());
    let e = world.refused(&restorer, &db, &id).await;
    assert_no_room(&world, &e);
    let crew = Nobody(WorkId::generate());
    let shared = restorer.restore_shared(&world.ctx, &db, &id, &[], &crew);
    assert_no_room(&world, &shared.await.expect_err("no room"));
    let mut program = crate::traits::MockTask::new();
    program.expect_name().return_const("load-it".to_owned());
    let task = TaskWithRoom {
        task: Arc::new(program),
        endpoint: world.admin(),
        free: full(),
    };
    let e = task.run(&world.ctx, &db).await.expect_err("no room");
    assert_no_room(&world, &e);
    assert!(e.chain().contains("load-it was ended"), "{e:?}");
    let count = "select pg_catalog.count(*)::text from public.t";
    assert_eq!(text(&world.inside(&db).await, count).await, "0");
}

/// The log and the tablespaces may be on disks of their own.
#[tokio::test]
async fn every_disk_of_the_server_is_looked_at() {
    let world = World::new().await;
    let (_, id, db) = world.ready(TABLES).await;
    let elsewhere = world.cluster.data_dir().with_extension("space");
    std::fs::create_dir(&elsewhere).expect("a folder");
    if rustix::process::geteuid().is_root() {
        let owner = world.cluster.data_dir().metadata().expect("its owner");
        std::os::unix::fs::chown(&elsewhere, Some(owner.uid()), Some(owner.gid())).expect("chown");
    }
    let admin = Session::open(&world.admin(), "a test")
        .await
        .expect("a session");
    let space = format!(
        "create tablespace elsewhere location '{}'",
        elsewhere.display()
    );
    admin.batch_execute(&space).await.expect("a tablespace");
    let moved = "alter table public.t set tablespace elsewhere";
    let inside = world.inside(&db).await;
    inside.batch_execute(moved).await.expect("moved");
    for folder in [world.cluster.data_dir().join("pg_wal"), elsewhere] {
        let full = folder.clone();
        let free = move |at: &Path| Some(if at == full { 1000 } else { 1 << 40 });
        let restorer = with(&world, FreeSpace::told_by(free));
        let said = world.refused(&restorer, &db, &id).await.chain();
        assert!(said.contains(&folder.display().to_string()), "{said}");
    }
}

/// Bytes on the disk of whatever is below a folder, of which files come and go.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => used(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// A server writes rows and log as fast as it can, and is told to be on a disk with 100 MiB left.
#[tokio::test]
async fn a_load_larger_than_the_disk_leaves_the_server_room() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table t (id int primary key, b text);
             insert into t select n, repeat(pg_catalog.md5(n::text), 30)
               from generate_series(1, 150000) n",
        )
        .await;
    let options = RowOptions::default();
    let mut restorer = PgRestorer {
        options: options.clone(),
        ..world.restorer(true)
    };
    let (environment, tools) = (restorer.environment.clone(), restorer.tools.clone());
    let store = world.store.clone();
    let backup = PgBackup::new(world.admin(), store, options, tools, environment);
    let id = BackupId::generate();
    let taken = backup.take(&world.ctx, &of, &id, BackupMode::Full).await;
    taken.expect("a backup");
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;

    let data = world.cluster.data_dir();
    let disk = used(&data) + (100 << 20);
    let least = Arc::new(AtomicU64::new(u64::MAX));
    let (folder, lowest) = (data.clone(), least.clone());
    restorer.options.free_space = FreeSpace::told_by(move |_| {
        let free = disk.saturating_sub(used(&folder));
        lowest.fetch_min(free, Ordering::Relaxed);
        Some(free)
    });
    let e = world.refused(&restorer, &db, &id).await;
    assert_no_room(&world, &e);
    // More than the log takes at once, a segment of 16 MiB, was left at any time.
    let left = disk.saturating_sub(used(&data));
    let least = least.load(Ordering::Relaxed).min(left);
    assert!(least > 16 << 20, "{} KiB were left", least >> 10);
}
