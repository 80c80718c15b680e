//! More tables than a server has locks for in one transaction.

use super::*;
use crate::postgres::ClusterOptions;
use crate::testing::cluster_options;

const TABLES: usize = 1200;

/// Tables with sequences and keys to each other, made some at a time.
async fn many_tables(session: &Session) {
    for part in 0..TABLES / 20 {
        let tables = (part * 20 + 1..=part * 20 + 20).map(|n| {
            let parent = n.saturating_sub(1).max(1);
            format!(
                "create table public.t{n} (id int generated always as identity primary key,
                     parent int references public.t{parent});
                 insert into public.t{n} (parent) values (1);"
            )
        });
        let sql: String = tables.collect();
        session.batch_execute(&sql).await.expect("tables");
    }
}

#[tokio::test]
async fn a_check_of_many_tables_needs_only_a_few_locks_at_a_time() {
    let settings = ["max_locks_per_transaction = 10", "max_connections = 20"];
    let options = ClusterOptions {
        settings: settings.map(str::to_owned).to_vec(),
        ..cluster_options()
    };
    let cluster = LocalCluster::start(&options).await.expect("a server");
    let endpoint = scratch_database(&cluster).await.expect("a database");
    let session = Session::open(&endpoint, "test").await.expect("a session");
    many_tables(&session).await;
    let all: Vec<String> = (1..=TABLES).map(|n| format!("public.t{n}")).collect();
    let at_once = format!("begin; lock table {} in share mode", all.join(", "));
    let error = session.batch_execute(&at_once).await;
    let error = error.expect_err("too many locks");
    assert_eq!(error.code().map(|c| c.code()), Some("53200"), "{error}");
    session
        .batch_execute("rollback")
        .await
        .expect("rolled back");

    let bench = Bench {
        endpoint,
        session,
        _cluster: cluster,
    };
    let told = Told {
        counts: (1..=TABLES)
            .map(|n| (TableName::new("public", format!("t{n}")), 1))
            .collect(),
        ..Told::default()
    };
    let checks = ["counts", "sequences", "foreign_keys"].map(|k| serde_json::json!({ "kind": k }));
    let verdict = bench.verify_with(checks.into_iter().collect(), told).await;
    let [counts, sequences, keys] = <[Check; 3]>::try_from(verdict.checks).expect("three");
    passed(&counts, "1,200 tables, 1,200 rows");
    passed(&sequences, "1,200 sequences, 1,200 columns");
    passed(&keys, "1,200 foreign keys, 1,200 rows");
}
