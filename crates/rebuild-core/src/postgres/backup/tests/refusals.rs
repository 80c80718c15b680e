use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Events, Progress, Sink};
use crate::postgres::rows::snapshot::Snapshot;

const LIMIT: Duration = Duration::from_secs(60);

/// Takes a backup that cannot be taken, and makes sure that nothing is left of it.
async fn refused(world: &World, backup: &PgBackup, target: &Identity) -> Error {
    let id = BackupId::generate();
    let error = backup
        .take(&world.ctx, target, &id, BackupMode::Full)
        .await
        .expect_err("no backup");
    let all = crate::store::Name::new("backups").expect("name");
    assert_eq!(world.store.list(&all).await.expect("list"), Vec::new());
    error
}

#[tokio::test]
async fn tables_that_hide_rows_are_named_before_anything_is_read() {
    let world = World::with(
        "create role reader login; create table public.secret (x int);
         alter table public.secret enable row level security;
         create policy p on public.secret using (x > 0);
         insert into public.secret values (-1), (1); grant select on public.secret to reader;
         create table public.\"closed\" (x int); create table public.open (x int);
         grant select on public.open to reader",
    )
    .await;
    let mut endpoint = world.endpoint.clone();
    endpoint.user = "reader".to_owned();
    let tools = client_bin_dir(&world.cluster);
    let backup = world.backup_from(endpoint, World::options(), tools);
    let error = refused(&world, &backup, &world.identity).await;
    assert!(error.is_refusal(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("public.secret (row-level security"), "{text}");
    assert!(
        text.contains("public.closed (this role may not read it)"),
        "{text}"
    );
    assert!(!text.contains("public.open"), "{text}");
    assert!(
        error
            .advice()
            .is_some_and(|hint| hint.contains("BYPASSRLS"))
    );

    world
        .run("alter role reader bypassrls; grant select on public.closed to reader")
        .await;
    let manifest = world.take_with(&backup).await;
    assert_eq!(manifest.summary().rows, 2);
}

#[tokio::test]
async fn another_database_under_the_name_is_refused() {
    let world = World::with("create table public.t (x int)").await;
    let mut other = world.identity.clone();
    other.uid = "99999".to_owned();
    assert!(refused(&world, &world.backup(), &other).await.is_refusal());
    let mut elsewhere = world.identity.clone();
    elsewhere.server = "1".to_owned();
    assert!(
        refused(&world, &world.backup(), &elsewhere)
            .await
            .is_refusal()
    );
}

#[tokio::test]
async fn a_locked_table_is_waited_for_only_so_long() {
    let world = World::with("create table public.t (x int)").await;
    let holder = world.session().await;
    holder
        .batch_execute("begin; lock table public.t in access exclusive mode")
        .await
        .expect("locked");
    let backup = world.backup_with(RowOptions {
        lock_wait: Duration::from_millis(100),
        ..World::options()
    });
    let error = refused(&world, &backup, &world.identity).await;
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(error.to_string().contains("public.t"), "{error:?}");
}

#[tokio::test]
async fn a_table_that_was_truncated_after_the_snapshot_is_not_taken_for_empty() {
    let world = World::with(
        "create table public.t (x int); create table public.u (x int);
         insert into public.t values (1)",
    )
    .await;
    let snapshot = Snapshot::export_from(world.session().await)
        .await
        .expect("snapshot");
    world.run("truncate public.t").await;
    let held = snapshot.hold(|_| true, &World::options()).await;
    let error = held.expect_err("rewritten");
    assert!(
        error.is_refusal() && error.to_string().contains("public.t"),
        "{error:?}"
    );
    assert!(!error.to_string().contains("public.u"), "{error:?}");
}

/// A folder with a pg_dump of our own making; pg_restore is the real one.
fn fake_tools(world: &World, script: &str) -> PathBuf {
    let real = client_bin_dir(&world.cluster);
    let folder = world.store_folder.path().join("tools");
    std::fs::create_dir_all(&folder).expect("folder");
    let path = folder.join("pg_dump");
    let script = script.replace("@REAL@", &real.join("pg_dump").display().to_string());
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let link = folder.join("pg_restore");
    if !link.exists() {
        std::os::unix::fs::symlink(real.join("pg_restore"), link).expect("linked");
    }
    folder
}

#[tokio::test]
async fn a_pg_dump_that_is_old_or_fails_or_stops_early_makes_no_backup() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let version = "if [ \"$1\" = --version ]; then exec @REAL@ --version; fi";
    for (script, says) in [
        (
            "echo 'pg_dump (PostgreSQL) 9.6.24'".to_owned(),
            "is version 9",
        ),
        (format!("{version}; echo no luck >&2; exit 3"), "no luck"),
        (
            format!("{version}; @REAL@ \"$@\" | head -c 900"),
            "pg_restore",
        ),
        (version.to_owned(), "pg_restore"),
    ] {
        let tools = fake_tools(&world, &script);
        let backup = world.backup_from(world.endpoint.clone(), World::options(), tools);
        let error = refused(&world, &backup, &world.identity).await;
        assert!(error.chain().contains(says), "{script}: {error:?}");
    }
}

#[tokio::test]
async fn pg_dump_reads_the_snapshot_and_no_rows_and_waits_for_no_lock_for_ever() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let log = world.store_folder.path().join("arguments");
    let script = format!("echo \"$@\" >> {}; exec @REAL@ \"$@\"", log.display());
    let tools = fake_tools(&world, &script);
    let backup = world.backup_from(world.endpoint.clone(), World::options(), tools);
    let id = BackupId::generate();
    let taken = backup.take(&world.ctx, &world.identity, &id, BackupMode::Full);
    taken.await.expect("a backup");
    let told = std::fs::read_to_string(&log).expect("what it was told");
    let dumps: Vec<&str> = told
        .lines()
        .filter(|line| !line.contains("--version"))
        .collect();
    assert!(!dumps.is_empty(), "{told}");
    for dump in dumps {
        for argument in [
            "--snapshot=",
            "--lock-wait-timeout=",
            "--exclude-table-data=*.*",
        ] {
            assert!(dump.contains(argument), "{dump}");
        }
    }
}

/// Holds whoever reports progress of the backup up, until it is let go.
struct Gate(Mutex<Option<Receiver<()>>>);

impl Sink for Gate {
    fn event(&self, _event: &Event) {}

    fn progress(&self, progress: &Progress) {
        let gate = self.0.lock().expect("alone").take();
        if let Some(gate) = gate.filter(|_| progress.of == "backup") {
            // What this worker would run next is given to another; it would be held up too.
            tokio::task::block_in_place(|| gate.recv_timeout(LIMIT).expect("let go"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_whose_snapshot_holder_died_fails() {
    let mut world =
        World::with("create table public.t (x int); insert into public.t values (1)").await;
    let (open, gate) = std::sync::mpsc::channel();
    let sink: Arc<dyn Sink> = Arc::new(Gate(Mutex::new(Some(gate))));
    world.ctx.events = Events::new(None, vec![sink]);
    let id = BackupId::generate();
    let taking = {
        let (backup, ctx, target, id) = (
            world.backup(),
            world.ctx.clone(),
            world.identity.clone(),
            id.clone(),
        );
        tokio::spawn(async move { backup.take(&ctx, &target, &id, BackupMode::Full).await })
    };

    // The rows are held up; wait for pg_dump and all that follows it, then kill the holder.
    let last = world.folder_of(&id).join("large-objects.sql.zst");
    tokio::time::timeout(LIMIT, async {
        while !last.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("dumped");
    let killed: i64 = world
        .session()
        .await
        .query_one(
            "select pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) from (
                select pid from pg_catalog.pg_stat_activity where application_name = $1
                 order by backend_start limit 1) as oldest",
            &[&crate::postgres::application(&world.ctx)],
        )
        .await
        .expect("killed")
        .get(0);
    assert_eq!(killed, 1);
    open.send(()).expect("open");
    let error = taking.await.expect("ended").expect_err("no backup");
    assert!(
        error
            .to_string()
            .contains("the session that held the snapshot ended"),
        "{error:?}"
    );
    assert_eq!(
        world.backup().list(&world.ctx).await.expect("list"),
        Vec::new()
    );
    assert!(!last.exists());
}

/// Stops the run as soon as the backup has stored something.
struct Stopper(tokio_util::sync::CancellationToken);

impl Sink for Stopper {
    fn event(&self, _event: &Event) {}

    fn progress(&self, _progress: &Progress) {
        self.0.cancel();
    }
}

#[tokio::test]
async fn a_backup_that_the_operator_stops_leaves_nothing() {
    let mut world = World::with(
        "create table public.t (x text);
         insert into public.t select pg_catalog.md5(i::text)
           from pg_catalog.generate_series(1, 200000) i",
    )
    .await;
    let sink: Arc<dyn Sink> = Arc::new(Stopper(world.ctx.stop.clone()));
    world.ctx.events = Events::new(None, vec![sink]);
    let error = refused(&world, &world.backup(), &world.identity).await;
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
}
