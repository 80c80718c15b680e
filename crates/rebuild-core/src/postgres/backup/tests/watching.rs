use super::*;
use crate::model::TableName;
use crate::postgres::WriteWatch;

/// Runs `sql` in a session, and waits until its counts have been handed in.
async fn write(world: &World, sql: &str) {
    let writer = world.session().await;
    writer.batch_execute(sql).await.expect("written");
    let pid = writer.backend_pid();
    writer.close().await;
    let reader = world.session().await;
    let gone = async {
        let sql = "select pg_catalog.count(*) from pg_catalog.pg_stat_activity where pid = $1";
        while reader
            .query_one(sql, &[&pid])
            .await
            .expect("asked")
            .get::<_, i64>(0)
            > 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone)
        .await
        .expect("the writer's backend ends");
}

#[tokio::test]
async fn what_was_written_since_a_backup_is_named_and_nothing_else() {
    let world = World::empty().await;
    write(
        &world,
        "create table public.a (id serial, x int); create table public.b (x int);
         insert into public.a (x) values (1), (2); insert into public.b values (1);
         create sequence public.idle; create table public.r (x int);
         create type public.e as enum ('one', 'two');
         create table public.h (x public.e) partition by hash (x);
         create table public.h0 partition of public.h for values with (modulus 2, remainder 0);
         create table public.h1 partition of public.h for values with (modulus 2, remainder 1);
         insert into public.h values ('one'), ('two');
         select pg_catalog.lo_from_bytea(4711, 'abc')",
    )
    .await;
    let backup = world.backup();
    for (sql, expected) in [
        ("select 1", &[][..]),
        // The counters move, the content does not.
        ("begin; insert into public.b values (9); rollback", &[]),
        ("update public.b set x = x", &[]),
        ("update public.b set x = x + 1", &["public.b"]),
        ("truncate public.a", &["public.a"]),
        (
            "insert into public.a (x) values (5)",
            &["public.a", "sequence public.a_id_seq"],
        ),
        ("insert into public.h values ('one')", &["public.h"]),
        (
            "select pg_catalog.lo_put(4711, 1, 'x')",
            &["the large objects"],
        ),
        // It was never called, and leaves no mark.
        (
            "select pg_catalog.setval('public.idle', 5000, false)",
            &["sequence public.idle"],
        ),
        (
            "alter table public.r rename to renamed; insert into public.renamed values (1)",
            &["public.renamed (new)", "public.r (gone)"],
        ),
        (
            "alter table public.b add extra text; update public.b set extra = 'x'",
            &["public.b (new column extra)"],
        ),
        ("create table public.c (x int)", &["public.c (new)"]),
        ("drop table public.c", &["public.c (gone)"]),
        (
            "drop table public.b; create table public.b (x int)",
            &["public.b"],
        ),
        ("select pg_catalog.pg_stat_reset()", &[]),
    ] {
        let before = world.take().await;
        write(&world, sql).await;
        let changed = backup
            .changed_since(&world.ctx, &world.identity, &before.id)
            .await
            .expect("compared");
        assert_eq!(changed, expected, "{sql}");
    }
}

#[tokio::test]
async fn marks_can_be_kept_and_compared() {
    let world = World::empty().await;
    write(&world, "create table public.a (x int)").await;
    let backup = world.backup();
    let session = world.session().await;
    let before = backup.marks(&session).await.expect("marks");
    assert_eq!(
        backup.moved(&session, &before).await.expect("moved"),
        Vec::<String>::new()
    );
    write(&world, "insert into public.a values (1)").await;
    assert_eq!(
        backup.moved(&session, &before).await.expect("moved"),
        ["table public.a may have been written to"]
    );
    backup
        .moved(&session, &serde_json::json!({"no": "marks"}))
        .await
        .expect_err("no marks");
}

#[tokio::test]
async fn a_missing_column_or_table_shows_in_the_fingerprints() {
    let world = World::with(
        "create table public.a (x int, y int); insert into public.a values (1, 2);
         create table public.b (x int)",
    )
    .await;
    let manifest = world.take().await;
    world
        .run("alter table public.a drop column y; drop table public.b")
        .await;
    let now = world.now(&manifest).await;
    assert_eq!(now.len(), 1);
    assert_eq!(now[0].table, TableName::new("public", "a"));
    assert_eq!(
        (now[0].rows, &now[0].columns[..]),
        (1, &["x".to_owned()][..])
    );
    assert_ne!(now[0].hash, manifest.tables[0].hash);
}
