use serde_json::json;

use super::*;

async fn query(bench: &Bench, sql: &str, expect: Value) -> Check {
    let checks = json!([{"kind": "query", "sql": sql, "expect": expect, "timeout": "5s"}]);
    one(bench.verify(checks).await)
}

#[tokio::test]
async fn values_are_compared_as_psql_prints_them() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.t (id int, name text, at timestamptz, f float8, b bytea, n numeric(9, 2))",
            "insert into public.t values (1, 'ä', '2026-01-02 03:04:05+01', 0.1, '\\x00ff', 1.5),
                (2, null, null, 'NaN', null, null)",
        ])
        .await;
    for (sql, expect, rows) in [
        ("select count(*) from public.t", json!(2), "1 row"),
        ("select true", json!(true), "1 row"),
        (
            "select n from public.t where id = 1",
            json!("1.50"),
            "1 row",
        ),
        ("select n from public.t where id = 1", json!(1.5), "1 row"),
        ("select 1 where false", json!([]), "0 rows"),
        (
            "select * from public.t order by id;",
            json!([
                [1, "ä", "2026-01-02 02:04:05+00", 0.1, "\\x00ff", "1.50"],
                [2, [], [], "NaN", [], []]
            ]),
            "2 rows",
        ),
        (
            "select array[1,null,2], row(1,'a b')",
            json!(["{1,NULL,2}", "(1,\"a b\")"]),
            "1 row",
        ),
        ("values (1), (2)", json!([[1], [2]]), "2 rows"),
        ("with x as (select 1 as a) table x", json!(1), "1 row"),
    ] {
        passed(&query(&bench, sql, expect).await, rows);
    }
    let check = query(
        &bench,
        "select id, name from public.t order by id",
        json!([[1, "a"], [2, []]]),
    )
    .await;
    assert_eq!(complaints(&check), ["row 1: expected 1|a, found 1|ä"]);
    assert_eq!(
        check.name,
        "query select id, name from public.t order by id"
    );
    let many = query(&bench, "select generate_series(1, 100000)", json!([])).await;
    assert_eq!(complaints(&many).len(), 6);
    assert_eq!(complaints(&many)[5], "and 99995 more rows differ");
    assert_eq!(many.looked_at, "100,000 rows");
}

#[tokio::test]
async fn a_query_cannot_write() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.t (id serial)",
            "create function public.writes() returns int language plpgsql as $$
                begin
                    perform set_config('transaction_read_only', 'off', false);
                    insert into public.t values (1);
                    return 1;
                end $$",
            "create procedure public.ends(inout a int) language plpgsql as $$
                begin commit; insert into public.t values (1); end $$",
        ])
        .await;
    for (sql, words) in [
        (
            "insert into public.t values (1) returning id",
            "cannot execute INSERT in a read-only transaction",
        ),
        (
            "with d as (delete from public.t returning id) select 1",
            "in a read-only transaction",
        ),
        (
            "select nextval('public.t_id_seq')",
            "cannot execute nextval() in a read-only transaction",
        ),
        ("select public.writes()", "read-write mode"),
        ("call public.ends(1)", "invalid transaction termination"),
        (
            "insert into public.t values (1)",
            "gives no rows; it was not run",
        ),
        ("commit", "gives no rows; it was not run"),
        (
            "select 1; commit; insert into public.t values (1)",
            "cannot insert multiple commands",
        ),
        ("copy public.t to stdout", "gives no rows; it was not run"),
        (
            "do $$ begin commit; end $$",
            "gives no rows; it was not run",
        ),
        (
            "set transaction_read_only = off",
            "gives no rows; it was not run",
        ),
        ("", "gives no rows; it was not run"),
    ] {
        let check = query(&bench, sql, json!(1)).await;
        let lines = complaints(&check);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(words), "{sql}: {lines:?}");
    }
    let row = bench.session.query_one(
        "select count(*), (select last_value from public.t_id_seq) from public.t",
        &[],
    );
    let row = row.await.expect("counted");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 1));
}

#[tokio::test]
async fn one_failing_query_does_not_spoil_the_next() {
    let bench = Bench::new().await;
    bench
        .run(&["create table public.t (id int)", "create role reader login"])
        .await;
    let mut endpoint = bench.endpoint.clone();
    endpoint.user = "reader".into();
    let checks = json!([
        {"kind": "query", "sql": "select count(*) from t", "expect": 0},
        {"kind": "query", "sql": "select count(*) from public.t", "expect": 0},
        {"kind": "query", "sql": "select pg_sleep(60)", "expect": 0, "timeout": "200ms"},
        {"kind": "query", "sql": "select set_config('search_path', 'public', false)", "expect": "public"},
        {"kind": "query", "sql": "select current_setting('search_path')", "expect": "", "timeout": "1m"},
    ]);
    let checks = serde_json::from_value(checks).expect("checks");
    let verifier = PgVerifier::new(
        endpoint,
        checks,
        Arc::new(Told::default()),
        NonZeroUsize::MIN,
    );
    let request = bench.request(false).await;
    let verdict = verifier
        .expect("verifier")
        .verify(&Ctx::quiet(), &request)
        .await;
    let verdict = verdict.expect("verdict");
    let [missing, denied, slow, set, after] = &verdict.checks[..] else {
        panic!("{verdict:?}");
    };
    assert!(
        complaints(missing)[0].contains("names need their schema"),
        "{missing:?}"
    );
    assert!(
        not_run(denied).contains("permission denied for table t"),
        "{denied:?}"
    );
    assert!(
        complaints(slow)[0].contains("did not end within 200ms"),
        "{slow:?}"
    );
    passed(set, "1 row");
    passed(after, "1 row");
}

#[tokio::test]
async fn what_is_no_answer_is_wrong_input() {
    let bench = Bench::new().await;
    for checks in [
        json!([{"kind": "query", "sql": "select 1", "expect": [[1], 2]}]),
        json!([{"kind": "http", "url": "ftp://localhost/"}]),
        json!([{"kind": "http", "url": "localhost"}]),
        json!([{"kind": "counts", "except": ["everything"]}]),
        json!([{"kind": "column", "table": "t", "column": "id"}]),
    ] {
        let error = bench
            .verifier(checks, Told::default())
            .err()
            .expect("wrong");
        assert_eq!(error.kind(), crate::error::ErrorKind::Usage, "{error:?}");
    }
    assert_eq!(PgVerifier::default_checks(true).len(), 3);
    assert_eq!(PgVerifier::default_checks(false).len(), 2);
}
