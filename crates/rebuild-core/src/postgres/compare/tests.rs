mod shared;

use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::postgres::{LocalCluster, Session};
use crate::testing::{cluster, load_kitchen_sink, scratch_database};

struct Two {
    endpoints: [Endpoint; 2],
    sessions: [Session; 2],
    _cluster: LocalCluster,
}

impl Two {
    /// Two databases in which the statements ran.
    async fn with(statements: &str) -> Self {
        let cluster = cluster().await.expect("cluster");
        let a = scratch_database(&cluster).await.expect("first");
        let b = scratch_database(&cluster).await.expect("second");
        let open = async |e: &Endpoint| Session::open(e, "test").await.expect("session");
        let sessions = [open(&a).await, open(&b).await];
        for session in &sessions {
            session.batch_execute(statements).await.expect("made");
        }
        Self {
            endpoints: [a, b],
            sessions,
            _cluster: cluster,
        }
    }

    async fn run(&self, at: usize, statements: &str) {
        let ran = self.sessions[at].batch_execute(statements).await;
        ran.expect(statements);
    }

    async fn compare(&self, rows: bool) -> Comparison {
        let [a, b] = &self.endpoints;
        compare(&Ctx::quiet(), a, b, rows).await.expect("compared")
    }
}

const TABLES: &str = "
    create schema \"My Schema\";
    create table \"My Schema\".\"T ä\" (\"a b\" int, name text, note text, primary key (\"a b\", name));
    insert into \"My Schema\".\"T ä\" select n, 'ü' || n, null from generate_series(1, 300) n;
    create table public.keyless (a int, b json);
    insert into public.keyless select n, '{\"a\": 1}' from generate_series(1, 10) n;
    create table public.parts (id int primary key, t text) partition by range (id);
    create table public.part_1 partition of public.parts for values from (0) to (100);
    create table public.part_2 partition of public.parts for values from (100) to (200);
    insert into public.parts select n, 'x' from generate_series(90, 110) n;";

fn rows_of(comparison: &Comparison) -> (&TableName, u64, u64, Option<&KeyDifferences>) {
    let [table] = &comparison.differing[..] else {
        panic!("one table should differ: {comparison:?}");
    };
    let [
        Difference::Rows {
            first,
            second,
            keys,
            unnamed: None,
        },
    ] = &table.differences[..]
    else {
        panic!("rows should differ: {comparison:?}");
    };
    (&table.table, *first, *second, keys.as_ref())
}

#[tokio::test]
async fn equal_databases_are_the_same() {
    let two = Two::with(TABLES).await;
    // Another order, other pages.
    two.run(
        1,
        "update public.keyless set a = a where a < 5; update public.parts set t = t",
    )
    .await;
    let comparison = two.compare(true).await;
    assert!(comparison.same(), "{comparison:?}");
    assert_eq!((comparison.tables, comparison.rows), (4, [331, 331]));
    let [a, _] = &two.endpoints;
    let refused = compare(&Ctx::quiet(), a, a, false)
        .await
        .expect_err("itself");
    assert!(refused.is_refusal(), "{refused:?}");
}

#[tokio::test]
async fn bytes_of_no_encoding_are_named_as_they_are() {
    let cluster = cluster().await.expect("cluster");
    let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
    let admin = admin.expect("session");
    for (name, row) in [("a", "\\351"), ("b", "\\352")] {
        let made =
            format!("create database {name} template template0 encoding 'SQL_ASCII' locale 'C'");
        admin.batch_execute(&made).await.expect("made");
        let session = Session::open(&cluster.endpoint(name), "test").await;
        let sql = format!(
            "set client_encoding = 'SQL_ASCII'; create table public.t (x text primary key, y text);
             insert into public.t values ('same', E'{row}'), (E'{row}', null)"
        );
        let filled = session.expect("session").batch_execute(&sql).await;
        filled.expect("filled");
    }
    let (a, b) = (cluster.endpoint("a"), cluster.endpoint("b"));
    let comparison = compare(&Ctx::quiet(), &a, &b, true).await;
    let comparison = comparison.expect("compared");
    let keys = rows_of(&comparison).3.expect("keys");
    assert_eq!((keys.only_first, keys.only_second, keys.changed), (1, 1, 1));
}

#[tokio::test]
async fn tables_whose_keys_cannot_be_read_are_named_all_the_same() {
    let two = Two::with(
        "create type public.level as enum ('low', 'high');
         create function public.text_of(public.level) returns text language plpgsql as
             'begin raise exception ''no text of a level''; end';
         create cast (public.level as text) with function public.text_of(public.level);
         create table public.a (x public.level primary key, y int);
         create table public.b (x int primary key);
         insert into public.a values ('low', 1); insert into public.b values (1)",
    )
    .await;
    two.run(1, "update public.a set y = 2; update public.b set x = 2")
        .await;
    let comparison = two.compare(true).await;
    let [a, b] = &comparison.differing[..] else {
        panic!("two tables should differ: {comparison:?}");
    };
    let unnamed = |table: &TableDifference| match &table.differences[..] {
        [Difference::Rows { keys, unnamed, .. }] => (keys.is_some(), unnamed.clone()),
        other => panic!("rows should differ: {other:?}"),
    };
    let (keys, why) = unnamed(a);
    assert!(
        !keys && why.expect("why").contains("no text of a level"),
        "{a:?}"
    );
    assert_eq!(unnamed(b), (true, None));
}

#[tokio::test]
async fn rows_that_differ_are_named_by_key() {
    let two = Two::with(TABLES).await;
    two.run(
        1,
        "delete from \"My Schema\".\"T ä\" where \"a b\" = 10;
         insert into \"My Schema\".\"T ä\" values (10, 'Ü10', 'x');
         update \"My Schema\".\"T ä\" set note = '' where \"a b\" = 2",
    )
    .await;
    let comparison = two.compare(true).await;
    let (table, first, second, keys) = rows_of(&comparison);
    assert_eq!(table, &TableName::new("My Schema", "T ä"));
    assert_eq!((first, second), (300, 300));
    let keys = keys.expect("keys");
    assert_eq!(keys.columns, ["a b", "name"]);
    assert_eq!((keys.only_first, keys.only_second, keys.changed), (1, 1, 1));
    let shown = |how, a: &str, b: &str| DifferingKey {
        how,
        key: vec![a.into(), b.into()],
    };
    assert_eq!(
        keys.shown,
        [
            shown(Differs::OnlyInSecond, "10", "Ü10"),
            shown(Differs::OnlyInFirst, "10", "ü10"),
            shown(Differs::Changed, "2", "ü2"),
        ]
    );
    let comparison = two.compare(false).await;
    assert_eq!(rows_of(&comparison).3, None);
}

#[tokio::test]
async fn every_key_is_counted_and_few_are_shown() {
    let two = Two::with(TABLES).await;
    two.run(1, "truncate \"My Schema\".\"T ä\"").await;
    let comparison = two.compare(true).await;
    let keys = rows_of(&comparison).3.expect("keys");
    assert_eq!(
        (keys.only_first, keys.only_second, keys.changed),
        (300, 0, 0)
    );
    assert_eq!(keys.shown.len(), KEYS_SHOWN);
}

#[tokio::test]
async fn a_table_without_a_key_and_a_partition_are_compared() {
    let two = Two::with(TABLES).await;
    two.run(0, "update public.keyless set b = '{\"a\":1}' where a = 3")
        .await;
    let comparison = two.compare(true).await;
    let (table, first, second, keys) = rows_of(&comparison);
    assert_eq!(table, &TableName::new("public", "keyless"));
    assert_eq!((first, second, keys), (10, 10, None));
    two.run(1, "update public.keyless set b = '{\"a\":1}' where a = 3; delete from public.parts where id = 100")
        .await;
    let comparison = two.compare(true).await;
    let (table, first, second, keys) = rows_of(&comparison);
    assert_eq!(table, &TableName::new("public", "part_2"));
    assert_eq!((first, second), (11, 10));
    assert_eq!(keys.expect("keys").shown[0].key, ["100"]);
}

#[tokio::test]
async fn a_locked_table_is_waited_for_only_so_long() {
    let two = Two::with(TABLES).await;
    two.run(
        0,
        "begin; lock table public.keyless in access exclusive mode",
    )
    .await;
    let options = RowOptions {
        lock_wait: Duration::from_millis(100),
        ..RowOptions::default()
    };
    let ctx = Ctx::quiet();
    let opened = Side::open(&ctx, &two.endpoints[0], &options);
    let opened = tokio::time::timeout(Duration::from_secs(20), opened).await;
    let error = opened.expect("no endless wait").err().expect("locked");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(error.to_string().contains("public.keyless"), "{error:?}");
}

#[tokio::test]
async fn columns_and_tables_that_differ_are_told() {
    let two = Two::with(TABLES).await;
    two.run(
        1,
        "alter table public.keyless add c int default 1;
         alter table public.keyless alter a type bigint;
         drop table public.part_1;
         create table public.other (a int)",
    )
    .await;
    let comparison = two.compare(true).await;
    let expected = [
        (
            "keyless",
            Difference::Columns {
                only_first: vec![],
                only_second: vec!["c".into()],
                types: vec![("a".into(), "integer".into(), "bigint".into())],
            },
        ),
        ("other", Difference::OnlyInSecond),
        ("part_1", Difference::OnlyInFirst),
    ]
    .map(|(name, difference)| TableDifference {
        table: TableName::new("public", name),
        differences: vec![difference],
    });
    assert_eq!(comparison.differing, expected);
}

#[tokio::test]
async fn databases_in_two_encodings_are_compared_by_what_they_say() {
    let cluster = cluster().await.expect("cluster");
    let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
    let admin = admin.expect("session");
    let mut endpoints = Vec::new();
    for (name, encoding) in [("utf", "UTF8"), ("latin", "LATIN1")] {
        let sql =
            format!("create database {name} template template0 encoding '{encoding}' locale 'C'");
        admin.batch_execute(&sql).await.expect("database");
        let endpoint = cluster.endpoint(name);
        let session = Session::open(&endpoint, "test").await.expect("session");
        session
            .batch_execute("create table public.\"tä\" (\"ö\" text primary key); insert into public.\"tä\" values ('é'), ('z')")
            .await
            .expect("table");
        endpoints.push(endpoint);
    }
    let comparison = compare(&Ctx::quiet(), &endpoints[0], &endpoints[1], true).await;
    assert!(
        comparison.as_ref().expect("compared").same(),
        "{comparison:?}"
    );
    let latin = Session::open(&endpoints[1], "test").await.expect("session");
    latin
        .batch_execute("update public.\"tä\" set \"ö\" = 'è' where \"ö\" = 'é'")
        .await
        .expect("changed");
    let comparison = compare(&Ctx::quiet(), &endpoints[0], &endpoints[1], true).await;
    let comparison = comparison.expect("compared");
    let keys = rows_of(&comparison).3.expect("keys");
    assert_eq!(
        keys.shown
            .iter()
            .map(|k| k.key[0].as_str())
            .collect::<Vec<_>>(),
        ["è", "é"]
    );
}

#[tokio::test]
async fn a_database_with_one_of_everything_equals_its_twin() {
    let two = Two::with("select 1").await;
    for endpoint in &two.endpoints {
        load_kitchen_sink(endpoint).await.expect("loaded");
    }
    let comparison = two.compare(true).await;
    let differing: Vec<String> = comparison
        .differing
        .iter()
        .map(|d| format!("{d:?}"))
        .collect();
    assert_eq!(differing, [""; 0]);
    assert!(comparison.tables > 30, "{}", comparison.tables);
}
