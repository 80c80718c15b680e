//! Rows that differ from a backup, named by their keys.

use super::*;
use crate::postgres::verify::BackedUp;
use crate::postgres::{FreeSpace, PgComparison};

const SCHEMA: &str = "
    create type mood as enum ('low', 'high');
    create domain short as text check (length(value) < 20);
    create table plain (id int primary key, mood mood, name short, at timestamptz, many int[],
                        twice int generated always as (id * 2) stored);
    insert into plain select n, 'low', 'p' || n, '2001-01-01'::timestamptz + n * interval '1 day',
                             array[n, null]
                        from generate_series(1, 3000) n;
    create table exact (place point, a int, b text, primary key (b, a));
    insert into exact select point(n, n / 3.0), n, E'tab\\t' || n from generate_series(1, 500) n;
    create table split (n int primary key, x text) partition by range (n);
    create table low partition of split for values from (0) to (500);
    create table high partition of split for values from (500) to (1000);
    insert into split select n, 'x' from generate_series(0, 999) n;
    create table keyless (x int);
    insert into keyless values (1);
    create table same (id int primary key);
    insert into same values (1);
    create table gone (id int primary key);
    insert into gone values (1);
    create table typed (id int primary key, v int);
    insert into typed select n, n from generate_series(1, 10) n";

fn naming_rows(restorer: PgRestorer) -> PgComparison {
    PgComparison {
        restorer,
        crew: None,
        name_rows: true,
    }
}

/// What is said of each table that differs.
async fn differing(world: &World, db: &Identity, id: &BackupId) -> Vec<String> {
    let named = naming_rows(world.restorer(true));
    let report = named.differences(&world.ctx, db, id, &|_| false).await;
    let mut said = report.expect("compared").differing;
    said.sort();
    said
}

#[tokio::test]
async fn rows_that_differ_from_a_backup_are_named_by_their_keys() {
    let world = World::new().await;
    let (_, of) = world.source(SCHEMA).await;
    let id = world.take(&of).await;
    assert_eq!(differing(&world, &of, &id).await, Vec::<String>::new());
    let change = "
        update public.plain set many[2] = 7 where id = 2999;
        delete from public.plain where id in (1, 30);
        insert into public.plain (id) values (-5);
        update public.exact set place = '(0,0)' where a = 7;
        update public.split set n = 600, x = 'moved' where n = 600;
        delete from public.split where n = 3;
        insert into public.keyless values (1);
        alter table public.typed alter v type text;
        delete from public.typed where id = 10;
        drop table public.gone";
    let session = world.inside(&of).await;
    session.batch_execute(change).await.expect("changed");
    // As a database is that is set aside.
    let closed = format!(
        "alter database {} set default_transaction_read_only = on",
        crate::postgres::ident(&of.name).expect("a name")
    );
    session.batch_execute(&closed).await.expect("read only");
    session.close().await;
    assert_eq!(
        differing(&world, &of, &id).await,
        [
            "public.exact has other rows than the backup (by b, a: 0 only in the backup, 0 only in the \
             database, 1 changed\n    ~ tab\\t7, 7)",
            "public.high has other rows than the backup (by n: 0 only in the backup, 0 only in the \
             database, 1 changed\n    ~ 600)",
            "public.keyless has 2 rows, and the backup 1 (it has no primary key that both have)",
            "public.low has 499 rows, and the backup 500 (by n: 1 only in the backup, 0 only in the \
             database, 0 changed\n    - 3)",
            "public.plain has 2999 rows, and the backup 3000 (by id: 2 only in the backup, 1 only in the \
             database, 1 changed\n    + -5\n    - 1\n    ~ 2999\n    - 30)",
            "public.typed has 9 rows, and the backup 10 (by id: 1 only in the backup, 0 only in the \
             database, 0 changed\n    - 10)",
            "table public.gone (1 rows) is not there",
        ]
    );
    // Nothing of it stays.
    let session = world.inside(&of).await;
    let left = "select count(*) from pg_catalog.pg_class where relname = 'rebuild_then'";
    let left = session.query_one(left, &[]).await.expect("counted");
    assert_eq!(left.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn without_room_for_them_rows_are_not_named() {
    let world = World::new().await;
    let (_, of) = world.source(SCHEMA).await;
    let id = world.take(&of).await;
    let session = world.inside(&of).await;
    let change = "delete from public.plain where id = 1";
    session.batch_execute(change).await.expect("changed");
    let mut restorer = world.restorer(true);
    restorer.options.free_space = FreeSpace::told_by(|_| Some(1));
    let named = naming_rows(restorer);
    let report = named.differences(&world.ctx, &of, &id, &|_| false).await;
    let said = report.expect("compared").differing;
    assert_eq!(said.len(), 1);
    for part in [
        "public.plain has 2999 rows, and the backup 3000 (its rows could not be named: ",
        "loading public.plain to compare it",
    ] {
        assert!(said[0].contains(part), "{said:?}");
    }
}

#[tokio::test]
async fn what_the_backup_does_not_have_is_named_where_its_schema_is_the_databases() {
    let world = World::new().await;
    let (_, of) = world.source("create table t (id int primary key)").await;
    let id = world.take(&of).await;
    let session = world.inside(&of).await;
    let more = "create table public.later (id int); insert into public.later values (1);
                create table public.empty (id int);
                create table public.split (id int) partition by range (id);
                create table public.part partition of public.split for values from (0) to (9);
                insert into public.split values (1);
                alter table public.t add column more text";
    session.batch_execute(more).await.expect("more");
    assert_eq!(
        differing(&world, &of, &id).await,
        [
            "public.later has rows, and is not in the backup",
            "public.part has rows, and is not in the backup",
            "public.t has a column more, which is not in the backup",
        ]
    );
    let newer = naming_rows(world.restorer(false));
    let report = newer.differences(&world.ctx, &of, &id, &|_| false).await;
    assert_eq!(report.expect("compared").differing, Vec::<String>::new());
    let excepted = naming_rows(world.restorer(true));
    let except = |table: &TableName| table.name != "later";
    let report = excepted.differences(&world.ctx, &of, &id, &except).await;
    assert_eq!(report.expect("compared").differing.len(), 1);
}
