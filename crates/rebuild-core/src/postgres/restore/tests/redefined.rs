//! Rows that go into a schema whose names mean something else than they did.

use super::*;
use crate::postgres::BackedUp;

impl World {
    /// A backup of what `then` makes, and a database that `now` has made, with a session in it.
    async fn changed(&self, then: &str, now: &str) -> (BackupId, Identity, Session) {
        let (_, of) = self.source(then).await;
        let id = self.take(&of).await;
        let db = self.staged(&of).await;
        let session = self.inside(&db).await;
        let now = format!("set search_path = public; {now}; set search_path = ''");
        session.batch_execute(&now).await.expect("the new schema");
        (id, db, session)
    }
}

#[tokio::test]
async fn a_domain_of_another_base_is_read_as_what_it_was() {
    let world = World::new().await;
    let then = "create domain amount as bigint; create table t (id int primary key, v amount);
                insert into t values (1, 42), (2, -100000)";
    let now = "create domain amount as double precision;
               create table t (id int primary key, v amount)";
    let (id, db, session) = world.changed(then, now).await;
    let restorer = world.restorer(false);
    world.restore(&restorer, &db, &id).await;
    let values = "select string_agg(v::text, ' ' order by id) from public.t";
    assert_eq!(text(&session, values).await, "42 -100000");
    let compared = async || {
        let compared = restorer.differences(&world.ctx, &db, &id, &|_| false);
        compared.await.expect("compared").differing
    };
    assert_eq!(compared().await, Vec::<String>::new());
    let bent = "update public.t set v = 2.08e-322 where id = 1";
    session.batch_execute(bent).await.expect("bent");
    assert_eq!(compared().await.len(), 1);
}

#[tokio::test]
async fn sequences_that_the_schema_lacks_are_told() {
    let mut world = World::new().await;
    let then = "create sequence invoice start 1000; create sequence unused; create sequence kept;
                select nextval('invoice'), nextval('invoice'), nextval('kept')";
    let (id, db, session) = world.changed(then, "create sequence kept").await;
    let seen = world.told();
    world.restore(&world.restorer(false), &db, &id).await;
    let told = format!("{:?}", seen.events());
    let why = "the new schema lacks sequences of the backup, whose values stay in it: public.invoice (at 1001)\"";
    assert!(told.contains(why), "{told}");
    let kept = "select nextval('public.kept')::text";
    assert_eq!(text(&session, kept).await, "2");
}

#[tokio::test]
async fn rules_leave_the_rows_of_a_backup_alone() {
    let world = World::new().await;
    let then = "create table t (id int primary key, v int); create table log (id int);
                insert into t values (1, 1), (2, 2)";
    let now = "create table t (id int primary key, v bigint); create table log (id int);
               create rule also as on insert to t do also insert into log values (new.id);
               create rule twice as on insert to t where new.id = 2 do instead nothing;
               alter table t enable always rule also;
               create rule off as on delete to t do instead nothing;
               alter table t disable rule off";
    let (id, db, session) = world.changed(then, now).await;
    world.restore(&world.restorer(false), &db, &id).await;
    let found =
        "select (select count(*) from public.t) || ' ' || (select count(*) from public.log)";
    assert_eq!(text(&session, found).await, "2 0");
    let rules = "select string_agg(rulename || ' ' || ev_enabled::text, ', ' order by rulename)
                   from pg_catalog.pg_rewrite where ev_class = 'public.t'::regclass";
    assert_eq!(text(&session, rules).await, "also A, off D, twice O");
}

#[tokio::test]
async fn a_schema_that_is_called_like_ours_may_be_somebody_elses() {
    let world = World::new().await;
    let then = "create schema rebuild; create table rebuild.jobs (id int);
                insert into rebuild.jobs values (1), (2)";
    let (id, db, session) = world
        .changed(then, "create table public.other (id int)")
        .await;
    let refused = world.refused(&world.restorer(false), &db, &id).await;
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused:?}");
    assert!(
        refused.to_string().contains("table rebuild.jobs (2 rows)"),
        "{refused}"
    );
    let made = "create schema rebuild; create table rebuild.jobs (id int)";
    session.batch_execute(made).await.expect("it has a place");
    world.restore(&world.restorer(false), &db, &id).await;
    let count = "select count(*)::text from rebuild.jobs";
    assert_eq!(text(&session, count).await, "2");
}

#[tokio::test]
async fn a_partitioned_table_stands_for_its_partitions() {
    let world = World::new().await;
    let sql = "create table orders (id int) partition by range (id);
               create table orders_1 partition of orders for values from (0) to (100);
               create table other (id int);
               insert into orders select generate_series(1, 50); insert into other values (1)";
    let (_, id, db) = world.ready(sql).await;
    let mut restorer = world.restorer(true);
    let patterns = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        TablePatterns::compile(&names).expect("patterns")
    };
    restorer.choice.tables = patterns(&["public.orders", "public.typo"]);
    let refused = world.refused(&restorer, &db, &id).await;
    let why = "restore.tables: public.typo matches none of";
    assert!(refused.to_string().contains(why), "{refused}");
    restorer.choice.tables = patterns(&["public.orders"]);
    assert_eq!(world.restore(&restorer, &db, &id).await.rows, 50);
    let session = world.inside(&db).await;
    let count =
        "select (select count(*) from public.orders) || ' ' || (select count(*) from public.other)";
    assert_eq!(text(&session, count).await, "50 0");
}

#[tokio::test]
async fn attributes_in_another_order_are_no_place_for_what_was_written_by_place() {
    let world = World::new().await;
    let then = "create type span as (low int, high int);
                create domain checked as span check ((value).low > 0);
                create table t (id int primary key, v span, many span[], c checked);
                insert into t values (1, row(1, 9), array[row(2, 3)::span], row(4, 5))";
    let now = "create type span as (high int, low int);
               create domain checked as span check ((value).low > 0);
               create table t (id int primary key, v span, many span[], c checked)";
    let (id, db, session) = world.changed(then, now).await;
    let mut restorer = world.restorer(false);
    let refused = world.refused(&restorer, &db, &id).await;
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused:?}");
    for column in ["v", "many", "c"] {
        let why = format!(
            "column public.t.{column} (1 rows; the attributes of its type were low, high, and are high, low)"
        );
        assert!(refused.to_string().contains(&why), "{refused}");
    }
    let columns = ["v", "many", "c"].map(|c| format!("public.t.{c}"));
    restorer.choice.may_drop = TablePatterns::with_columns(&columns).expect("patterns");
    world.restore(&restorer, &db, &id).await;
    let left = "select count(*) || ' ' || count(v) from public.t";
    assert_eq!(text(&session, left).await, "1 0");
    let compared = restorer.differences(&world.ctx, &db, &id, &|_| false);
    let differing = compared.await.expect("compared").differing;
    assert_eq!(differing, Vec::<String>::new(), "it may be left behind");
}

#[tokio::test]
async fn attributes_of_another_type_are_compared_by_value() {
    let world = World::new().await;
    let then = "create type price as (amount numeric(10,2), unit text);
                create table t (id int primary key, v price);
                insert into t values (1, row(1.25, 'EUR')), (2, row(1.5, 'EUR'))";
    let now = "create type price as (amount numeric(10,1), unit text);
               create table t (id int primary key, v price)";
    let (id, db, session) = world.changed(then, now).await;
    let restorer = world.restorer(false);
    world.restore(&restorer, &db, &id).await;
    let values = "select string_agg(v::text, ' ' order by id) from public.t";
    assert_eq!(text(&session, values).await, "(1.3,EUR) (1.5,EUR)");
    let compared = restorer.differences(&world.ctx, &db, &id, &|_| false);
    let differing = compared.await.expect("compared").differing;
    assert!(differing.len() == 1, "{differing:?}");
}

#[tokio::test]
async fn a_domain_of_another_precision_is_compared_by_value() {
    let world = World::new().await;
    let then = "create domain price as numeric(10,2); create domain code as varchar(10);
                create table exact (id int primary key, v price, c code);
                create table rounded (id int primary key, v price);
                insert into exact values (1, 1.50, 'abc'), (2, 2.00, null);
                insert into rounded values (1, 1.25)";
    let now = "create domain price as numeric(10,1); create domain code as varchar(20);
               create table exact (id int primary key, v numeric(10,4), c code);
               create table rounded (id int primary key, v price)";
    let (id, db, session) = world.changed(then, now).await;
    let restorer = world.restorer(false);
    world.restore(&restorer, &db, &id).await;
    let values = "select v::text from public.rounded";
    assert_eq!(text(&session, values).await, "1.3", "PostgreSQL rounds");
    let compared = async || {
        let compared = restorer.differences(&world.ctx, &db, &id, &|_| false);
        compared.await.expect("compared").differing
    };
    let differing = compared().await;
    assert!(
        differing.len() == 1 && differing[0].contains("public.rounded"),
        "{differing:?}"
    );
    let longer = "update public.exact set c = 'abcdefghijkl' where id = 1";
    session.batch_execute(longer).await.expect("longer");
    assert_eq!(compared().await.len(), 2);
}

#[tokio::test]
async fn a_generated_column_that_is_plain_now_has_nothing_to_be_filled_with() {
    let world = World::new().await;
    let then =
        "create table t (id int primary key, n int, twice int generated always as (n * 2) stored);
                create table none (id int, one int generated always as (1) stored);
                insert into t values (1, 21)";
    let now = "create table t (id int primary key, n int, twice int);
               create table none (id int, one int)";
    let (id, db, session) = world.changed(then, now).await;
    let mut restorer = world.restorer(false);
    let refused = world.refused(&restorer, &db, &id).await;
    let why = "column public.t.twice (1 rows; it was generated, and a backup has no values of generated columns)";
    assert!(refused.to_string().contains(why), "{refused}");
    assert!(!refused.to_string().contains("none"), "{refused}");
    let columns = ["public.t.twice".to_owned()];
    restorer.choice.may_drop = TablePatterns::with_columns(&columns).expect("patterns");
    world.restore(&restorer, &db, &id).await;
    let row = "select n || ' ' || coalesce(twice::text, 'null') from public.t";
    assert_eq!(text(&session, row).await, "21 null");
}
