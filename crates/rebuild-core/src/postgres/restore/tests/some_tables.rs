//! Restores of some tables alone.

use super::*;
use crate::postgres::BackedUp;

const KEYED: &str = "
    create table parent (id int primary key);
    create table child (id int primary key, parent_id int,
        constraint child_to_parent foreign key (parent_id) references parent (id));
    create table other (id int);
    insert into parent select generate_series(1, 10);
    insert into child select n, n from generate_series(1, 10) n;
    insert into other values (1)";

#[tokio::test]
async fn some_tables_come_back_if_their_keys_hold() {
    let world = World::new().await;
    let (_, id, db) = world.ready(KEYED).await;
    let mut restorer = world.restorer(true);
    let only = |pattern: &str| TablePatterns::compile(&[pattern.to_owned()]).expect("a pattern");
    restorer.choice.tables = only("public.child");
    let error = world.refused(&restorer, &db, &id).await;
    let chain = error.chain();
    assert!(chain.contains("does not hold"), "{chain}");
    assert!(chain.contains("\"child_to_parent\""), "{chain}");
    assert!(error.advice().is_some_and(|a| a.contains("refers to")));

    let session = world.inside(&db).await;
    work::drop(&session).await.expect("begun anew");
    let emptied = session.batch_execute("drop schema public cascade").await;
    emptied.expect("emptied");
    let made = session.batch_execute("create schema public").await;
    made.expect("made");
    world.apply(&db, &id).await;
    restorer.choice.tables = only("public.{child,parent}");
    let report = restorer.restore(&world.ctx, &db, &id).await;
    assert_eq!(report.expect("restored").rows, 20);
    let count = "select count(*)::text from public.other";
    assert_eq!(text(&session, count).await, "0");
    let compared = restorer.differences(&world.ctx, &db, &id, &|_| false).await;
    let compared = compared.expect("compared");
    assert_eq!((compared.tables, compared.rows), (2, 20));
    assert_eq!(compared.differing, Vec::<String>::new());
}
