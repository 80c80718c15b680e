//! Comparisons whose rows several workers add up.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::postgres::rows::moment::Moment;
use crate::postgres::rows::snapshot::Snapshot;
use crate::postgres::{DatabaseKey, database_facts};
use crate::sealed;
use crate::store::{Name, Store};
use crate::testing::end_sessions;
use crate::work::{Crew, Share, WorkFolder, WorkId};

/// Tables of several parts, of both forms, with partitions and none at all, besides the others.
const LARGE: &str = "
    create table public.big (id int8 primary key, x text, y interval);
    insert into public.big
    select i, pg_catalog.repeat('row ' || i, 10), i * interval '1 minute'
      from pg_catalog.generate_series(1, 30000) as i;
    create table public.exact (p point);
    insert into public.exact
    select pg_catalog.point(i, i / 3.0) from pg_catalog.generate_series(1, 20000) as i;
    create table public.nothing (x int4);
    create table public.no_columns ();
    insert into public.no_columns default values;";

/// What goes wrong with the worker 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// It is lost again and again, and another takes its place.
    Lost,
    /// Two of them do the same share at the same time.
    Twice,
    /// It leaves nothing.
    Silent,
    /// A byte of its result changes.
    Damaged,
    /// It leaves the result of another worker, sealed as it should be.
    Swapped,
    /// Its result lacks a part, and is sealed as it should be.
    Lacking,
    /// Its result has a part twice.
    Doubled,
    /// Its result is of other columns.
    Narrow,
    /// It is led to another server.
    Astray,
    /// Whoever holds the second database is gone before it begins.
    Late,
}

/// Workers in this process.
struct Hands<'a> {
    two: &'a Two,
    store: Store,
    folder: TempDir,
    work: WorkId,
    mishap: Mishap,
    lost: AtomicU32,
    /// Where it is led to.
    astray: Option<Endpoint>,
}

fn options() -> RowOptions {
    RowOptions {
        jobs: const { NonZeroUsize::new(2).expect("2 is not 0") },
        split_bytes: 64 << 10,
        ..RowOptions::default()
    }
}

impl<'a> Hands<'a> {
    async fn new(two: &'a Two, mishap: Mishap) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}/store", folder.path().display());
        let store = Store::open(&url, &crate::Environment::default()).await;
        Self {
            two,
            store: store.expect("a store"),
            folder,
            work: WorkId::generate(),
            mishap,
            lost: AtomicU32::new(0),
            astray: None,
        }
    }

    async fn compare(&self, rows: bool) -> Result<Comparison> {
        let [a, b] = &self.two.endpoints;
        let adders = Adders::Crew(self, &self.store);
        let compared = compare_by(&Ctx::quiet(), [a, b], rows, adders, &options()).await;
        // Whatever it came to, of the work nothing is left.
        let left = self.store.list(&Name::new("work").expect("a name")).await;
        assert_eq!(left.expect("a list"), []);
        compared
    }

    async fn share(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) -> Result<bool> {
        let share = Share::find(ctx, folder.clone(), index, Duration::ZERO).await?;
        assert_eq!(share.kind(), VERIFY);
        let astray = self.astray.as_ref().filter(|_| index == 1);
        let [a, b] = &self.two.endpoints;
        let endpoint_of = |place| match place {
            Place::Target => Ok(a.clone()),
            Place::With => Ok(astray.unwrap_or(b).clone()),
        };
        add_up_share(ctx, &share, &self.store, &endpoint_of, &options()).await
    }

    /// A worker that is cut off again and again, each time a little later, until it is done.
    async fn in_cuts(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<bool> {
        for patience in 1..300 {
            let limit = Duration::from_millis(patience * 3);
            match tokio::time::timeout(limit, self.share(ctx, folder, 1)).await {
                Ok(done) => return done,
                Err(_) => self.lost.fetch_add(1, Ordering::Relaxed),
            };
        }
        panic!("it never came to its end");
    }

    /// What a worker says that it has done.
    fn result_of(&self, index: u32) -> PathBuf {
        let work = self
            .folder
            .path()
            .join("store/work")
            .join(self.work.as_str());
        work.join(format!("result-{index:05}.json"))
    }

    /// Changes what the first worker that has done several parts of the first database says of them.
    fn rewrite(&self, change: impl FnOnce(&mut Vec<Value>)) {
        for index in 0..3 {
            let text = std::fs::read(self.result_of(index)).expect("a result");
            let mut result: Value = serde_json::from_slice(&text).expect("a document");
            let document = result.as_object_mut().expect("an object");
            document.remove("blake3").expect("a checksum");
            let sums = document["result"]["sums"].as_array_mut().expect("sums");
            let of_first = sums[0].as_array_mut().expect("parts");
            if of_first.len() > 1 {
                change(of_first);
                let sealed = sealed::seal(&result).expect("sealed");
                return std::fs::write(self.result_of(index), sealed).expect("written");
            }
        }
        panic!("no worker has done several parts");
    }

    fn spoil(&self) {
        match self.mishap {
            Mishap::Silent => std::fs::remove_file(self.result_of(1)).expect("removed"),
            Mishap::Damaged => {
                let mut bytes = std::fs::read(self.result_of(1)).expect("a result");
                bytes[200] ^= 1;
                std::fs::write(self.result_of(1), bytes).expect("written");
            }
            Mishap::Swapped => {
                std::fs::copy(self.result_of(0), self.result_of(1)).expect("copied");
            }
            Mishap::Lacking => self.rewrite(|parts| {
                parts.pop();
            }),
            Mishap::Doubled => self.rewrite(|parts| parts.push(parts[0].clone())),
            Mishap::Narrow => self.rewrite(|parts| {
                parts[0]["tally"]["non_null"] = serde_json::json!([]);
                parts[1]["tally"]["non_null"] = serde_json::json!([]);
            }),
            _ => {}
        }
    }

    /// Ends every session of the second database but the tests' own.
    async fn end_the_coordinator(&self) {
        self.two
            .run(1, &end_sessions("application_name <> 'test'"))
            .await;
    }
}

#[async_trait]
impl Crew for Hands<'_> {
    fn size(&self) -> NonZeroU32 {
        const { NonZeroU32::new(3).expect("3 is not 0") }
    }

    fn work(&self) -> &WorkId {
        &self.work
    }

    async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()> {
        match self.mishap {
            Mishap::Lost => {
                self.in_cuts(ctx, folder).await?;
            }
            Mishap::Twice => {
                let two = tokio::join!(self.share(ctx, folder, 1), self.share(ctx, folder, 1));
                let mut two = [two.0?, two.1?];
                two.sort_unstable();
                assert_eq!(two, [false, true], "one of them counts");
            }
            Mishap::Late => {
                self.end_the_coordinator().await;
                self.share(ctx, folder, 1).await?;
            }
            _ => assert!(self.share(ctx, folder, 1).await?),
        }
        let others = tokio::join!(self.share(ctx, folder, 0), self.share(ctx, folder, 2));
        assert!(others.0? && others.1?);
        self.spoil();
        Ok(())
    }
}

async fn two() -> Two {
    Two::with(&format!("{TABLES}{LARGE}")).await
}

#[tokio::test]
async fn three_workers_find_what_one_process_finds() {
    let two = two().await;
    let alone = two.compare(true).await;
    assert!(alone.same(), "{alone:?}");
    assert_eq!(alone.rows, [50_332, 50_332]);
    for mishap in [Mishap::None, Mishap::Lost, Mishap::Twice] {
        let hands = Hands::new(&two, mishap).await;
        let compared = hands.compare(true).await.expect("compared");
        assert_eq!(compared, alone, "{mishap:?}");
        let lost = hands.lost.load(Ordering::Relaxed);
        assert_eq!(lost > 0, mishap == Mishap::Lost, "{lost}");
    }
    two.run(
        1,
        "update public.big set x = 'other' where id = 29999;
         delete from public.exact where p[0] = 7;
         insert into public.exact values ('(7,8)');
         delete from public.parts where id = 100;
         alter table public.keyless add c int default 1;
         create table public.only_here ()",
    )
    .await;
    for rows in [false, true] {
        let alone = two.compare(rows).await;
        let named: Vec<&str> = alone.differing.iter().map(|t| &*t.table.name).collect();
        assert_eq!(named, ["big", "exact", "keyless", "only_here", "part_2"]);
        let hands = Hands::new(&two, Mishap::Lost).await;
        assert_eq!(hands.compare(rows).await.expect("compared"), alone);
    }
}

#[tokio::test]
async fn what_is_not_exactly_the_share_of_a_worker_is_no_comparison() {
    let two = two().await;
    for (mishap, why) in [
        (Mishap::Silent, "left no result"),
        (Mishap::Damaged, "is damaged"),
        (Mishap::Swapped, "of another work or worker"),
        (Mishap::Lacking, "parts of"),
        (Mishap::Doubled, "parts of"),
        (Mishap::Narrow, "other columns"),
    ] {
        let failed = Hands::new(&two, mishap).await.compare(false).await;
        let error = failed.expect_err("no comparison");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{mishap:?}: {error:?}");
        assert!(error.chain().contains(why), "{mishap:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_worker_that_meets_another_server_or_no_coordinator_adds_nothing_up() {
    let two = two().await;
    let name = &two.endpoints[1].database;
    let other = cluster().await.expect("another server");
    let admin = Session::open(&other.endpoint("postgres"), "test").await;
    let made = format!(
        "create database {}",
        crate::postgres::ident(name).expect("a name")
    );
    let made = admin.expect("a session").batch_execute(&made).await;
    made.expect("a database of that name");
    for (mishap, why) in [
        (Mishap::Astray, "system identifier"),
        (Mishap::Late, "its coordinator has ended"),
    ] {
        let mut hands = Hands::new(&two, mishap).await;
        if mishap == Mishap::Astray {
            hands.astray = Some(other.endpoint(name));
        }
        let failed = hands.compare(false).await;
        let error = failed.expect_err("no comparison");
        assert_eq!(error.kind(), ErrorKind::Refused, "{mishap:?}: {error:?}");
        assert!(error.chain().contains(why), "{mishap:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_database_with_one_of_everything_is_added_up_by_workers() {
    let two = Two::with("select 1").await;
    for endpoint in &two.endpoints {
        load_kitchen_sink(endpoint).await.expect("loaded");
    }
    let hands = Hands::new(&two, Mishap::None).await;
    let compared = hands.compare(true).await.expect("compared");
    assert_eq!(compared, two.compare(true).await);
    assert!(compared.same(), "{compared:?}");
}

#[tokio::test]
async fn a_moment_is_that_of_one_snapshot_and_ends_with_whoever_holds_it() {
    let two = Two::with(TABLES).await;
    let ctx = Ctx::quiet();
    let at = &two.endpoints[0];
    let holder = Session::open(at, "test").await.expect("a session");
    let facts = database_facts(&holder, DatabaseKey::Current).await;
    let of = facts.expect("facts").identity;
    let snapshot = Snapshot::export_from(holder).await.expect("a snapshot");
    let tables = snapshot.hold(|t| t.holds_rows(), &options()).await;
    let tables = tables.expect("held");
    let moment = Moment::held_by(&snapshot, &of, &tables).await;
    let moment = moment.expect("a moment");
    let (seen, hold) = moment.enter(&ctx, at).await.expect("entered");
    let names = |tables: &[crate::postgres::rows::tables::LiveTable]| -> Vec<TableName> {
        tables.iter().map(|t| t.table.clone()).collect()
    };
    assert_eq!(names(&seen), names(&tables));
    hold.require().await.expect("held");
    hold.require().await.expect("held still");

    // The same name of a snapshot, and another moment; the same moment, and another table.
    let changed = |from: &str, to: &str| -> Moment {
        let text = serde_json::to_string(&moment).expect("text");
        assert!(text.contains(from), "{from}: {text}");
        serde_json::from_str(&text.replace(from, to)).expect("a moment")
    };
    let entered = changed("\"sees\":\"", "\"sees\":\"1");
    let entered = entered.enter(&ctx, at).await;
    let error = entered.err().expect("another moment");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.chain().contains("and not 1"), "{error:?}");
    let entered = changed("\"name\":\"keyless\"", "\"name\":\"other\"");
    let error = entered.enter(&ctx, at).await.err().expect("another table");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("public.other"), "{error:?}");

    drop(snapshot);
    let gone = async {
        loop {
            if let Err(e) = hold.require().await {
                return e;
            }
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    let gone = gone.expect("in time");
    assert!(gone.is_refusal(), "{gone:?}");
    assert!(
        gone.to_string().contains("its coordinator has ended"),
        "{gone:?}"
    );
}
