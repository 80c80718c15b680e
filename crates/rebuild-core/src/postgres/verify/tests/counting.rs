use serde_json::json;

use super::*;

fn told(counts: &[(&str, &str, u64)]) -> Told {
    Told {
        counts: counts
            .iter()
            .map(|(schema, name, rows)| (TableName::new(*schema, *name), *rows))
            .collect(),
        ..Told::default()
    }
}

const TABLES: &[&str] = &[
    "create table public.plain as select generate_series(1, 1200) as id",
    "create schema \"My Schema\"",
    "create table \"My Schema\".\"Größe \"\"x\"\"\" (a int)",
    "insert into \"My Schema\".\"Größe \"\"x\"\"\" values (1), (2)",
    "create table public.parent (a int)",
    "create table public.heir (b int) inherits (public.parent)",
    "insert into public.parent values (1)",
    "insert into public.heir values (1), (2)",
    "create table public.parts (a int) partition by range (a)",
    "create table public.part_1 partition of public.parts for values from (0) to (10)",
    "create table public.part_2 partition of public.parts for values from (10) to (20)",
    "insert into public.parts select generate_series(5, 19)",
];

const RIGHT: &[(&str, &str, u64)] = &[
    ("public", "plain", 1200),
    ("My Schema", "Größe \"x\"", 2),
    ("public", "parent", 1),
    ("public", "heir", 2),
    ("public", "part_1", 5),
    ("public", "part_2", 10),
    ("public", "parts", 15),
];

#[tokio::test]
async fn counts_are_exact() {
    let bench = Bench::new().await;
    bench.run(TABLES).await;
    let counts = json!([{"kind": "counts"}]);
    let check = one(bench.verify_with(counts.clone(), told(RIGHT)).await);
    passed(&check, "7 tables, 1,235 rows");

    for at in 0..RIGHT.len() {
        let mut wrong = RIGHT.to_vec();
        wrong[at].2 += 1;
        let check = one(bench.verify_with(counts.clone(), told(&wrong)).await);
        let (schema, name, rows) = RIGHT[at];
        let found = super::super::amount::grouped(rows);
        let lines = complaints(&check);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("{schema}.{name}: expected")));
        assert!(lines[0].ends_with(&format!("found {found}")), "{lines:?}");
    }

    let gone = told(&[("public", "plain", 1200), ("public", "gone", 3)]);
    let check = one(bench.verify_with(counts.clone(), gone).await);
    assert_eq!(
        complaints(&check),
        ["public.gone: expected 3 rows, found no such table"]
    );
    let left_over = told(&[("public", "plain", 1200), ("public", "gone", 0)]);
    let check = one(bench.verify_with(counts.clone(), left_over).await);
    passed(&check, "1 table, 1,200 rows");
    let refilled = told(&[("public", "heir", 0)]);
    let check = one(bench.verify_with(counts.clone(), refilled).await);
    assert_eq!(
        complaints(&check),
        ["public.heir: expected 0 rows, found 2"]
    );
    let except = json!([{"kind": "counts", "except": ["public.pl*"]}]);
    let wrong = told(&[("public", "plain", 7), ("public", "heir", 2)]);
    passed(
        &one(bench.verify_with(except, wrong).await),
        "1 table, 2 rows",
    );
    let empty = one(bench.verify_with(counts, told(&[])).await);
    passed(&empty, "0 tables, 0 rows");
    let all = json!([{"kind": "counts", "except": ["public.*", "My Schema.*"]}]);
    let nothing = one(bench.verify_with(all, told(RIGHT)).await);
    assert_eq!(not_run(&nothing), "every table is excepted");
}

#[tokio::test]
async fn tables_that_hide_rows_are_not_counted() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create table public.t as select 1 as a",
            "create table public.hidden as select 1 as a",
            "alter table public.hidden enable row level security",
            "create role reader login",
            "grant select on public.t, public.hidden to reader",
        ])
        .await;
    let mut endpoint = bench.endpoint.clone();
    endpoint.user = "reader".into();
    let checks = || vec![CheckSpec::Counts { except: Vec::new() }];
    let both = told(&[("public", "t", 1), ("public", "hidden", 1)]);
    let verifier = PgVerifier::new(endpoint, checks(), Arc::new(both), NonZeroUsize::MIN);
    let request = bench.request(false).await;
    let verdict = verifier
        .expect("verifier")
        .verify(&Ctx::quiet(), &request)
        .await
        .expect("verdict");
    let check = one(verdict);
    assert!(not_run(&check).starts_with("public.hidden: row-level security"));
}

#[tokio::test]
async fn content_is_asked_of_the_backup() {
    let bench = Bench::new().await;
    let content = json!([{"kind": "content", "except": ["public.*"]}]);
    let backup = Arc::new(told(RIGHT));
    let checks: Vec<CheckSpec> = serde_json::from_value(content.clone()).expect("checks");
    let verifier = PgVerifier::new(
        bench.endpoint.clone(),
        checks,
        backup.clone(),
        NonZeroUsize::MIN,
    )
    .expect("verifier");
    let mut request = bench.request(false).await;
    let verdict = verifier.verify(&Ctx::quiet(), &request).await;
    passed(&one(verdict.expect("verdict")), "2 tables, 1,234 rows");
    let excepted = backup.excepted.lock().expect("not poisoned").clone();
    assert_eq!(excepted.len(), 6);
    assert!(excepted.iter().all(|t| t.schema == "public"));

    request.backup = None;
    let verdict = verifier.verify(&Ctx::quiet(), &request).await;
    let check = one(verdict.expect("verdict"));
    assert_eq!(not_run(&check), "there is no backup to compare with");

    let backup = Told {
        differing: vec!["public.t: other rows".into()],
        ..Told::default()
    };
    let check = one(bench.verify_with(content, backup).await);
    assert_eq!(complaints(&check), ["public.t: other rows"]);
}

#[tokio::test]
async fn what_applications_may_have_changed_is_left_out_when_live() {
    let bench = Bench::new().await;
    let checks = json!([
        {"kind": "counts"}, {"kind": "content"}, {"kind": "query", "sql": "select 1", "expect": 2},
        {"kind": "indexes"},
    ]);
    let backup = told(&[("public", "gone", 1)]);
    let verifier = bench.verifier(checks, backup).expect("verifier");
    let request = bench.request(true).await;
    let verdict = verifier.verify(&Ctx::quiet(), &request).await;
    let verdict = verdict.expect("verdict");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    let names: Vec<&str> = verdict.checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["in service", "indexes"]);
}

#[tokio::test]
async fn another_database_of_that_name_is_not_verified() {
    let bench = Bench::new().await;
    let verifier = bench.verifier(json!([{"kind": "indexes"}]), Told::default());
    let mut request = bench.request(false).await;
    request.db.uid = "1".into();
    let refused = verifier
        .expect("verifier")
        .verify(&Ctx::quiet(), &request)
        .await
        .expect_err("another one");
    assert!(refused.is_refusal(), "{refused:?}");
}

#[tokio::test]
async fn every_session_is_gone_afterwards() {
    let bench = Bench::new().await;
    bench.run(TABLES).await;
    let verifier = bench.verifier(json!([{"kind": "counts"}]), told(RIGHT));
    let request = bench.request(false).await;
    let ctx = Ctx::quiet();
    let verdict = verifier.expect("verifier").verify(&ctx, &request).await;
    assert!(verdict.expect("verdict").passed());
    let gone = "select count(*) from pg_catalog.pg_stat_activity
                 where application_name = $1";
    let application = crate::postgres::application(&ctx);
    let patience = std::time::Duration::from_secs(10);
    let all_gone = async {
        loop {
            let row = bench.session.query_one(gone, &[&application]).await;
            if row.expect("activity").get::<_, i64>(0) == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(patience, all_gone)
        .await
        .expect("no session stays");
}
