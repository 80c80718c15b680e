use std::time::Instant;

use super::*;
use crate::model::{Endpoint, Obstacle, TableKind, TableName};
use crate::postgres::LocalCluster;
use crate::testing;

async fn open(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "rebuild/inventory-test")
        .await
        .expect("session")
}

/// Runs statements one by one, for those that refuse a transaction.
async fn each(session: &Session, statements: &[&str]) {
    for statement in statements {
        session.batch_execute(statement).await.expect(statement);
    }
}

async fn server() -> LocalCluster {
    let mut options = testing::cluster_options();
    options.settings = vec![
        "max_prepared_transactions = 5".into(),
        "wal_level = logical".into(),
        "autovacuum = off".into(),
    ];
    LocalCluster::start(&options).await.expect("cluster")
}

#[tokio::test]
async fn it_lists_what_is_there() {
    let cluster = server().await;
    let session = open(&cluster.endpoint("postgres")).await;
    each(
        &session,
        &[
            "create role \"o'w\"\"ner\"",
            "create database \"ta'r\"\"gé\" owner \"o'w\"\"ner\" connection limit 7",
            "comment on database \"ta'r\"\"gé\" is 'mine'",
            "alter database \"ta'r\"\"gé\" set work_mem = '8MB'",
            "alter role \"o'w\"\"ner\" in database \"ta'r\"\"gé\" set search_path = 'a, b'",
            "grant connect on database \"ta'r\"\"gé\" to \"o'w\"\"ner\"",
        ],
    )
    .await;
    let session = open(&cluster.endpoint("ta'r\"gé")).await;
    session
        .batch_execute(
            "create schema \"select\";
             create table \"select\".\"new\nline\" (a int);
             create table public.parts (a int) partition by range (a);
             create table public.part1 partition of public.parts for values from (0) to (10);
             insert into public.parts select generate_series(0, 9);
             create table public.counted as select generate_series(1, 1000) a;
             create unlogged table public.fleeting (a int);
             create materialized view public.mv as select 1 a;
             create view public.plain as select 1 a;
             create temp table mine (a int);
             analyze public.counted;
             select lo_create(0), lo_create(0);
             create publication pub;
             create extension if not exists plpgsql;
             create extension if not exists plpgsql",
        )
        .await
        .expect("objects");
    each(
        &session,
        &[
            // Where one is made, no transaction may be open that has written.
            "select pg_create_logical_replication_slot('sl', 'pgoutput')",
            "create subscription sub connection 'dbname=postgres' publication pub with (connect = false)",
            "begin",
            "insert into public.counted values (1)",
            "prepare transaction 'half'",
        ],
    )
    .await;
    let other = Session::open(&cluster.endpoint("ta'r\"gé"), "somebody")
        .await
        .expect("another session");
    let twin = open(&cluster.endpoint("ta'r\"gé")).await;

    let found = inventory(&session).await.expect("inventory");
    drop((other, twin));

    assert_eq!(found.database.identity.name, "ta'r\"gé");
    assert_eq!(
        found.database.identity.server,
        found.server.system_identifier
    );
    assert_eq!(found.database.owner, "o'w\"ner");
    assert_eq!(found.database.encoding, "UTF8");
    assert_eq!(found.database.collate, "C");
    assert_eq!(found.database.locale_provider, "libc");
    assert_eq!(found.database.connection_limit, 7);
    assert_eq!(found.database.comment.as_deref(), Some("mine"));
    assert_eq!(
        found.database.settings,
        [
            (None, "work_mem=8MB".to_owned()),
            (
                Some("o'w\"ner".to_owned()),
                "search_path=\"a, b\"".to_owned()
            ),
        ]
    );
    assert!(found.database.acl.is_some());
    assert!(found.database.bytes > 1_000_000);
    assert!(found.server.data_directory.is_some());
    // Behind a socket.
    assert_eq!(found.server.address, cluster.port().to_string());
    assert_eq!(
        (found.server.in_recovery, found.server.standbys),
        (false, 0)
    );

    let kinds: Vec<(String, TableKind)> = found
        .tables
        .iter()
        .map(|t| (t.table.to_string(), t.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("public.counted".to_owned(), TableKind::Table),
            ("public.fleeting".to_owned(), TableKind::Unlogged),
            ("public.mv".to_owned(), TableKind::MaterializedView),
            ("public.part1".to_owned(), TableKind::Partition),
            ("public.parts".to_owned(), TableKind::Partitioned),
            ("select.new\\nline".to_owned(), TableKind::Table),
        ]
    );
    let estimate = |name: &str| {
        let facts = found.tables.iter().find(|t| t.table.name == name);
        facts.expect("table").estimated_rows
    };
    assert_eq!(estimate("counted"), Some(1000));
    assert_eq!(estimate("part1"), None);
    assert!(found.extensions.iter().any(|e| e.0 == "plpgsql"));
    assert_eq!(found.large_objects, 2);
    let names: Vec<&str> = found
        .sessions
        .iter()
        .map(|s| s.application.as_str())
        .collect();
    assert_eq!(names, ["somebody"]);
    assert_eq!(found.sessions[0].client, "local");
    for obstacle in [
        Obstacle::PreparedTransaction {
            gid: "half".to_owned(),
        },
        Obstacle::LogicalSlot {
            slot: "sl".to_owned(),
            active: false,
        },
        Obstacle::Subscription {
            name: "sub".to_owned(),
        },
    ] {
        assert!(found.obstacles.contains(&obstacle), "{:?}", found.obstacles);
    }

    let counts = exact_counts(
        &session,
        &[
            TableName::new("public", "part1"),
            TableName::new("public", "parts"),
            TableName::new("select", "new\nline"),
        ],
    )
    .await
    .expect("counts");
    let counts: Vec<u64> = counts.into_iter().map(|c| c.1).collect();
    assert_eq!(counts, [10, 0, 0]);
}

#[tokio::test]
async fn rights_are_told_as_they_are() {
    let cluster = server().await;
    let session = open(&cluster.endpoint("postgres")).await;
    each(
        &session,
        &[
            "create role plain login createdb",
            "create role boss",
            "create database app owner boss",
        ],
    )
    .await;
    let session = open(&cluster.endpoint("app")).await;
    session
        .batch_execute(
            "create table public.hidden (a int); create table public.open (a int);
             create table public.policed (a int);
             alter table public.policed enable row level security;
             grant select on public.open, public.policed to plain;
             create table public.mine (id serial, a int generated always as identity);
             alter table public.mine owner to plain;
             create type public.mood as enum ('a');
             create function public.f() returns int language sql as 'select 1'",
        )
        .await
        .expect("objects");
    let all = inventory(&session).await.expect("inventory").rights;
    assert!(all.superuser && all.owns_database && all.signal_backend);
    assert!(all.unreadable.is_empty() && all.foreign_owned.is_empty());

    let mut endpoint = cluster.endpoint("app");
    endpoint.user = "plain".into();
    let found = inventory(&open(&endpoint).await).await.expect("inventory");
    let rights = &found.rights;
    assert_eq!(rights.role, "plain");
    assert!(rights.createdb && !rights.superuser && !rights.bypass_rls);
    assert!(!rights.owns_database && !rights.signal_backend);
    let unreadable: Vec<&str> = rights.unreadable.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(unreadable, ["hidden", "policed"]);
    assert_eq!(
        rights.foreign_owned,
        [
            "function public.f() (postgres)",
            "table public.hidden (postgres)",
            "table public.open (postgres)",
            "table public.policed (postgres)",
            "type public.mood (postgres)",
        ]
    );
    assert_eq!(found.server.data_directory, None);
}

#[tokio::test]
async fn a_database_is_found_from_another_one_by_name_and_by_oid() {
    let cluster = server().await;
    let session = open(&cluster.endpoint("postgres")).await;
    session
        .batch_execute("create database app")
        .await
        .expect("database");
    let found = find_database(&session, DatabaseKey::Name("app"))
        .await
        .expect("look")
        .expect("there");
    let oid = found.uid.parse().expect("an oid");
    session
        .batch_execute("alter database app rename to other")
        .await
        .expect("rename");
    let facts = database_facts(&session, DatabaseKey::Oid(oid))
        .await
        .expect("facts");
    assert!(facts.identity.is_same_thing(&found));
    assert_eq!(facts.identity.name, "other");
    let gone = find_database(&session, DatabaseKey::Name("app")).await;
    assert_eq!(gone.expect("look"), None);
    assert!(
        database_facts(&session, DatabaseKey::Name("app"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_thousand_tables_take_less_than_a_second() {
    let cluster = server().await;
    let session = open(&cluster.endpoint("postgres")).await;
    session
        .batch_execute(
            "do $$ begin for i in 1..1000 loop
                 execute format('create table public.t%s (id int primary key, a text)', i);
             end loop; end $$",
        )
        .await
        .expect("tables");
    let begin = Instant::now();
    let found = inventory(&session).await.expect("inventory");
    let took = begin.elapsed();
    assert_eq!(found.tables.len(), 1000);
    assert!(took.as_millis() < 1000, "{took:?}");
}
