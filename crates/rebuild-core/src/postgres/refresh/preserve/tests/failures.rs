//! Rows that cannot be put: the others are.

use super::*;

/// Puts a thousand rows (`id`, `v`) of which number 700 has the value `bad`, into a table whose
/// column `v` is `declared` so; what else there is, is `also`.
async fn one_bad(bad: &str, declared: &str, also: &str) -> Done {
    let two = Two::with(
        &format!(
            "create table public.t (id int primary key, v text);
             insert into public.t
             select n, case when n = 700 then {bad} else n::text end from generate_series(1, 1000) n"
        ),
        &format!("create table public.t (id int primary key, v {declared}); {also}"),
    )
    .await;
    let done = two.put(&[rule("public.t")]).await;
    assert_eq!(
        done.counts(0),
        [1000, 999, 0, 0, 1],
        "{:?}",
        done.reasons(0)
    );
    assert_eq!(done.left_out[0].1, "{\"id\" : 700}");
    let count = two.ask("select pg_catalog.count(*)::text from public.t where id <> 700 or id < 0");
    assert!(["999", "1000"].contains(&count.await[0].as_str()));
    done
}

#[tokio::test]
async fn a_bad_row_among_a_thousand_is_found() {
    for (bad, declared, also, reason) in [
        (
            "null",
            "text not null",
            "",
            "not_null_violation of column v",
        ),
        (
            "'bad'",
            "text constraint good check (v <> 'bad')",
            "",
            "check_violation of constraint good",
        ),
        (
            "'1'",
            "text constraint once unique",
            "",
            "unique_violation of constraint once",
        ),
        (
            "'x'",
            "text, constraint apart exclude (v with =)",
            "insert into public.t values (-1, 'x')",
            "exclusion_violation of constraint apart",
        ),
        (
            "'bad'",
            "int",
            "",
            "invalid_text_representation of column v",
        ),
        (
            "'99999999999'",
            "int",
            "",
            "numeric_value_out_of_range of column v",
        ),
        (
            "'12345'",
            "varchar(4)",
            "",
            "string_data_right_truncation of column v",
        ),
        (
            "'12345'",
            "character(4)",
            "",
            "string_data_right_truncation of column v",
        ),
    ] {
        let done = one_bad(bad, declared, also).await;
        assert_eq!(done.reasons(0), [(reason, 1)]);
    }
}

#[tokio::test]
async fn values_that_a_type_of_users_refuses_are_found() {
    let two = Two::with(
        "create type public.mood as enum ('good', 'bad');
         create domain public.short as text check (pg_catalog.length(value) < 9);
         create table public.t (id int primary key, m public.mood, d public.short, a public.mood[]);
         insert into public.t values (1, 'good', 'ab', '{good,NULL}'), (2, 'bad', null, null),
            (3, null, 'xyz', null), (4, null, null, '{good,bad}'), (5, null, null, null)",
        "create type public.mood as enum ('good');
         create domain public.short as text constraint brief check (pg_catalog.length(value) < 3);
         create table public.t (id int primary key, m public.mood, d public.short, a public.mood[])",
    )
    .await;
    let done = two.put(&[rule("public.t")]).await;
    assert_eq!(done.counts(0), [5, 2, 0, 0, 3]);
    assert_eq!(
        done.reasons(0),
        [
            ("check_violation of constraint brief", 1),
            ("invalid_text_representation of column a", 1),
            ("invalid_text_representation of column m", 1)
        ]
    );
    let rows = two.ask("select t::text from public.t t order by id").await;
    assert_eq!(rows, ["(1,good,ab,\"{good,NULL}\")", "(5,,,)"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_converted_is_still_known_to_what_refers_to_it() {
    let schema =
        "create table public.c (id int primary key, p int constraint parent references public.p);";
    let two = Two::with(
        &format!(
            "create table public.p (id int primary key, name text unique, v text); {schema}
             insert into public.p values (1, 'both', 'bad'), (2, 'here', 'bad'), (3, 'fine', '1');
             insert into public.c values (1, 1), (2, 2), (3, 3)"
        ),
        &format!(
            "create table public.p (id serial primary key, name text unique, v int); {schema}
             insert into public.p values (2, 'both', 7), (9, 'other', 8)"
        ),
    )
    .await;
    let done = two
        .put(&[rule("public.c"), rule("public.p").by(&["name"])])
        .await;
    assert_eq!(done.counts(1), [3, 1, 0, 0, 2]);
    assert_eq!(done.reasons(0), [("no public.p row for parent", 1)]);
    let rows = two.ask("select c::text from public.c c order by id").await;
    assert_eq!(rows, ["(1,2)", "(3,3)"]);
}

#[tokio::test]
async fn rows_make_room_for_each_other() {
    let schema =
        "create table public.t (id int primary key, name text constraint named unique, ok bool);";
    let two = Two::with(
        &format!(
            "{schema} insert into public.t values (1, 'c', true), (2, 'b', true), (50, 'a', true), (51, 'd', true)"
        ),
        &format!(
            "{schema} insert into public.t values (1, 'a', false), (2, 'd', false), (3, 'z', false)"
        ),
    )
    .await;
    let done = two.put(&[rule("public.t")]).await;
    assert_eq!(done.counts(0), [4, 2, 2, 0, 0], "{:?}", done.reasons(0));
    let rows = two.ask("select t::text from public.t t order by id").await;
    assert_eq!(
        rows,
        ["(1,c,t)", "(2,b,t)", "(3,z,f)", "(50,a,t)", "(51,d,t)"]
    );
}

#[tokio::test]
async fn rows_with_one_key_are_one_row() {
    let two = Two::with(
        "create table public.t (id int primary key, name text);
         insert into public.t values (1, 'a'), (2, 'a'), (3, null), (4, null)",
        "create table public.t (id int primary key, name text unique);
         insert into public.t values (7, 'a')",
    )
    .await;
    let done = two.put(&[rule("public.t").by(&["name"])]).await;
    assert_eq!(done.counts(0), [4, 2, 0, 1, 1]);
    assert_eq!(
        done.reasons(0),
        [("another preserved row has the same key", 1)]
    );
    // What has no key is not put a second time either.
    let done = two.put(&[rule("public.t").by(&["name"])]).await;
    assert_eq!(done.counts(0), [4, 0, 0, 3, 1]);
}

#[tokio::test]
async fn a_missing_parent_is_missed_by_all_below() {
    let schema = "
        create table public.a (id int primary key, v int);
        create table public.b (id int primary key, a int constraint in_a references public.a);
        create table public.c (id int primary key, b int constraint in_b references public.b,
            x int, y int);
        create table public.m (x int, y int, unique (x, y));";
    let old = format!(
        "{schema} alter table public.a drop v;
         insert into public.a values (1), (2);
         insert into public.b values (1, 1), (2, 2), (3, null);
         insert into public.c values (1, 1), (2, 2), (3, 3), (4, null);
         insert into public.c select n, 2 from generate_series(5, 1004) n;"
    );
    let new = format!(
        "{schema} alter table public.a add check (id <> 2);
         alter table public.c add constraint both_or_none
            foreign key (x, y) references public.m (x, y) match full"
    );
    let two = Two::with(&old, &new).await;
    let rules = [rule("public.c"), rule("public.b"), rule("public.a")];
    let done = two.put(&rules).await;
    assert_eq!(done.counts(2), [2, 1, 0, 0, 1]);
    assert_eq!(done.reasons(1), [("no public.a row for in_a", 1)]);
    assert_eq!(done.counts(0), [1004, 3, 0, 0, 1001]);
    assert_eq!(done.reasons(0), [("no public.b row for in_b", 1001)]);
    two.old
        .batch_execute("update public.c set x = 1 where id = 4")
        .await
        .expect("half of a reference");
    let done = two.put(&rules).await;
    assert_eq!(
        done.reasons(0),
        [
            ("no public.b row for in_b", 1001),
            ("no public.m row for both_or_none", 1)
        ]
    );
}
