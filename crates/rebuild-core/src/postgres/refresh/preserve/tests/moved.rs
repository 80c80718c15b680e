//! Rows that are the same by another key than the primary key.

use super::*;

const SCHEMA: &str = "
    create table public.u (id int generated always as identity primary key,
        name text not null unique, boss int constraint bossed references public.u, note text);
    create table public.grants (id serial primary key, u int not null constraint granted references public.u,
        by_whom int constraint given references public.u, what text);";

fn rules() -> Vec<Preserved> {
    vec![
        rule("public.grants").only("what <> 'other'").by(&["id"]),
        rule("public.u").only("name like 't%'").by(&["name"]),
    ]
}

async fn two() -> Two {
    let old = format!(
        "{SCHEMA}
        insert into public.u overriding system value values
            (1, 'ann', null, 'old'), (2, 'bob', null, 'old'), (3, 't1', 2, 'old'),
            (4, 't2', 3, 'old'), (5, 'gone', null, 'old'), (6, 't3', 5, 'old');
        select pg_catalog.setval('public.u_id_seq', 60);
        insert into public.grants values
            (101, 3, 2, 'by bob'), (102, 4, 3, 'by t1'), (103, 6, 1, 'of t3'),
            (104, 4, 5, 'by gone'), (105, 1, 1, 'ann''s own'), (106, 1, 1, 'other');"
    );
    let new = format!(
        "{SCHEMA}
        insert into public.u overriding system value values
            (1, 'bob', null, 'new'), (2, 't1', null, 'new'), (3, 'carl', null, 'new'),
            (4, 'ann', null, 'new');
        select pg_catalog.setval('public.u_id_seq', 4);
        insert into public.grants values (1, 3, 3, 'new');"
    );
    Two::with(&old, &new).await
}

#[tokio::test]
async fn references_follow_rows_that_have_another_number() {
    let two = two().await;
    let done = two.put(&rules()).await;
    // t1 is the source's 2, t2 gets a new number, and t3 has a boss who is nowhere.
    assert_eq!(done.counts(1), [3, 1, 1, 0, 1]);
    assert_eq!(done.reasons(1), [("no public.u row for bossed", 1)]);
    assert_eq!(
        two.ask("select u::text from public.u u order by id").await,
        [
            "(1,bob,,new)",
            "(2,t1,1,old)",
            "(3,carl,,new)",
            "(4,ann,,new)",
            "(61,t2,2,old)"
        ]
    );
    assert_eq!(done.counts(0), [5, 3, 0, 0, 2]);
    assert_eq!(
        done.reasons(0),
        [
            ("no public.u row for given", 1),
            ("no public.u row for granted", 1)
        ]
    );
    assert_eq!(
        two.ask("select g::text from public.grants g order by id")
            .await,
        [
            "(1,3,3,new)",
            "(101,2,1,\"by bob\")",
            "(102,61,2,\"by t1\")",
            "(105,4,4,\"ann's own\")"
        ]
    );
    // Once more, and everything is found again.
    let done = two.put(&rules()).await;
    assert_eq!(done.counts(1), [3, 0, 0, 2, 1]);
    assert_eq!(done.counts(0), [5, 0, 0, 3, 2]);
}

#[tokio::test]
async fn where_the_source_stays_references_follow_as_well() {
    let two = two().await;
    let mut rules = rules();
    rules[1].keep = Keep::Source;
    let done = two.put(&rules).await;
    assert_eq!(done.counts(1), [3, 1, 0, 0, 2]);
    assert_eq!(
        two.ask("select g::text from public.grants g where id > 1 order by id")
            .await,
        [
            "(101,2,1,\"by bob\")",
            "(102,61,2,\"by t1\")",
            "(105,4,4,\"ann's own\")"
        ]
    );
}

#[tokio::test]
async fn keys_without_a_sequence_are_made_or_their_rows_left_out() {
    let schema = "
        create table public.a (id uuid primary key, name text unique);
        create table public.b (id int primary key, name text unique);
        create table public.c (a uuid references public.a, b int references public.b);
        create table public.d (a uuid references public.a, primary key (a));";
    let same = "'00000000-0000-0000-0000-000000000001'";
    let old = format!(
        "{schema} insert into public.a values ({same}, 'old');
         insert into public.b values (1, 'old'), (2, 'free');
         insert into public.d values ({same});"
    );
    let new = format!(
        "{schema} insert into public.a values ({same}, 'new'); insert into public.b values (1, 'new')"
    );
    let two = Two::with(&old, &new).await;
    let rules = [
        rule("public.a").by(&["name"]),
        rule("public.b").by(&["name"]),
        rule("public.d"),
    ];
    let done = two.put(&rules).await;
    assert_eq!(done.counts(0), [1, 1, 0, 0, 0]);
    assert_eq!(done.counts(1), [2, 1, 0, 0, 1]);
    assert_eq!(
        done.reasons(1),
        [("another row of the source has its primary key", 1)]
    );
    assert_eq!(done.counts(2), [1, 1, 0, 0, 0]);
    let found = "select name from public.a join public.d on d.a = a.id";
    assert_eq!(two.ask(found).await, ["old"]);
}
