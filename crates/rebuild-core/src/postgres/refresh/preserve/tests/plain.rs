//! Rows whose primary key is the same on both sides.

use super::*;

const OLD: &str = "
    create table public.app_user (id serial primary key, username text not null unique,
        is_test boolean not null, theme text, legacy int);
    create table public.caseload (code text primary key);
    create table public.assignment (user_id int references public.app_user,
        code text references public.caseload, primary key (user_id, code));
    insert into public.app_user values (1, 'ann', false, 'dark', 1), (2, 'tester', true, 'light', 2),
        (70, 'tester2', true, null, 3);
    select pg_catalog.setval('public.app_user_id_seq', 90);
    insert into public.caseload values ('A'), ('ONLYHERE');
    insert into public.assignment values (1, 'A'), (2, 'A'), (70, 'A'), (70, 'ONLYHERE');";

const NEW: &str = "
    create table public.caseload (code text primary key, label text default 'none');
    create table public.app_user (created date default '2020-01-01', theme varchar(20),
        username text not null unique, id serial primary key, is_test boolean not null);
    create table public.assignment (user_id int constraint assigned references public.app_user,
        code text constraint cased references public.caseload, primary key (user_id, code));
    create table public.extra (id int primary key, user_id int references public.app_user);
    insert into public.app_user (id, username, is_test, theme)
        values (1, 'ann', false, 'blue'), (2, 'tester', true, 'blue'), (3, 'bob', false, 'red');
    select pg_catalog.setval('public.app_user_id_seq', 3);
    insert into public.caseload values ('A'), ('B');
    insert into public.extra values (1, 2);
    insert into public.assignment values (1, 'B'), (2, 'A');";

fn rules() -> Vec<Preserved> {
    vec![
        rule("public.assignment").only("user_id >= 2 -- testers"),
        rule("public.app_user").only("is_test"),
    ]
}

#[tokio::test]
async fn users_outlive_a_refresh_with_their_assignments() {
    let two = Two::with(OLD, NEW).await;
    let outline = two.look(&rules()).await;
    assert_eq!(outline.problems, Vec::<String>::new());
    assert_eq!(outline.notes.len(), 3, "{:?}", outline.notes);
    let done = two.put(&rules()).await;
    assert_eq!(done.counts(0), [3, 1, 0, 1, 1]);
    assert_eq!(done.reasons(0), [("no public.caseload row for cased", 1)]);
    assert_eq!(done.counts(1), [2, 1, 1, 0, 0]);
    assert_eq!(
        done.left_out,
        [(
            "public.assignment".to_owned(),
            "{\"user_id\" : 70, \"code\" : \"ONLYHERE\"}".to_owned(),
            "no public.caseload row for cased".to_owned()
        )]
    );
    assert_eq!(
        two.ask("select u::text from public.app_user u order by id")
            .await,
        [
            "(2020-01-01,blue,ann,1,f)",
            "(2020-01-01,light,tester,2,t)",
            "(2020-01-01,red,bob,3,f)",
            "(2020-01-01,,tester2,70,t)"
        ]
    );
    assert_eq!(
        two.ask("select a::text from public.assignment a order by 1")
            .await,
        ["(1,B)", "(2,A)", "(70,A)"]
    );
    let next = "select pg_catalog.nextval('public.app_user_id_seq')::text";
    assert_eq!(two.ask(next).await, ["91"]);
}

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let two = Two::with(OLD, NEW).await;
    two.put(&rules()).await;
    let rows = "select x::text from (
        select u::text, u.ctid::text from public.app_user u
        union all select a::text, a.ctid::text from public.assignment a) x order by 1";
    let before = two.ask(rows).await;
    let done = two.put(&rules()).await;
    assert_eq!(done.counts(0), [3, 0, 0, 2, 1]);
    assert_eq!(done.counts(1), [2, 0, 0, 2, 0]);
    assert_eq!(two.ask(rows).await, before);
}

#[tokio::test]
async fn the_source_keeps_its_rows_where_it_should() {
    let two = Two::with(OLD, NEW).await;
    let rules = [rule("public.app_user").only("is_test").source()];
    let done = two.put(&rules).await;
    assert_eq!(done.counts(0), [2, 1, 0, 0, 1]);
    assert_eq!(done.reasons(0), [("the source has this row", 1)]);
    let theme = "select theme::text from public.app_user where id = 2";
    assert_eq!(two.ask(theme).await, ["blue"]);
}

#[tokio::test]
async fn no_rule_and_no_row_are_nothing() {
    let two = Two::with(OLD, NEW).await;
    assert!(two.put(&[]).await.put.tables.is_empty());
    let done = two.put(&[rule("public.app_user").only("false")]).await;
    assert_eq!(done.counts(0), [0; 5]);
}
