use serde_json::json;

use super::*;

#[tokio::test]
async fn tables_and_views_exist() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create schema \"My Schema\"",
            "create table \"My Schema\".\"T.\"\"ü\"\"\" (a int primary key)",
            "create view public.v as select 1 as a",
            "create materialized view public.mv as select 1 as a",
            "create table public.parts (a int) partition by range (a)",
            "create sequence public.s",
        ])
        .await;
    let names = [
        "\"My Schema\".\"T.\"\"ü\"\"\"",
        "public.v",
        "public.mv",
        "public.parts",
    ];
    let check = one(bench
        .verify(json!([{"kind": "tables", "tables": names}]))
        .await);
    passed(&check, "4 tables");
    let names = ["public.V", "public.s", "My Schema.T", "public.v"];
    let check = one(bench
        .verify(json!([{"kind": "tables", "tables": names}]))
        .await);
    assert_eq!(
        complaints(&check),
        [
            "public.V: expected a table or view, found nothing",
            "public.s: expected a table or view, found a sequence",
            "My Schema.T: expected a table or view, found nothing",
        ]
    );
    let unqualified = bench.verifier(
        json!([{"kind": "tables", "tables": ["v"]}]),
        Told::default(),
    );
    let error = unqualified.err().expect("no schema");
    assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
    assert!(error.to_string().contains("it has no schema"), "{error}");
}

#[tokio::test]
async fn a_column_is_as_said() {
    let bench = Bench::new().await;
    bench
        .run(&[
            "create domain public.filled as text not null",
            "create table public.t (id bigint not null, \"Né\" varchar(40), gone int, f public.filled)",
            "alter table public.t drop column gone",
            "create view public.v as select id from public.t",
        ])
        .await;
    let column = |table: &str, column: &str, type_name: &str, nullable: bool| {
        json!([{"kind": "column", "table": table, "column": column, "type": type_name,
                "nullable": nullable}])
    };
    for right in [
        column("public.t", "id", "bigint", false),
        column("public.t", "Né", "character varying(40)", true),
        column("public.t", "f", "public.filled", false),
        column("public.v", "id", "bigint", true),
        json!([{"kind": "column", "table": "public.t", "column": "id"}]),
    ] {
        passed(&one(bench.verify(right).await), "1 column");
    }
    for (wrong, complaint) in [
        (
            column("public.t", "id", "integer", false),
            "expected type integer, found bigint",
        ),
        (
            column("public.t", "id", "bigint", true),
            "expected NULL allowed, found NOT NULL",
        ),
        (
            column("public.t", "Né", "character varying(40)", false),
            "expected NOT NULL, found NULL allowed",
        ),
        (
            column("public.t", "gone", "integer", true),
            "public.t has no column \"gone\"",
        ),
        (
            column("public.u", "id", "bigint", false),
            "there is no table public.u",
        ),
    ] {
        let check = one(bench.verify(wrong).await);
        assert_eq!(complaints(&check), [complaint]);
        assert!(check.name.starts_with("column public."), "{}", check.name);
    }
}

#[tokio::test]
async fn every_column_of_that_name_has_that_type() {
    let bench = Bench::new().await;
    let ids = json!([{"kind": "every_column", "name": "id", "type": "bigint"}]);
    let check = one(bench.verify(ids.clone()).await);
    assert_eq!(complaints(&check), ["no table has a column \"id\""]);
    bench
        .run(&[
            "create table public.a (id bigint)",
            "create table public.b (id bigint) partition by range (id)",
            "create table public.b1 partition of public.b default",
            "create view public.v as select 1 as id",
        ])
        .await;
    passed(&one(bench.verify(ids.clone()).await), "3 columns");
    bench.run(&["create table public.c (id int)"]).await;
    let check = one(bench.verify(ids).await);
    assert_eq!(
        complaints(&check),
        ["public.c.id: expected type bigint, found integer"]
    );
    assert_eq!(check.looked_at, "4 columns");
}

#[tokio::test]
async fn an_extension_is_installed() {
    let bench = Bench::new().await;
    let check = one(bench
        .verify(json!([{"kind": "extension", "name": "plpgsql", "version": "1.0"}]))
        .await);
    passed(&check, "version 1.0");
    let check = one(bench
        .verify(json!([{"kind": "extension", "name": "plpgsql", "version": "0.9"}]))
        .await);
    assert_eq!(complaints(&check), ["expected version 0.9, found 1.0"]);
    let check = one(bench
        .verify(json!([{"kind": "extension", "name": "no such"}]))
        .await);
    assert_eq!(
        complaints(&check),
        ["extension \"no such\" is not installed"]
    );
}
