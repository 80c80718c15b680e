//! More tables than a server has locks for in one transaction.

use super::*;

const TABLES: usize = 400;

/// Locks that are left for all sessions together. Each table needs one, and so does its index.
const LOCKS: usize = 250;

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

/// Takes all locks that the server has, and gives [`LOCKS`] of them back. How many it has differs
/// from version to version. Advisory locks outlive the statement that failed.
async fn leave_few_locks(session: &Session) {
    let all = "do $$ begin
                   for n in 1..1000000 loop perform pg_catalog.pg_advisory_lock(n); end loop;
               end $$";
    let error = session
        .batch_execute(all)
        .await
        .expect_err("too many locks");
    assert_eq!(error.code().map(|c| c.code()), Some("53200"), "{error}");
    let some = format!(
        "select pg_catalog.count(pg_catalog.pg_advisory_unlock(n))
           from pg_catalog.generate_series(1, {LOCKS}) n"
    );
    session.batch_execute(&some).await.expect("given back");
}

#[tokio::test]
async fn a_check_of_many_tables_needs_only_a_few_locks_at_a_time() {
    let bench = Bench::new().await;
    many_tables(&bench.session).await;
    let hog = Session::open(&bench.endpoint, "hog").await;
    let hog = hog.expect("a session");
    leave_few_locks(&hog).await;
    let told = Told {
        counts: (1..=TABLES)
            .map(|n| (TableName::new("public", format!("t{n}")), 1))
            .collect(),
        ..Told::default()
    };
    let checks = ["counts", "sequences", "foreign_keys"].map(|k| serde_json::json!({ "kind": k }));
    let verdict = bench.verify_with(checks.into_iter().collect(), told).await;
    let [counts, sequences, keys] = <[Check; 3]>::try_from(verdict.checks).expect("three");
    passed(&counts, "400 tables, 400 rows");
    passed(&sequences, "400 sequences, 400 columns");
    passed(&keys, "400 foreign keys, 400 rows");
    hog.close().await;
}
