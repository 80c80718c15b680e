//! Foreign keys that the rows prove are not looked up again, and hold from then on.

use super::*;

const KEYED: &str = "
    create table parent (id int primary key, above int references parent);
    create table child (id int primary key, parent_id int constraint to_parent references parent
        on delete restrict deferrable initially deferred);
    create table loose (parent_id int);
    create table parts (id int, parent_id int references parent) partition by range (id);
    create table part_1 partition of parts for values from (0) to (100);
    insert into parent values (1, null), (2, 1);
    insert into child values (1, 2);
    insert into parts values (1, 1);
    insert into loose values (7);
    alter table loose add constraint unchecked foreign key (parent_id) references parent not valid";

/// What a superuser may do to a table, and some have done.
const ORPHAN: &str = "
    set session_replication_role = replica;
    insert into child values (2, 99);
    set session_replication_role = origin";

#[tokio::test]
async fn rows_that_came_back_as_they_were_are_not_looked_up_again() {
    let world = World::new().await;
    let (of, id, db) = world.ready(&format!("{KEYED};{ORPHAN}")).await;
    world.restore(&world.restorer(true), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    let (before, after) = (world.dump(&of).await, world.dump(&db).await);
    assert!(before == after, "{}", difference(&before, &after));

    let session = world.inside(&db).await;
    let unchecked = "select string_agg(conname, ',') from pg_catalog.pg_constraint
                      where contype = 'f' and not convalidated";
    assert_eq!(text(&session, unchecked).await, "unchecked");
    // What RESTRICT forbids has a code of its own since 18.
    let restricted = ["23503", "23001"][usize::from(world.cluster.major() >= 18)];
    for (broken, code) in [
        ("insert into public.child values (3, 98)", "23503"),
        ("update public.parent set above = 97 where id = 2", "23503"),
        ("insert into public.parts values (2, 96)", "23503"),
        ("delete from public.parent where id = 2", restricted),
    ] {
        let done = session.batch_execute(broken).await;
        let error = done.expect_err(broken);
        assert_eq!(error.code().map(|c| c.code()), Some(code), "{broken}");
    }
}

#[tokio::test]
async fn rows_that_go_into_another_schema_are_looked_up() {
    let world = World::new().await;
    let (_, of) = world.source(&format!("{KEYED};{ORPHAN}")).await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let sql = format!("set search_path = public; {KEYED}");
    session.batch_execute(&sql).await.expect("a schema");
    let error = world.refused(&world.restorer(false), &db, &id).await;
    assert!(error.chain().contains("\"to_parent\""), "{}", error.chain());
}

#[tokio::test]
async fn whoever_is_no_superuser_has_them_looked_up() {
    let world = World::new().await;
    let (source, of) = world.source("create role plain login createdb").await;
    let session = Session::open(&source, "test").await.expect("session");
    let name = crate::postgres::ident(&of.name).expect("a name");
    let owned = format!(
        "alter database {name} owner to plain; alter schema public owner to plain;
         set role plain; set search_path = public; {KEYED}; reset role; {ORPHAN}"
    );
    session.batch_execute(&owned).await.expect("the source");
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let mut plain = world.admin();
    plain.user = "plain".to_owned();
    let mut schema = world.schema();
    schema.endpoint = plain.clone();
    let applied = schema.apply(&world.ctx, &db, &id).await;
    applied.expect("the schema");
    let mut restorer = world.restorer(true);
    restorer.endpoint = plain;
    let error = world.refused(&restorer, &db, &id).await;
    assert!(error.chain().contains("\"to_parent\""), "{}", error.chain());
}

#[tokio::test]
async fn rows_are_loaded_frozen_where_one_transaction_loads_a_table() {
    let world = World::new().await;
    let sql = "create table t (id int primary key, v text);
               insert into t select n, repeat('x', 100) from generate_series(1, 2000) n";
    let (_, id, db) = world.ready(sql).await;
    let mut restorer = world.restorer(true);
    restorer.options.whole_bytes = RowOptions::default().whole_bytes;
    world.restore(&restorer, &db, &id).await;
    let session = world.inside(&db).await;
    let make = "create extension pg_visibility schema public";
    session.batch_execute(make).await.expect("an extension");
    let frozen = "select (all_frozen > 20 and all_frozen = all_visible)::text
                    from public.pg_visibility_map_summary('public.t')";
    // Before 14 the rows are frozen, and their pages do not say so yet.
    let expected = (world.cluster.major() >= 14).to_string();
    assert_eq!(text(&session, frozen).await, expected);
}
