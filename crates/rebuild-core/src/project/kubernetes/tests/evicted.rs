//! A database whose pod the node gives up in the middle of a run.

use std::time::Duration;

use super::whole::{SCHEMA, SPEC, filled};
use super::*;
use crate::error::ErrorKind;
use crate::model::RunId;

/// The pod comes back, and the same command is typed until it is there.
async fn back_once_it_answers(project: &Project, run: &RunId) -> crate::engine::Report {
    let back = async {
        loop {
            match project.rollback(run, None, false).await {
                Err(e) if e.kind() == ErrorKind::Unreachable => {}
                tried => return tried.expect("a report"),
            }
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(120), back).await;
    back.expect("in time")
}

#[tokio::test]
async fn a_pod_that_is_evicted_during_the_backup_loses_nothing() {
    let world = filled().await;
    let Some(cluster) = world.inside("an eviction") else {
        return world.end().await;
    };
    let project = world.project(SPEC).await;
    let run = project.run(None, None);
    let evict = async {
        world
            .told
            .hears("\"step-started\",\"step\":\"backup\"")
            .await;
        cluster.evict(&world.namespace, "db-0");
    };
    let (report, ()) = tokio::join!(run, evict);
    let report = report.expect("a report");
    assert_ne!(report.ending, Ending::Done, "{report:?}");
    if report.ending != Ending::RolledBack {
        let back = back_once_it_answers(&project, &report.run).await;
        assert_eq!(back.ending, Ending::RolledBack);
    }
    assert_eq!(world.sql("select count(*) from public.item").await, "100");
    world.await_ready("deployment", "api", 2).await;
}

/// Waits until rows are being loaded.
async fn until_rows_go_in(world: &World) {
    let loading = "select count(*)::text from pg_stat_activity
        where state = 'active' and query ilike 'copy %from stdin%'";
    let project = world.project("").await;
    let waiting = async {
        while crate::testing::kubernetes::sql(&project, loading).await == "0" {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, waiting).await.expect("rows");
}

#[tokio::test]
async fn a_pod_that_is_evicted_while_rows_go_into_it_loses_nothing() {
    let world = filled().await;
    let Some(cluster) = world.inside("an eviction") else {
        return world.end().await;
    };
    let bulk = "create table public.bulk (id int, note text);";
    world.write("schema.sql", &format!("{SCHEMA} {bulk}"));
    let rows = "insert into public.bulk select n, repeat(md5(n::text), 100)
                  from generate_series(1, 20000) n";
    world.sql(&format!("{bulk} {rows}")).await;
    let project = world.project(SPEC).await;
    let evict = async {
        until_rows_go_in(&world).await;
        cluster.evict(&world.namespace, "db-0");
    };
    let (report, ()) = tokio::join!(project.run(None, None), evict);
    let report = report.expect("a report");
    assert_ne!(report.ending, Ending::Done, "{report:?}");
    if report.ending != Ending::RolledBack {
        let back = back_once_it_answers(&project, &report.run).await;
        assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    }
    assert_eq!(world.sql("select count(*) from public.bulk").await, "20000");
    assert_eq!(world.sql("select count(*) from public.item").await, "100");
    let staged = "select count(*) from pg_database where datname like 'app_new_%'";
    assert_eq!(world.sql(staged).await, "0");
    world.await_ready("deployment", "api", 2).await;
    world.end().await;
}
