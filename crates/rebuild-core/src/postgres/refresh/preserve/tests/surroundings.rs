//! What is around the rows: names, types, sequences, triggers, partitions, rights.

use super::*;
use crate::error::ErrorKind;

#[tokio::test]
async fn names_and_values_of_all_kinds_come_through() {
    let schema = r#"
        create schema "s""x'y ü";
        create type "s""x'y ü"."t""y" as enum ('it''s', 'ü "q"', '\');
        create domain "s""x'y ü"."d o" as int not null check (value > 0);
        create table "s""x'y ü"."p'ä" ("k""ey" text primary key, "é" "s""x'y ü"."t""y");
        create table "s""x'y ü"."t\a" ("i d" bigint generated always as identity primary key,
            "sele""ct" text, e "s""x'y ü"."t""y"[], d "s""x'y ü"."d o", j json, b bytea, x xml,
            f float8, c character(4), v varchar(4)[], m money, iv interval, p point, bits bit(3),
            "fk'" text constraint "co""n" references "s""x'y ü"."p'ä", g int generated always as (3) stored);"#;
    let two = Two::with(
        &format!(
            r#"{schema} insert into "s""x'y ü"."p'ä" values (E'new\nline\t', 'it''s'), ('gone', '\');
            insert into "s""x'y ü"."t\a" overriding system value values
              (5, E'a\nb\\N\t"', array['it''s', null, '\']::"s""x'y ü"."t""y"[], 3, '{{"a":  1}}', '\x00ff',
               '<a/>', 0.1::float8 + 0.2, 'ab', '{{abcd}}', 12.5, '1 mon 2 days', '(1,2)', '101', E'new\nline\t'),
              (6, '\N', '{{}}', 1, null, null, null, 'NaN', null, null, null, null, null, null, null),
              (7, null, null, 1, null, null, null, null, null, null, null, null, null, null, 'gone');"#
        ),
        &format!(r#"{schema} alter table "s""x'y ü"."p'ä" add check ("k""ey" <> 'gone')"#),
    )
    .await;
    let mut rules = vec![rule("s.t"), rule("s.p")];
    rules[0].table = TableName::new("s\"x'y ü", "t\\a");
    rules[1].table = TableName::new("s\"x'y ü", "p'ä");
    let done = two.put(&rules).await;
    assert_eq!(done.counts(0), [3, 2, 0, 0, 1]);
    assert_eq!(done.reasons(0), [("no s\"x'y ü.p'ä row for co\"n", 1)]);
    let rows = r#"select t::text from "s""x'y ü"."t\a" t where "i d" < 7 order by "i d""#;
    assert_eq!(two.ask(rows).await, texts(&two.old, rows).await);
    let next = r#"insert into "s""x'y ü"."t\a" (d) values (1) returning "i d"::text"#;
    assert_eq!(two.ask(next).await, ["8"]);
    let mut csv = CsvLines::new(Vec::new());
    put_back(&Ctx::quiet(), &two.old, &two.new, &rules, &mut csv)
        .await
        .expect("again");
    let lines = String::from_utf8(csv.into_inner()).expect("text");
    assert_eq!(
        lines,
        "table,key,reason\r\n\
         \"s\"\"x'y ü.t\\a\",\"{\"\"i d\"\" : 7}\",\"no s\"\"x'y ü.p'ä row for co\"\"n\"\r\n\
         \"s\"\"x'y ü.p'ä\",\"{\"\"k\\\"\"ey\"\" : \"\"gone\"\"}\",\"check_violation of constraint p'ä_k\"\"ey_check\"\r\n"
    );
}

#[tokio::test]
async fn no_trigger_and_no_rule_fires() {
    let schema = "create table public.p (id int primary key, code text unique, v int);
        create table public.c (id int primary key, code text references public.p (code) on update cascade);";
    let two = Two::with(
        &format!("{schema} insert into public.p values (1, 'new', 1), (2, 'b', 2)"),
        &format!(
            "{schema}
             create table public.mails (what text);
             create function public.mail() returns trigger language plpgsql as
                 $$ begin insert into public.mails values (tg_name); return new; end $$;
             create trigger o before insert or update on public.p for each row execute function public.mail();
             create trigger r after insert or update on public.p for each row execute function public.mail();
             create trigger a after insert on public.p for each statement execute function public.mail();
             create trigger d after insert on public.p for each row execute function public.mail();
             create constraint trigger late after insert or update on public.p
                 deferrable initially deferred for each row execute function public.mail();
             create trigger follows after update on public.c for each row execute function public.mail();
             alter table public.p enable replica trigger r;
             alter table public.p enable always trigger a;
             alter table public.p disable trigger d;
             create rule also as on insert to public.p do also insert into public.mails values ('rule');
             insert into public.p values (1, 'old', 0);
             insert into public.c values (1, 'old');
             set constraints all immediate; truncate public.mails"
        ),
    )
    .await;
    let done = two.put(&[rule("public.p")]).await;
    assert_eq!(done.counts(0), [2, 1, 1, 0, 0]);
    assert_eq!(
        two.ask("select what from public.mails").await,
        Vec::<String>::new()
    );
    assert_eq!(two.ask("select code from public.c").await, ["new"]);
    two.new
        .batch_execute("insert into public.p values (3, 'c', 3)")
        .await
        .expect("inserted");
    assert_eq!(
        two.ask("select what from public.mails order by 1").await,
        ["a", "late", "o", "rule"]
    );
}

#[tokio::test]
async fn partitioned_tables_and_partitions_alone() {
    let schema = "
        create table public.u (id serial primary key, name text unique);
        create table public.t (id int, day date, up int, upday date, u int constraint of_u references public.u,
            primary key (id, day), constraint above foreign key (up, upday) references public.t)
            partition by range (day);
        create table public.t_1 partition of public.t for values from ('2020-01-01') to ('2021-01-01');
        create table public.t_2 partition of public.t for values from ('2021-01-01') to ('2022-01-01');
        create function public.no() returns trigger language plpgsql as
            $$ begin raise 'a trigger fired'; end $$;";
    let two = Two::with(
        &format!(
            "{schema} create table public.t_3 partition of public.t default;
             insert into public.u values (1, 'a'), (2, 'b');
             insert into public.t values (1, '2020-05-05', 2, '2021-05-05', 1),
                (2, '2021-05-05', null, null, 2), (3, '2030-01-01', null, null, null),
                (4, '2020-06-06', 3, '2030-01-01', null)"
        ),
        &format!(
            "{schema}
             create trigger no before insert or update on public.t for each row execute function public.no();
             alter table public.t_2 disable trigger no;
             insert into public.u values (1, 'b');"
        ),
    )
    .await;
    let done = two
        .put(&[rule("public.t_1"), rule("public.u").by(&["name"])])
        .await;
    assert_eq!(
        done.counts(0),
        [2, 0, 0, 0, 2],
        "their parents are in no preserved table"
    );
    let done = two
        .put(&[rule("public.t"), rule("public.u").by(&["name"])])
        .await;
    assert_eq!(done.counts(0), [4, 2, 0, 0, 2]);
    assert_eq!(
        done.reasons(0),
        [("check_violation", 1), ("no public.t row for above", 1)]
    );
    assert_eq!(
        two.ask(
            "select t.tableoid::regclass::text || t::text || u.name
                   from public.t t join public.u on u.id = t.u order by t.id"
        )
        .await,
        [
            "public.t_1(1,2020-05-05,2,2021-05-05,3)a",
            "public.t_2(2,2021-05-05,,,1)b"
        ]
    );
}

#[tokio::test]
async fn references_to_and_from_one_partition() {
    let schema = "
        create table public.p (id int, name text, primary key (id), unique (id, name)) partition by range (id);
        create table public.p_1 partition of public.p for values from (0) to (10);
        create table public.p_2 partition of public.p for values from (10) to (20);
        create table public.c (id int primary key, p int constraint low references public.p_1);
        create table public.u (id serial primary key, name text unique);
        create table public.t (id int primary key, u int) partition by range (id);
        create table public.t_1 partition of public.t for values from (0) to (10);
        alter table public.t_1 add constraint lone foreign key (u) references public.u;";
    let two = Two::with(
        &format!(
            "{schema} insert into public.p values (1, 'a'), (11, 'b');
             insert into public.c values (1, 1);
             insert into public.u values (1, 'a'); insert into public.t values (1, 1), (2, null);"
        ),
        schema,
    )
    .await;
    let done = two.put(&[rule("public.c"), rule("public.p")]).await;
    assert_eq!(done.counts(0), [1, 1, 0, 0, 0]);
    assert_eq!(done.counts(1), [2, 2, 0, 0, 0]);
    let moving = [rule("public.t"), rule("public.u").by(&["name"])];
    let problems = two.look(&moving).await.problems;
    assert!(problems[0].contains("foreign key lone of one partition of public.t"));
    let done = two.put(&moving[..1]).await;
    assert_eq!(done.counts(0), [2, 1, 0, 0, 1]);
    assert_eq!(
        done.reasons(0),
        [("foreign_key_violation of constraint lone", 1)]
    );
}

#[tokio::test]
async fn sequences_are_moved_past_both_sides() {
    let schema = "create table public.t (id int primary key generated by default as identity, s serial,
            d int, down int);
        create sequence public.free; alter table public.t alter d set default pg_catalog.nextval('public.free');
        create sequence public.falling increment -1 owned by public.t.down;";
    let two = Two::with(
        &format!(
            "{schema} insert into public.t values (5, 50, 500, -5), (6, 1, 1, -1);
             select pg_catalog.setval('public.free', 300), pg_catalog.setval('public.falling', -9);"
        ),
        &format!(
            "{schema} insert into public.t values (9, 9, 9, -2);
             select pg_catalog.setval('public.t_id_seq', 70), pg_catalog.setval('public.t_s_seq', 3)"
        ),
    )
    .await;
    let rules = [rule("public.t").only("id = 6")];
    two.put(&rules).await;
    let next = "select pg_catalog.concat_ws(' ', pg_catalog.nextval('public.t_id_seq'),
        pg_catalog.nextval('public.t_s_seq'), pg_catalog.nextval('public.free'),
        pg_catalog.nextval('public.falling'))";
    assert_eq!(two.ask(next).await, ["71 51 501 -10"]);
    two.put(&rules).await;
    assert_eq!(two.ask(next).await, ["72 52 502 -11"]);
}

#[tokio::test]
async fn an_identity_column_that_is_no_key_is_replaced_too() {
    let schema =
        "create table public.t (name text primary key, n int generated always as identity);";
    let two = Two::with(
        &format!("{schema} insert into public.t overriding system value values ('a', 40)"),
        &format!("{schema} insert into public.t values ('a')"),
    )
    .await;
    assert_eq!(
        two.put(&[rule("public.t")]).await.counts(0),
        [1, 0, 1, 0, 0]
    );
    assert_eq!(two.ask("select n::text from public.t").await, ["40"]);
}

#[tokio::test]
async fn what_stands_against_it_is_told_before() {
    let two = Two::with(
        "create table public.gone (id int primary key);
         create table public.keyless (a int);
         create table public.cond (id int primary key);
         create table public.types (id int primary key, a date, b boolean, c int4range);
         create table public.required (id int primary key);
         create table public.empty (id int primary key);
         create table public.named (id int primary key, name text unique);
         create view public.seen as select 1 as id;
         insert into public.required values (1);",
        "create table public.keyless (a int);
         create table public.cond (id int primary key);
         create table public.types (id int primary key, a inet, b int, c int4range);
         create table public.required (id int primary key, v int not null, w int not null default 3);
         create table public.empty (id int primary key, v int not null);
         create table public.named (id int primary key, name text);
         create table public.seen (id int primary key);",
    )
    .await;
    let rules = [
        rule("public.gone"),
        rule("public.never"),
        rule("public.keyless"),
        rule("public.named").by(&["name"]),
        rule("public.named").by(&["nothing"]),
        rule("public.types"),
        rule("public.seen"),
    ];
    let outline = two.look(&rules).await;
    assert_eq!(
        outline.problems,
        [
            "the source has no table public.gone",
            "the target has no table public.never",
            "the source has no table public.never",
            "public.keyless has no primary key in the source, so say by which key its rows are the same",
            "the source has no unique index on (name) of public.named",
            "the source has no unique index on (nothing) of public.named",
            "the column a of public.types is date in the target and inet in the source, which cannot be converted",
            "public.seen is no table in the target"
        ]
    );
    assert!(outline.notes[1].contains("column b of public.types is boolean"));
    let rules = [
        rule("public.cond").only("nothing = 1"),
        rule("public.required").only("true) or (true"),
        rule("public.empty").only("id >"),
    ];
    let outline = two.look(&rules).await;
    assert_eq!(outline.problems.len(), 3, "{outline:?}");
    assert!(outline.problems[0].contains("column \"nothing\" does not exist"));
    assert!(outline.problems[1].contains("public.empty cannot be evaluated: syntax error"));
    assert!(outline.problems[2].contains("have no value for v, which"));
    let both = [rule("public.cond"), rule("public.cond").only("id = 3")];
    assert!(two.look(&both).await.problems[0].contains("the same rows"));
}

#[tokio::test]
async fn hidden_rows_are_a_refusal_and_a_failure_changes_nothing() {
    let schema = "create table public.t (id int primary key, v int);
        create table public.u (id int primary key, t int references public.t);";
    let two = Two::with(
        &format!(
            "{schema} alter table public.t enable row level security;
             create role seer; grant select on all tables in schema public to seer;
             insert into public.t values (1, 1); insert into public.u values (1, 1)"
        ),
        &format!("{schema} grant all on all tables in schema public to seer"),
    )
    .await;
    // A function that is not there at run time is nothing about rows.
    let rules = [
        rule("public.t"),
        rule("public.u").only("pg_catalog.pg_read_file('/nowhere') is not null"),
    ];
    let mut left_out = Vec::new();
    let failed = put_back(&Ctx::quiet(), &two.old, &two.new, &rules, &mut left_out).await;
    assert_eq!(failed.expect_err("no file").kind(), ErrorKind::Server);
    assert_eq!(
        two.ask("select id::text from public.t").await,
        Vec::<String>::new()
    );
    let ctx = Ctx::quiet();
    ctx.stop.cancel();
    let stopped = put_back(&ctx, &two.old, &two.new, &rules[..1], &mut left_out).await;
    assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Interrupted);
    let done = two.put(&rules[..1]).await;
    assert_eq!(done.counts(0), [1, 1, 0, 0, 0]);
    two.old.batch_execute("set role seer").await.expect("role");
    let problems = two.look(&rules[..1]).await.problems;
    assert_eq!(
        problems,
        ["row-level security hides rows of public.t in the target from this role"]
    );
    assert!(
        two.refused(&rules[..1])
            .await
            .contains("row-level security")
    );
}
