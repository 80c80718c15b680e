//! Backups whose rows several workers read.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::error::{ErrorKind, Result};
use crate::store::Name;
use crate::testing::end_sessions;
use crate::work::{AwaitedCrew, Crew, Share, WorkFolder, WorkId};

/// Tables of several parts, of both forms, with partitions and none at all.
const ROWS: &str = "
    create table public.big (id int8, x text, y interval);
    insert into public.big
    select i, pg_catalog.repeat('row ' || i, 10), i * interval '1 minute'
      from pg_catalog.generate_series(1, 60000) as i;
    create table public.exact (p point);
    insert into public.exact
    select pg_catalog.point(i, i / 3.0) from pg_catalog.generate_series(1, 30000) as i;
    create table public.split (n int4) partition by range (n);
    create table public.low partition of public.split for values from (0) to (100);
    create table public.high partition of public.split for values from (100) to (1000);
    insert into public.split select i from pg_catalog.generate_series(0, 999) as i;
    create table public.nothing (x int4);
    create table public.no_columns ();
    insert into public.no_columns default values";

/// What goes wrong with the worker 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// It is lost in the middle, and another takes its place.
    Lost,
    /// Two of them do the same share at the same time.
    Twice,
    /// It leaves nothing.
    Silent,
    /// A byte of its result changes.
    Damaged,
    /// It leaves the result of another worker, sealed as it should be.
    Swapped,
    /// A chunk that it has stored and read is gone.
    ChunkGone,
    /// A chunk that it has stored and read has another byte.
    ChunkChanged,
}

/// Workers in this process, for backups and checks.
struct Hands {
    backup: PgBackup,
    work: WorkId,
    mishap: Mishap,
    lost: AtomicU32,
}

impl Hands {
    fn new(world: &World, mishap: Mishap) -> Self {
        Self {
            backup: world.backup(),
            work: WorkId::generate(),
            mishap,
            lost: AtomicU32::new(0),
        }
    }

    async fn share(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) -> Result<bool> {
        let share = Share::find(ctx, folder.clone(), index, Duration::ZERO).await?;
        match share.kind() {
            "check" => self.backup.check_share(ctx, &share).await,
            _ => self.backup.take_share(ctx, &share).await,
        }
    }

    /// A worker that ends once it has stored a chunk.
    async fn lose(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) {
        let rows = Name::new("backups").expect("a name");
        let stored = async || -> usize {
            let all = self.backup.store.list(&rows).await.expect("a list");
            all.iter()
                .filter(|s| s.name.as_str().contains("/rows/"))
                .count()
        };
        let before = stored().await;
        let some = async {
            while stored().await == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = self.share(ctx, folder, index) => {}
            () = some => {}
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn result_of(&self, index: u32) -> std::path::PathBuf {
        let folder = self.backup.store.folder().expect("a folder");
        let work = folder.join("work").join(self.work.as_str());
        work.join(format!("result-{index:05}.json"))
    }

    /// A chunk that the attempt of the worker 1 has stored.
    fn chunk_of(&self, index: u32) -> std::path::PathBuf {
        let text = std::fs::read_to_string(self.result_of(index)).expect("a result");
        let at = text.find("rows/").expect("a chunk");
        let file = text[at..].split('"').next().expect("its name");
        let backups = self
            .backup
            .store
            .folder()
            .expect("a folder")
            .join("backups");
        let mut folders = std::fs::read_dir(backups).expect("backups");
        folders.next().expect("one").expect("it").path().join(file)
    }

    fn spoil(&self) {
        let change = |path: &std::path::Path, at: usize| {
            let mut bytes = std::fs::read(path).expect("a file");
            bytes[at] ^= 1;
            std::fs::write(path, bytes).expect("written");
        };
        match self.mishap {
            Mishap::Silent => std::fs::remove_file(self.result_of(1)).expect("removed"),
            Mishap::Damaged => change(&self.result_of(1), 200),
            Mishap::Swapped => {
                std::fs::copy(self.result_of(0), self.result_of(1)).expect("copied");
            }
            Mishap::ChunkGone => std::fs::remove_file(self.chunk_of(1)).expect("removed"),
            Mishap::ChunkChanged => change(&self.chunk_of(1), 20),
            Mishap::None | Mishap::Lost | Mishap::Twice => {}
        }
    }
}

#[async_trait]
impl Crew for Hands {
    fn size(&self) -> NonZeroU32 {
        const { NonZeroU32::new(3).expect("3 is not 0") }
    }

    fn work(&self) -> &WorkId {
        &self.work
    }

    async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()> {
        if self.mishap == Mishap::Lost {
            self.lose(ctx, folder, 1).await;
        }
        if self.mishap == Mishap::Twice {
            let two = tokio::join!(self.share(ctx, folder, 1), self.share(ctx, folder, 1));
            let mut two = [two.0?, two.1?];
            two.sort_unstable();
            assert_eq!(two, [false, true], "one of them counts");
        } else {
            let counts = self.share(ctx, folder, 1).await?;
            // One that was lost may have left its result all the same.
            assert!(counts || self.mishap == Mishap::Lost);
        }
        let others = tokio::join!(self.share(ctx, folder, 0), self.share(ctx, folder, 2));
        assert!(others.0? && others.1?);
        self.spoil();
        Ok(())
    }
}

/// Takes a backup and checks it.
async fn take(world: &World, crew: &dyn Crew) -> Result<(Manifest, Vec<String>)> {
    let backup = world.backup();
    let id = BackupId::generate();
    let taken = backup
        .take_shared(&world.ctx, &world.identity, &id, crew)
        .await;
    // Whatever it came to, of the work nothing is left.
    let left = world.store.list(&Name::new("work").expect("a name")).await;
    assert_eq!(left.expect("a list"), []);
    let (summary, read) = taken?;
    let (checked, verdict) = backup.check_read(&world.ctx, &id, read).await?;
    assert_eq!(summary, checked);
    Ok((backup.manifest(&id).await?, verdict.complaints()))
}

/// What of the manifest does not depend on who reads the rows.
fn contents(manifest: &Manifest) -> Vec<(TableFingerprint, Vec<u64>)> {
    let filled = |t: &crate::postgres::TableEntry| t.columns.iter().map(|c| c.filled).collect();
    let tables = manifest.tables.iter();
    tables.map(|t| (t.fingerprint(), filled(t))).collect()
}

#[tokio::test]
async fn three_workers_take_what_one_process_takes() {
    let world = World::with(ROWS).await;
    let alone = world.take().await;
    for mishap in [Mishap::None, Mishap::Lost, Mishap::Twice] {
        let hands = Hands::new(&world, mishap);
        let (manifest, complaints) = take(&world, &hands).await.expect("taken");
        assert_eq!(complaints, [""; 0], "{mishap:?}");
        assert_eq!(contents(&manifest), contents(&alone), "{mishap:?}");
        assert_eq!(manifest.summary().rows, alone.summary().rows);
        // Everything is read again here, and there is nothing that does not belong to it.
        assert_eq!(world.complaints(&manifest.id).await, [""; 0], "{mishap:?}");
        let lost = u32::from(mishap == Mishap::Lost);
        assert_eq!(hands.lost.load(Ordering::Relaxed), lost);
        let attempts: std::collections::BTreeSet<&str> = (manifest.tables.iter())
            .flat_map(|t| &t.chunks)
            .filter_map(|c| c.file.trim_end_matches(".copy.zst").rsplit('-').next())
            .collect();
        assert_eq!(attempts.len(), 3, "each share is of one attempt");
    }
}

#[tokio::test]
async fn what_a_worker_says_and_did_not_do_is_no_backup() {
    let world = World::with(ROWS).await;
    for (mishap, why) in [
        (Mishap::Silent, "worker 1 of work"),
        (Mishap::Damaged, "result-00001.json is damaged"),
        (Mishap::Swapped, "is one of another work or worker"),
        (
            Mishap::ChunkGone,
            "the result of worker 1 is not of its share",
        ),
    ] {
        let failed = take(&world, &Hands::new(&world, mishap)).await;
        let error = failed.expect_err("no backup");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert!(error.chain().contains(why), "{mishap:?}: {error:?}");
        assert_eq!(world.backup().list(&world.ctx).await.expect("a list"), []);
        let left = world
            .store
            .list(&Name::new("backups").expect("a name"))
            .await;
        assert_eq!(left.expect("a list"), [], "{mishap:?}");
    }
    // This one shows when the rows are read again, as that of a backup by one process does.
    let hands = Hands::new(&world, Mishap::ChunkChanged);
    let (manifest, _) = take(&world, &hands).await.expect("taken");
    let complaints = world.complaints(&manifest.id).await;
    assert!(complaints[0].contains("checksum"), "{complaints:?}");
}

#[tokio::test]
async fn a_worker_whose_coordinator_is_gone_says_so() {
    /// Workers that come when the snapshot is over.
    struct Late<'a>(Hands, &'a World);

    #[async_trait]
    impl Crew for Late<'_> {
        fn size(&self) -> NonZeroU32 {
            NonZeroU32::MIN
        }

        fn work(&self) -> &WorkId {
            &self.0.work
        }

        async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()> {
            // Whoever is in a transaction there is the coordinator, or pg_dump for it.
            self.1.run(&end_sessions("true")).await;
            let error = self.0.share(ctx, folder, 0).await.expect_err("no snapshot");
            assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
            let why = "its coordinator has ended";
            assert!(error.to_string().contains(why), "{error:?}");
            Err(error)
        }
    }

    let world = World::with(ROWS).await;
    let late = Late(Hands::new(&world, Mishap::None), &world);
    take(&world, &late).await.expect_err("no backup");
    assert_eq!(world.backup().list(&world.ctx).await.expect("a list"), []);
}

#[tokio::test]
async fn workers_that_somebody_else_starts_are_waited_for() {
    let world = World::with(ROWS).await;
    let crew = AwaitedCrew {
        size: const { NonZeroU32::new(2).expect("2 is not 0") },
        work: "nightly-1".parse().expect("a name"),
        limit: Duration::from_secs(60),
    };
    let hands = Hands::new(&world, Mishap::None);
    let folder = WorkFolder::new(world.store.clone(), crew.work.clone());
    let worker = async |index: u32| {
        let patience = Duration::from_secs(60);
        let share = Share::find(&world.ctx, folder.clone(), index, patience).await?;
        assert!(!share.is_done().await?);
        hands.backup.take_share(&world.ctx, &share).await
    };
    let (taken, first, second) = tokio::join!(take(&world, &crew), worker(0), worker(1));
    assert!(first.expect("done") && second.expect("done"));
    let (manifest, complaints) = taken.expect("taken");
    assert_eq!(complaints, [""; 0]);
    assert_eq!(contents(&manifest), contents(&world.take().await));
    // And nobody who comes later finds anything to do.
    let late = Share::find(&world.ctx, folder, 0, Duration::ZERO).await;
    assert_eq!(late.expect_err("over").kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn workers_that_do_not_come_are_not_waited_for_for_ever() {
    let world = World::with("create table public.t (x int4)").await;
    let crew = AwaitedCrew {
        size: NonZeroU32::MIN,
        work: WorkId::generate(),
        limit: Duration::from_millis(10),
    };
    let error = take(&world, &crew).await.expect_err("nobody came");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(
        error.to_string().contains("0 of the 1 workers"),
        "{error:?}"
    );
}

/// What is wrong with a backup, by a check of three workers.
async fn checked_by_three(world: &World, id: &BackupId, mishap: Mishap) -> Result<Vec<String>> {
    let hands = Hands::new(world, mishap);
    let (summary, verdict) = world.backup().check_shared(&world.ctx, id, &hands).await?;
    let (same, alone) = world.backup().check(&world.ctx, id).await?;
    assert_eq!((summary, verdict.clone()), (same, alone));
    Ok(verdict.complaints())
}

#[tokio::test]
async fn three_workers_find_what_one_process_finds() {
    let world = World::with(ROWS).await;
    let manifest = world.take().await;
    let id = &manifest.id;
    for mishap in [Mishap::None, Mishap::Twice] {
        let complaints = checked_by_three(&world, id, mishap).await;
        assert_eq!(complaints.expect("checked"), [""; 0]);
    }
    for mishap in [Mishap::Silent, Mishap::Damaged, Mishap::Swapped] {
        let unsure = checked_by_three(&world, id, mishap).await;
        assert_eq!(unsure.expect_err("unsure").kind(), ErrorKind::Corrupt);
    }
    let folder = world.folder_of(id);
    let chunk = |at: usize| folder.join(&manifest.tables[at].chunks[0].file);
    let largest = manifest.tables.iter().position(|t| t.rows == 60_000);
    let damaged = chunk(largest.expect("big"));
    let mut bytes = std::fs::read(&damaged).expect("a chunk");
    bytes[20] ^= 1;
    std::fs::write(&damaged, bytes).expect("written");
    let other = manifest.tables.iter().position(|t| t.rows == 30_000);
    std::fs::remove_file(chunk(other.expect("exact"))).expect("removed");
    let complaints = checked_by_three(&world, id, Mishap::None).await;
    let complaints = complaints.expect("checked").join("\n");
    assert!(complaints.contains("is missing"), "{complaints}");
    assert!(complaints.contains("checksum"), "{complaints}");
}
