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
