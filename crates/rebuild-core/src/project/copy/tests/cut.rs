//! Copies that must not come to their end.

use std::time::Duration;

use super::*;
use crate::testing::{Network, wait_for_lock};

const ROWS: &str = "
    create table public.t (id int primary key, x text);
    insert into public.t
      select i, repeat('x', 1000) from pg_catalog.generate_series(1, 20000) i";

#[tokio::test]
async fn a_connection_that_is_cut_leaves_no_target() {
    let world = World::new().await;
    let direct = world.source(ROWS).await;
    let from = identity(&direct).await;
    let proxy = Network::before(&direct, 5 << 20).await.expect("a proxy");
    let cut = proxy.endpoint();
    let copying = world.copying(&cut, from).await;
    let copied = tokio::time::timeout(Duration::from_secs(120), copying.straight(&world.ctx));
    let error = copied.await.expect("in time").expect_err("it was cut");
    assert!(proxy.is_struck(), "{}", error.chain());
    assert_ne!(error.kind(), ErrorKind::Internal, "{}", error.chain());
    assert_eq!(world.made().await, Vec::<String>::new());
    // The source is as it was, and can be copied.
    world.copy(&direct).await.expect("copied");
    world.assert_same(&direct).await;
}

#[tokio::test]
async fn a_table_that_is_truncated_after_the_snapshot_is_not_copied_as_empty() {
    let world = World::new().await;
    let source = world.source(ROWS).await;
    let writer = Session::open(&source, "test").await.expect("session");
    let sql = "begin; truncate public.t";
    writer.batch_execute(sql).await.expect("truncated");
    let truncated = async {
        wait_for_lock(&source, "relation = 'public.t'::regclass").await;
        writer.batch_execute("commit").await.expect("committed");
    };
    let ((), copied) = tokio::join!(truncated, world.copy(&source));
    let error = copied.expect_err("the snapshot is of no use");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("public.t"), "{error:?}");
    assert_eq!(world.made().await, Vec::<String>::new());
}
