//! Rows that find their place in another schema, and data that has none.

use super::*;
use crate::postgres::BackedUp;

const SHOP: &str = "
    create table customer (id int primary key, name text not null, legacy text);
    create table orders (
        id int generated always as identity primary key,
        customer_id int not null references customer (id),
        amount int, placed date, state text);
    create table empty_one (id int);
    create table alembic_version (version_num text primary key);
    insert into alembic_version values ('old');
    insert into customer select n, 'customer ' || n, null from generate_series(1, 2000) n;
    insert into orders (customer_id, amount, placed, state)
        select 1 + n % 2000, n, '2026-01-01'::date + n % 100, case when n % 2 = 0 then 'paid' end
          from generate_series(1, 5000) n";

const NEWER: &str = "
    create schema sales;
    create table customer (id bigint primary key, name varchar(40) not null,
        since timestamptz not null default '2026-01-01 00:00:00+00');
    create table orders (
        id bigint generated always as identity primary key,
        customer_id bigint not null, amount numeric(12, 2), placed timestamp, state text,
        constraint to_customer foreign key (customer_id) references customer (id)
            on delete cascade deferrable initially deferred);
    comment on constraint to_customer on orders is 'it''s a key';
    create index on orders (placed);
    create table audit (n bigint);
    create function noted() returns trigger language plpgsql as
        $$ begin insert into public.audit values (1); return new; end $$;
    create trigger a after insert on orders for each row execute function noted();
    create trigger b after insert on orders for each row execute function noted();
    alter table orders enable always trigger b;
    create trigger c after insert on orders for each row execute function noted();
    alter table orders disable trigger c;
    create table alembic_version (version_num text primary key);
    insert into alembic_version values ('new');
    insert into customer values (1, 'a seed', now());
    create materialized view totals as
        select customer_id, sum(amount) as total from orders group by customer_id";

#[tokio::test]
async fn rows_find_their_place_in_a_newer_schema() {
    let world = World::new().await;
    let (_, of) = world.source(SHOP).await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let newer = format!("set search_path = public; {NEWER}; set search_path = ''");
    session
        .batch_execute(&newer)
        .await
        .expect("the newer schema");
    let schema = world.dump(&db).await;

    let restorer = world.restorer(false);
    let outline = restorer
        .outline(&world.ctx, &db, &id)
        .await
        .expect("outline");
    assert_eq!(
        outline.unplaced,
        [],
        "nothing was in the column that is gone, or the table"
    );
    assert_eq!(
        outline.new_columns,
        [(TableName::new("public", "customer"), "since".to_owned())]
    );
    let report = world.restore(&restorer, &db, &id).await;
    assert_eq!(report.rows, 7000);

    for (sql, expected) in [
        ("select count(*)::text from public.customer", "2000"),
        (
            "select name from public.customer where id = 1",
            "customer 1",
        ),
        (
            "select since::text from public.customer where id = 7",
            "2026-01-01 00:00:00+00",
        ),
        ("select sum(amount)::text from public.orders", "12502500.00"),
        (
            "select placed::text from public.orders where id = 2",
            "2026-01-03 00:00:00",
        ),
        ("select count(*)::text from public.audit", "0"),
        ("select version_num from public.alembic_version", "new"),
        ("select count(*)::text from public.totals", "2000"),
        ("select nextval('public.orders_id_seq')::text", "5001"),
    ] {
        assert_eq!(text(&session, sql).await, expected, "{sql}");
    }
    let after = world.dump(&db).await;
    assert!(schema == after, "{}", difference(&schema, &after));
}

#[tokio::test]
async fn data_without_a_place_is_a_refusal_unless_it_is_allowed() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table kept (id int, gone text, also_gone int);
             create table lost (id int);
             insert into kept values (1, 'x', null), (2, null, null);
             insert into lost values (1), (2), (3)",
        )
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    session
        .batch_execute("create table public.kept (id int)")
        .await
        .expect("a smaller schema");
    let mut restorer = world.restorer(false);
    let error = world.refused(&restorer, &db, &id).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("column public.kept.gone (1 rows"),
        "{error}"
    );
    assert!(
        error.to_string().contains("table public.lost (3 rows)"),
        "{error}"
    );
    assert!(!error.to_string().contains("also_gone"), "{error}");

    restorer.choice.tables = TablePatterns::compile(&["kept.*".to_owned()]).expect("patterns");
    let error = world.refused(&restorer, &db, &id).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("matches none of"), "{error}");
    restorer.choice.tables = TablePatterns::default();

    let allowed = ["public.lost".to_owned(), "public.kept.gone".to_owned()];
    restorer.choice.may_drop = TablePatterns::with_columns(&allowed).expect("patterns");
    let report = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect("restored");
    assert_eq!((report.rows, report.left_out.len()), (2, 2));
    assert_eq!(
        text(
            &session,
            "select string_agg(id::text, ',' order by id) from public.kept"
        )
        .await,
        "1,2"
    );
}

/// The older of two materialised views may read the newer one, through a view that was replaced.
#[tokio::test]
async fn views_are_refreshed_after_what_they_read_whichever_came_first() {
    let world = World::new().await;
    let views = "
        create view through as select 0 as n;
        create materialized view a as select n from through;
        create materialized view b as select count(*)::int as n from t;
        create or replace view through as select n from b";
    let table = "create table t (id int primary key)";
    let (_, of) = world
        .source(&format!(
            "{table}; insert into t values (1), (2); {views}; refresh materialized view a"
        ))
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let schema = views.replace(" from through;", " from through with no data;");
    let schema = schema.replace(" from t;", " from t with no data;");
    let schema = format!("set search_path = public; {table}; {schema}; set search_path = ''");
    session.batch_execute(&schema).await.expect("the schema");
    world.restore(&world.restorer(false), &db, &id).await;
    let read = "select n::text from public.a";
    assert_eq!(text(&session, read).await, "2");
}

const TYPED: &str = "
    create type mood as enum ('low', 'high');
    create table typed (
        id int primary key, amount int, at date, name varchar(40), code char(6), flags bit(5),
        mood mood, many int[], note text);
    insert into typed
        select n, n, '2026-01-01'::date + n, 'name ' || n, 'c' || n, n::bit(5), 'high',
               array[n, null, n + 1], 'x'
          from generate_series(1, 300) n;
    create table fewer (id int, gone text, also text, n int);
    insert into fewer select n, 'gone ' || n, null, -n from generate_series(1, 300) n";

const RETYPED: &str = "
    create table public.typed (
        id bigint primary key, amount numeric(12, 2), at timestamp, name text, code text,
        flags bit varying(8), mood text, many bigint[], since int default 7, note varchar(10));
    create table public.fewer (n int, id int)";

#[tokio::test]
async fn what_a_changed_table_keeps_is_compared_value_by_value() {
    let world = World::new().await;
    let (_, of) = world.source(TYPED).await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    session.batch_execute(RETYPED).await.expect("retyped");
    let mut restorer = world.restorer(false);
    let gone = ["public.fewer.gone".to_owned()];
    restorer.choice.may_drop = TablePatterns::with_columns(&gone).expect("patterns");
    world.restore(&restorer, &db, &id).await;
    for (sql, expected) in [
        (
            "select concat_ws('|', code, flags, mood, many) from public.typed where id = 299",
            "c299|01011|high|{299,NULL,300}",
        ),
        ("select sum(n)::text from public.fewer", "-45150"),
    ] {
        assert_eq!(text(&session, sql).await, expected, "{sql}");
    }

    let differing = async || {
        let except = |_: &TableName| false;
        let report = restorer.differences(&world.ctx, &db, &id, &except).await;
        report.expect("compared").differing
    };
    assert_eq!(differing().await, Vec::<String>::new());
    let types = "amount as integer, at as date, code as character(6), flags as bit(5), id as integer, \
                 many as integer[], mood as text, name as character varying, note as text";
    for (damage, undo, said) in [
        (
            "update public.fewer set n = n + 1 where id = 7",
            "update public.fewer set n = n - 1 where id = 7",
            "public.fewer has other rows than the backup".to_owned(),
        ),
        (
            "update public.typed set amount = amount + 1 where id = 7",
            "update public.typed set amount = amount - 1 where id = 7",
            format!("public.typed has other rows than the backup with {types}, as it was"),
        ),
        (
            "update public.typed set many[2] = 5000000000 where id = 7",
            "update public.typed set many[2] = null where id = 7",
            format!("public.typed cannot be read with {types}, as it was: "),
        ),
    ] {
        session.batch_execute(damage).await.expect("damaged");
        let found = differing().await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&said), "{found:?}");
        session.batch_execute(undo).await.expect("undone");
    }
    assert_eq!(differing().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_value_that_its_new_type_cannot_hold_is_refused_and_never_cut_off() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table cut (id int primary key, v varchar(20), c char(8), b bit varying(8));
             insert into cut values (1, 'abcdefgh', 'abcdef', '10101')",
        )
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    for (columns, said) in [
        (
            "v varchar(5), c text, b bit varying",
            "value too long for type character varying(5)",
        ),
        (
            "v text, c char(5), b bit varying",
            "value too long for type character(5)",
        ),
        (
            "v text, c text, b bit(4)",
            "bit string length 5 does not match type bit(4)",
        ),
    ] {
        let narrow = format!(
            "drop table if exists public.cut;
             create table public.cut (id bigint primary key, {columns})"
        );
        session.batch_execute(&narrow).await.expect("narrow");
        let error = world.refused(&world.restorer(false), &db, &id).await;
        assert!(error.chain().contains(said), "{}", error.chain());
        let count = text(&session, "select count(*)::text from public.cut").await;
        assert_eq!(count, "0");
    }
}
