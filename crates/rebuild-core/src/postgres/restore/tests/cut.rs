//! Restores that were cut off, or must not begin.

use std::time::Duration;

use super::*;
use crate::postgres::backup::layout;
use crate::testing::wait_for_lock;

/// Calls `restore` until one call lives to its end; each is dropped after some polls, and what
/// was committed until then stays.
pub(super) async fn restored_in_cuts(
    world: &World,
    restorer: &dyn Restorer,
    db: &Identity,
    id: &BackupId,
) -> RestoreReport {
    let mut cuts = 0;
    for patience in 1..300 {
        let limit = Duration::from_millis(patience * 3);
        match tokio::time::timeout(limit, restorer.restore(&world.ctx, db, id)).await {
            Err(_) => cuts += 1,
            Ok(done) => {
                assert!(cuts > 0);
                return done.expect("restored");
            }
        }
    }
    panic!("it never came to its end");
}

/// The list of work, as a restore makes and records it before anything else.
async fn list(
    world: &World,
    restorer: &PgRestorer,
    id: &BackupId,
    db: &Identity,
) -> Vec<work::Item> {
    let manifest = world.backup().manifest(id).await.expect("the manifest");
    let session = world.inside(db).await;
    let placements = restorer.placements(&session, &manifest).await;
    let placements = placements.expect("places");
    let items = restorer.prepare(&session, &manifest, &placements).await;
    items.expect("a list")
}

#[tokio::test]
async fn a_restore_goes_on_where_it_was_cut() {
    let world = World::new().await;
    let (of, id, db) = world
        .ready(
            "create table a (id int primary key, b text);
             create table c (id int primary key references a (id));
             insert into a select n, repeat('x', 50) from generate_series(1, 20000) n;
             insert into c select n from generate_series(1, 20000) n;
             create index on a (b)",
        )
        .await;
    let restorer = world.restorer(true);
    let pieces = list(&world, &restorer, &id, &db).await.into_iter();
    let pieces = pieces.filter(|item| matches!(item.work, work::Work::Rows { whole: false, .. }));
    assert!(
        pieces.count() > 2,
        "the larger table comes in several pieces"
    );
    restored_in_cuts(&world, &restorer, &db, &id).await;
    let finished = restorer.finish(&world.ctx, &db, &id).await;
    finished.expect("finished");
    world.assert_same_rows(&db, &id).await;
    let left =
        "select count(*)::text from pg_catalog.pg_namespace where nspname = 'rebuild_restore'";
    let session = world.inside(&db).await;
    assert_eq!(text(&session, left).await, "0");
    assert_eq!(world.dump(&of).await, world.dump(&db).await);
}

/// The server goes on with the statement of a client that was killed, and commits it.
#[tokio::test]
async fn what_a_killed_restore_is_still_at_is_waited_for_and_not_done_twice() {
    let world = World::new().await;
    let (of, id, db) = world
        .ready(
            "create table t (id int, b text);
             insert into t select n, 'x' from generate_series(1, 1000) n;
             create index by_b on t (b)",
        )
        .await;
    let restorer = world.restorer(true);
    let items = list(&world, &restorer, &id, &db).await;
    let session = world.inside(&db).await;
    let (mut rows, mut index) = (None, None);
    for item in &items {
        match item.work {
            work::Work::Rows { .. } => rows = Some(item.id),
            work::Work::Build { .. } => index = Some(item.id),
            _ => {}
        }
    }
    for (id, sql) in [
        (
            rows,
            "insert into public.t select n, 'x' from generate_series(1, 1000) n; commit",
        ),
        (index, "create index by_b on public.t (b)"),
    ] {
        let id = id.expect("a piece");
        let begun = work::begin(&session, &[id]).await;
        assert_eq!(begun.expect("an answer"), [id], "not done yet");
        session.batch_execute(sql).await.expect(sql);
    }

    let waits = async {
        let endpoint = world.cluster.endpoint(&db.name);
        wait_for_lock(&endpoint, "locktype = 'transactionid'").await;
        session.batch_execute("commit").await.expect("committed");
    };
    let ((), report) = tokio::join!(waits, world.restore(&restorer, &db, &id));
    assert_eq!(report.rows, 1000);
    world.assert_same_rows(&db, &id).await;
    assert_eq!(world.dump(&of).await, world.dump(&db).await);
}

#[tokio::test]
async fn a_damaged_chunk_and_a_foreign_database_are_refused() {
    let world = World::new().await;
    let (of, id, db) = world
        .ready("create table t (id int); insert into t select generate_series(1, 100)")
        .await;
    let restorer = world.restorer(true);
    let mut other = world.ctx.clone();
    other.run = crate::model::RunId::generate();
    for (ctx, db) in [(&other, &db), (&world.ctx, &of)] {
        let restored = restorer.restore(ctx, db, &id).await;
        let error = restored.expect_err("another run's, or the original");
        assert!(error.to_string().contains("was not made by"), "{error}");
    }

    let manifest = world.backup().manifest(&id).await.expect("the manifest");
    let chunk = &manifest.tables[0].chunks[0].file;
    let path = world.store.folder().expect("a folder");
    let path = path.join(layout::folder(&id)).join(chunk);
    let mut bytes = std::fs::read(&path).expect("the chunk");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let error = world.refused(&restorer, &db, &id).await;
    assert!(error.chain().contains(chunk.as_str()), "{}", error.chain());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let session = world.inside(&db).await;
    let count = "select count(*)::text from public.t";
    assert_eq!(text(&session, count).await, "0");
}
