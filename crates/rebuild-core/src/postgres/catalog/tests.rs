//! Snapshots of a real server's databases.

mod changes;

use std::time::Instant;

use super::CatalogSnapshot;
use crate::model::{Endpoint, TableName};
use crate::plan::Drift;
use crate::postgres::Session;
use crate::testing;
use changes::{BASE, CHANGES};

async fn session(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "test").await.expect("a session")
}

async fn read(session: &Session) -> CatalogSnapshot {
    CatalogSnapshot::read(session).await.expect("a snapshot")
}

/// Everything a drift says, a line each.
fn lines(drift: &Drift) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(drift.new_tables.iter().map(|t| format!("+ table {t}")));
    lines.extend(
        drift
            .lost_tables
            .iter()
            .map(|(t, _)| format!("- table {t}")),
    );
    for of in &drift.tables {
        let column = |sign: char, (name, kind): &(String, String)| {
            format!("{sign} column {}.{name} {kind}", of.table)
        };
        lines.extend(of.new_columns.iter().map(|c| column('+', c)));
        lines.extend(of.lost_columns.iter().map(|c| column('-', c)));
        lines.extend(
            of.changed_columns.iter().map(|(name, live, files)| {
                format!("~ column {}.{name} {live} -> {files}", of.table)
            }),
        );
    }
    lines.extend(
        drift
            .objects
            .iter()
            .map(|(sign, what)| format!("{sign} {what}")),
    );
    lines
}

#[tokio::test]
async fn a_copy_by_dump_and_restore_has_the_same_snapshot() {
    let cluster = testing::cluster().await.expect("a server");
    let original = testing::scratch_database(&cluster).await.expect("original");
    let copy = testing::scratch_database(&cluster).await.expect("copy");
    testing::load_kitchen_sink(&original).await.expect("loaded");
    let here = session(&original).await;

    let script = testing::dump(&cluster, &original, &["--schema-only"]).await;
    let script = script.expect("a dump");
    let restored = testing::psql(&cluster, &copy, &script).await;
    restored.expect("restored");
    let there = session(&copy).await;
    if crate::postgres::server_facts(&there)
        .await
        .expect("facts")
        .major()
        < 15
    {
        there
            .batch_execute("revoke create on schema public from public")
            .await
            .expect("what newer pg_dumps forget");
    }

    let (a, b) = (read(&here).await, read(&there).await);
    assert!(a.objects.len() > 500, "{}", a.objects.len());
    // A child's own columns come last, wherever they were in the original.
    assert_eq!(
        lines(&CatalogSnapshot::diff(&a, &b)),
        [
            "~ table ks.child: column order",
            "~ table ks.grandchild: column order"
        ]
    );
    assert_ne!(a.hash(), b.hash());
    for side in [&here, &there] {
        side.batch_execute("drop table ks.grandchild, ks.child")
            .await
            .expect("dropped");
    }
    let (a, b) = (read(&here).await, read(&there).await);
    assert_eq!(lines(&CatalogSnapshot::diff(&a, &b)), [] as [&str; 0]);
    assert_eq!(a.hash(), b.hash());
    assert_eq!(a.hash(), read(&here).await.hash());
}

#[tokio::test]
async fn each_change_is_found_and_nothing_else() {
    let cluster = testing::cluster().await.expect("a server");
    let database = testing::scratch_database(&cluster)
        .await
        .expect("a database");
    let session = session(&database).await;
    session.batch_execute(BASE).await.expect("the base");
    let base = read(&session).await;
    let major = crate::postgres::server_facts(&session)
        .await
        .expect("facts")
        .major();
    let mut wrong = Vec::new();
    for (change, expected) in CHANGES {
        if let Err(e) = session.batch_execute(&format!("begin; {change}")).await {
            wrong.push(format!(
                "{change}\n  {:?}",
                e.as_db_error().map(|e| e.message())
            ));
            session.batch_execute("rollback").await.expect("undone");
            continue;
        }
        let changed = read(&session).await;
        session.batch_execute("rollback").await.expect("undone");
        let mut found = lines(&CatalogSnapshot::diff(&base, &changed));
        if major >= 18 {
            // What was a property of a column has become a constraint with a name as well.
            found.retain(|line| !line.contains("_not_null on "));
        }
        if found != *expected {
            wrong.push(format!(
                "{change}\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
        if (base.hash() == changed.hash()) != expected.is_empty() {
            wrong.push(format!("{change}\n  the hash does not tell"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(read(&session).await, base, "every change was undone");
}

#[tokio::test]
async fn a_thousand_tables_are_read_in_a_moment() {
    let cluster = testing::cluster().await.expect("a server");
    let database = testing::scratch_database(&cluster)
        .await
        .expect("a database");
    let session = session(&database).await;
    session
        .batch_execute(
            "do $$ begin
               for i in 1 .. 1000 loop
                 execute pg_catalog.format('create table public.t%s (id bigint primary key, a text not null,
                   b int default 7, c timestamptz, d numeric(9, 2), unique (a, b))', i);
                 execute pg_catalog.format('grant select on public.t%s to pg_monitor', i);
                 if i % 100 = 0 then commit; end if;
               end loop;
             end $$",
        )
        .await
        .expect("tables");
    let began = Instant::now();
    let snapshot = read(&session).await;
    let took = began.elapsed();
    eprintln!("{} objects in {took:?}", snapshot.objects.len());
    assert!(
        snapshot
            .objects
            .contains_key(&format!("table {}", TableName::new("public", "t1000")))
    );
    assert!(took.as_secs() < 5, "even on a busy machine: {took:?}");
}
