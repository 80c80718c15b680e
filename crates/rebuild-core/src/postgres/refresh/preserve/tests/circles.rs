//! Tables that refer to themselves or to each other.

use super::*;

#[tokio::test]
async fn a_table_that_refers_to_itself_is_put_in_any_order() {
    let schema = "create table public.t (id int primary key, name text check (name <> 'bad'),
        up int constraint above references public.t);";
    let two = Two::with(
        &format!(
            "{schema} alter table public.t drop constraint t_name_check;
             insert into public.t
             select n, case when n in (500, 800) then 'bad' else 'x' end,
                    case when n <> 600 then n + 1 end
               from generate_series(1, 999) n
             union all values (1000, 'top', 1001), (1001, 'new', null)"
        ),
        &format!(
            "{schema} insert into public.t values (700, 'source', null), (450, 'source', null)"
        ),
    )
    .await;
    let done = two.put(&[rule("public.t")]).await;
    // 1 to 449 hang below 450, which stays the source's for it hangs below 500, which is bad.
    // 501 to 600 end in 600. 601 to 699 hang below 700, the source's, for it hangs below 800.
    let rows =
        "select min(id)::text || '-' || max(id)::text || ' ' || count(*)::text || ' ' || name
        from public.t group by name, id < 500, id < 700, id < 800 order by min(id)";
    assert_eq!(
        two.ask(rows).await,
        [
            "1-449 449 x",
            "450-450 1 source",
            "501-699 199 x",
            "700-700 1 source",
            "801-999 199 x",
            "1000-1000 1 top",
            "1001-1001 1 new"
        ]
    );
    assert_eq!(done.counts(0), [1001, 849, 0, 0, 152]);
    assert_eq!(
        done.reasons(0),
        [
            ("check_violation of constraint t_name_check", 2),
            ("no public.t row for above", 150)
        ]
    );
}

const CIRCLE: &str = "
    create table public.team (id serial primary key, name text not null unique, lead int not null);
    create table public.person (id serial primary key, name text not null unique,
        team int not null constraint in_team references public.team, age int);
    alter table public.team add constraint led_by foreign key (lead) references public.person
        deferrable initially deferred;";

#[tokio::test]
async fn two_tables_that_refer_to_each_other_are_put_together() {
    let old = format!(
        "{CIRCLE} begin;
         insert into public.team values (1, 'red', 2), (2, 'blue', 1), (3, 'green', 3), (4, 'grey', 4);
         insert into public.person values (1, 'ann', 1, 5), (2, 'bob', 2, 5), (3, 'old', 3, 500),
            (4, 'carl', 4, 5), (5, 'dora', 3, 5);
         commit"
    );
    let new = format!(
        "{CIRCLE} alter table public.person add check (age < 100); begin;
         insert into public.team values (1, 'grey', 1), (2, 'pink', 1);
         insert into public.person values (1, 'zoe', 1, 1), (2, 'carl', 2, 1);
         commit"
    );
    let two = Two::with(&old, &new).await;
    let rules = [
        rule("public.person").by(&["name"]),
        rule("public.team").by(&["name"]),
    ];
    let done = two.put(&rules).await;
    // The green team has a lead who is too old, so it is left out, and who is in it as well.
    assert_eq!(done.counts(0), [5, 2, 1, 0, 2]);
    assert_eq!(done.counts(1), [4, 2, 1, 0, 1]);
    assert_eq!(done.reasons(1), [("no public.person row for led_by", 1)]);
    let rows = "select pg_catalog.concat_ws(' ', t.name, l.name, pg_catalog.string_agg(p.name, ',' order by p.name))
        from public.team t join public.person l on l.id = t.lead
        left join public.person p on p.team = t.id group by t.name, l.name order by t.name";
    assert_eq!(
        two.ask(rows).await,
        [
            "blue ann bob",
            "grey carl carl,zoe",
            "pink zoe",
            "red bob ann"
        ]
    );
    let done = two.put(&rules).await;
    assert_eq!(done.counts(0), [5, 0, 0, 3, 2]);
    assert_eq!(done.counts(1), [4, 0, 0, 3, 1]);
}

#[tokio::test]
async fn what_tells_rows_apart_may_not_move_in_a_circle() {
    let schema = "create table public.t (id serial primary key, name text,
        up int references public.t, unique (up, name));";
    let two = Two::with(schema, schema).await;
    let rules = [rule("public.t").by(&["name", "up"])];
    let outline = two.look(&rules).await;
    assert!(outline.problems[0].contains("in a circle"), "{outline:?}");
    assert!(two.refused(&rules).await.contains("in a circle"));
}

#[tokio::test]
async fn a_number_that_is_another_rows_now_is_not_referred_to() {
    let schema = "create table public.t (id serial primary key, name text unique,
        up int constraint above references public.t);";
    let two = Two::with(
        &format!(
            "{schema} insert into public.t values (5, 'other', null), (1, 'lost', 5), (6, 'below', 1)"
        ),
        &format!("{schema} insert into public.t values (1, 'stranger', null)"),
    )
    .await;
    let done = two
        .put(&[rule("public.t").only("name <> 'other'").by(&["name"])])
        .await;
    assert_eq!(done.counts(0), [2, 0, 0, 0, 2]);
    assert_eq!(done.reasons(0), [("no public.t row for above", 2)]);
}
