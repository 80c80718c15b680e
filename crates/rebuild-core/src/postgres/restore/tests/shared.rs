//! Restores whose rows several workers load.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::error::Result;
use crate::work::{Crew, Share, WorkFolder, WorkId};

const TABLES: &str = "
    create table a (id int primary key, b text);
    create table c (id int primary key references a (id));
    create table \"Ö d\" (x interval);
    insert into a select n, repeat('x', 50) from generate_series(1, 20000) n;
    insert into c select n from generate_series(1, 20000) n;
    insert into \"Ö d\" select n * interval '1 second' from generate_series(1, 3000) n;
    create index on a (b);
    create view v as select * from a join c using (id)";

/// Workers in this process. The first is cut off again and again, until it comes to its end; one
/// that is `idle` says that it did its share, and did nothing.
struct Hands {
    restorer: PgRestorer,
    work: WorkId,
    idle: bool,
}

impl Hands {
    async fn share(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) -> Result<bool> {
        let share = Share::find(ctx, folder.clone(), index, Duration::ZERO).await?;
        if self.idle {
            return share.leave(&serde_json::json!({ "pieces": 7 })).await;
        }
        self.restorer.restore_share(ctx, &share).await
    }

    /// One that was cut may have left its result all the same.
    async fn in_cuts(&self, ctx: &Ctx, folder: &WorkFolder, index: u32) -> Result<()> {
        for patience in 1..300 {
            let limit = Duration::from_millis(patience * 3);
            if let Ok(done) = tokio::time::timeout(limit, self.share(ctx, folder, index)).await {
                assert!(patience > 1 || self.idle);
                return done.map(|_| ());
            }
        }
        panic!("it never came to its end");
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
        let shares = tokio::join!(
            self.in_cuts(ctx, folder, 0),
            self.share(ctx, folder, 1),
            self.share(ctx, folder, 2)
        );
        shares.0?;
        assert!(shares.1? && shares.2?);
        Ok(())
    }
}

fn hands(world: &World, idle: bool) -> Hands {
    Hands {
        // What a worker restores, and how, the task says.
        restorer: world.restorer(false),
        work: WorkId::generate(),
        idle,
    }
}

#[tokio::test]
async fn what_three_workers_load_is_what_was_backed_up() {
    let world = World::new().await;
    let (of, id, db) = world.ready(TABLES).await;
    let restorer = world.restorer(true);
    let crew = hands(&world, false);
    let shared = restorer.restore_shared(&world.ctx, &db, &id, &[], &crew);
    let report = shared.await.expect("restored");
    assert_eq!((report.tables, report.rows), (3, 43_000));
    let finished = restorer.finish(&world.ctx, &db, &id).await;
    finished.expect("finished");
    world.assert_same_rows(&db, &id).await;
    assert_eq!(world.dump(&of).await, world.dump(&db).await);
}

#[tokio::test]
async fn rows_of_some_tables_are_those_that_the_workers_load() {
    let world = World::new().await;
    let (_, id, db) = world.ready(TABLES).await;
    let tables = ["public.a".to_owned()];
    let restorer = PgRestorer {
        choice: RestoreChoice {
            tables: TablePatterns::compile(&tables).expect("patterns"),
            may_drop: TablePatterns::default(),
        },
        ..world.restorer(true)
    };
    let crew = hands(&world, false);
    let shared = restorer.restore_shared(&world.ctx, &db, &id, &tables, &crew);
    assert_eq!(shared.await.expect("restored").rows, 20_000);
    let counts = "select (select count(*) from public.a) || ' ' || (select count(*) from public.c)";
    assert_eq!(text(&world.inside(&db).await, counts).await, "20000 0");
}

#[tokio::test]
async fn what_the_workers_only_say_is_not_believed() {
    let world = World::new().await;
    let (_, id, db) = world.ready(TABLES).await;
    let restorer = world.restorer(true);
    let crew = hands(&world, true);
    let shared = restorer.restore_shared(&world.ctx, &db, &id, &[], &crew);
    let error = shared.await.expect_err("nothing is loaded");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("is not done"), "{error:?}");
    // And whoever comes later goes on.
    world.restore(&restorer, &db, &id).await;
    world.assert_same_rows(&db, &id).await;
}
