//! Copies whose rows several workers bring.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::postgres::PgRestorer;
use crate::store::Name;
use crate::testing::end_sessions;
use crate::work::{Crew, Share, WorkFolder, WorkId};

/// Tables of several pieces, of both forms, with partitions, a key between them, and none at all.
const ROWS: &str = "
    create table public.large (id int primary key, x text);
    insert into public.large
      select i, repeat('x', 100) from pg_catalog.generate_series(1, 50000) i;
    create table public.small (id int references public.large);
    insert into public.small select i from pg_catalog.generate_series(1, 4000) i;
    create table public.exact (p point, n numeric);
    insert into public.exact
      select point(i, i / 3.0), i / 7.0 from pg_catalog.generate_series(1, 20000) i;
    create table public.split (n int4) partition by range (n);
    create table public.low partition of public.split for values from (0) to (100);
    create table public.high partition of public.split for values from (100) to (1000);
    insert into public.split select i from pg_catalog.generate_series(0, 999) i;
    create table public.nothing (x int4);
    create index by_x on public.large (x)";

/// What goes wrong with the worker 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// It is lost again and again, and another takes its place.
    Lost,
    /// Two of them do the same share at the same time.
    Twice,
    /// It says that it did its share, and did nothing.
    Idle,
    /// It did its share, and what a piece came to is not written down.
    Unsaid,
    /// It did its share, and what a piece came to is not what it wrote down.
    Wrong,
    /// It is led to another source.
    Astray,
    /// It is led to another server for the copy.
    Elsewhere,
    /// Whoever holds the source is gone before it begins.
    Late,
}

/// Workers in this process.
struct Hands<'a> {
    world: &'a World,
    source: &'a Endpoint,
    store: Store,
    work: WorkId,
    mishap: Mishap,
    lost: AtomicU32,
    _folder: TempDir,
}

impl<'a> Hands<'a> {
    async fn new(world: &'a World, source: &'a Endpoint, mishap: Mishap) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(&folder.path().join("store"), &world.environment).await;
        Self {
            world,
            source,
            store: store.expect("a store"),
            work: WorkId::generate(),
            mishap,
            lost: AtomicU32::new(0),
            _folder: folder,
        }
    }

    async fn copy(&self) -> Result<(Identity, Verdict)> {
        let from = identity(self.source).await;
        let copying = self.world.copying(self.source, from).await;
        let copying = Copying {
            options: RowOptions {
                jobs: NonZeroUsize::new(2).expect("some"),
                ..copying.options
            },
            ..copying
        };
        let bringers = Bringers {
            crew: self,
            store: &self.store,
        };
        let copied = Box::pin(copying.shared(&self.world.ctx, bringers)).await;
        // Whatever it came to, of the work nothing is left, and no backup.
        for folder in ["work", "backups"] {
            let left = self.store.list(&Name::new(folder).expect("a name")).await;
            assert_eq!(left.expect("a list"), []);
        }
        copied
    }

    async fn share(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) -> Result<bool> {
        let share = Share::find(ctx, folder.clone(), index, Duration::ZERO).await?;
        let struck = |mishap| self.mishap == mishap && index == 1;
        if struck(Mishap::Idle) {
            return share.leave(&serde_json::json!({ "pieces": 7 })).await;
        }
        let target = if struck(Mishap::Elsewhere) {
            self.world.here.endpoint("postgres")
        } else {
            self.world.there.endpoint("postgres")
        };
        let source = if struck(Mishap::Astray) {
            self.world.there.endpoint("postgres")
        } else {
            self.source.clone()
        };
        let restorer = PgRestorer {
            endpoint: target,
            store: self.store.clone(),
            options: RowOptions {
                jobs: NonZeroUsize::new(2).expect("some"),
                ..RowOptions::default()
            },
            choice: RestoreChoice::default(),
            own_schema: true,
            tools: None,
            environment: Environment::default(),
        };
        restorer.stream_share(ctx, &share, &source).await
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

    /// Runs `sql` in the database that is being made.
    async fn in_the_copy(&self, sql: &str) {
        let twin = self.world.there.endpoint("twin");
        let session = Session::open(&twin, "test").await.expect("a session");
        session.batch_execute(sql).await.expect(sql);
    }

    async fn end_the_coordinator(&self) {
        let session = Session::open(self.source, "test").await.expect("a session");
        let sql = end_sessions("application_name <> 'test'");
        session.batch_execute(&sql).await.expect("ended");
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
        let change = |item: &str| {
            format!(
                "update rebuild_restore.work set item = ({item})::text
                  where id = (select min(id) from rebuild_restore.work
                               where item::jsonb->>'work' = 'stream'
                                 and (item::jsonb->'sum'->>'rows')::int > 0)"
            )
        };
        match self.mishap {
            Mishap::Unsaid => self.in_the_copy(&change("item::jsonb - 'sum'")).await,
            Mishap::Wrong => {
                let other = "jsonb_set(item::jsonb, '{sum,hash}', to_jsonb(repeat('1', 32)))";
                self.in_the_copy(&change(other)).await;
            }
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_three_workers_bring_is_what_one_process_brings() {
    let world = World::new().await;
    let source = world.source(ROWS).await;
    for mishap in [Mishap::None, Mishap::Lost, Mishap::Twice] {
        let hands = Hands::new(&world, &source, mishap).await;
        let (_, verdict) = hands.copy().await.expect("copied");
        assert!(verdict.passed(), "{mishap:?}: {:?}", verdict.complaints());
        let lost = hands.lost.load(Ordering::Relaxed);
        assert_eq!(lost > 0, mishap == Mishap::Lost, "{lost}");
        world.assert_same(&source).await;
        // Nothing of how it was made is left in it.
        let schemas = "select count(*)::text from pg_namespace where nspname ~ '^rebuild'";
        assert_eq!(text(&world.there.endpoint("twin"), schemas).await, "0");
        let admin = Session::open(&world.there.endpoint("postgres"), "test").await;
        let admin = admin.expect("session");
        admin
            .batch_execute("drop database twin")
            .await
            .expect("dropped");
    }
}

#[tokio::test]
async fn a_database_with_one_of_everything_is_brought_by_workers() {
    let world = World::new().await;
    let source = world.source("").await;
    load_kitchen_sink(&source).await.expect("the kitchen sink");
    // Its roles are there too.
    let roles = scratch_database(&world.there).await.expect("a database");
    load_kitchen_sink(&roles).await.expect("the roles");
    let hands = Hands::new(&world, &source, Mishap::Lost).await;
    let (_, verdict) = hands.copy().await.expect("copied");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    world.assert_same(&source).await;
}

#[tokio::test]
async fn what_workers_did_not_do_or_did_to_something_else_is_no_copy() {
    let world = World::new().await;
    let source = world.source(ROWS).await;
    // What a worker is led to has the right name.
    let same_names = [
        (&world.here, "twin".to_owned()),
        (&world.there, source.database.clone()),
    ];
    for (cluster, name) in &same_names {
        let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
        let made = format!("create database {}", ident(name).expect("a name"));
        let made = admin.expect("session").batch_execute(&made).await;
        made.expect("a database");
    }
    for (mishap, kind, why) in [
        (Mishap::Idle, ErrorKind::Corrupt, "is not done"),
        (
            Mishap::Unsaid,
            ErrorKind::Corrupt,
            "nothing says what the rows",
        ),
        (Mishap::Astray, ErrorKind::Refused, "system identifier"),
        (Mishap::Elsewhere, ErrorKind::Refused, "system identifier"),
        (
            Mishap::Late,
            ErrorKind::Refused,
            "its coordinator has ended",
        ),
    ] {
        let copied = Hands::new(&world, &source, mishap).await.copy().await;
        let error = copied.expect_err("no copy");
        assert_eq!(error.kind(), kind, "{mishap:?}: {error:?}");
        assert!(error.chain().contains(why), "{mishap:?}: {error:?}");
        assert_eq!(world.made().await, [source.database.as_str()], "{mishap:?}");
    }
    // What came out is compared with what the workers say that went in.
    let hands = Hands::new(&world, &source, Mishap::Wrong).await;
    let (_, verdict) = hands.copy().await.expect("copied");
    let complaints = verdict.complaints().join("\n");
    assert!(complaints.contains("has other rows"), "{complaints}");
}
