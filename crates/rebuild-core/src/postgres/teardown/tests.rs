//! Renames under load, against a real server.

mod trouble;
mod written;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::{PgTeardown, WriteWatch, place};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::{EndSessions, LocalCluster, Session, TargetLock, made_by};
use crate::traits::{DestroyPermit, Lock, RetireRequest, Retired, Teardown};

/// Marks by the server's counters alone; no content is compared.
struct Counters;

#[async_trait]
impl WriteWatch for Counters {
    async fn marks(&self, session: &Session) -> Result<serde_json::Value> {
        let row = session
            .query_one(
                "select coalesce(pg_catalog.sum(n_tup_ins), 0)::pg_catalog.int8
                   from pg_catalog.pg_stat_user_tables",
                &[],
            )
            .await
            .expect("counters");
        Ok(row.get::<_, i64>(0).into())
    }

    async fn moved(&self, session: &Session, since: &serde_json::Value) -> Result<Vec<String>> {
        let now = self.marks(session).await?;
        Ok(if now == *since {
            vec![]
        } else {
            vec!["public.t".to_owned()]
        })
    }

    async fn changed_since(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Says that a row was written between the last comparison and the fence.
struct LateWrite;

#[async_trait]
impl WriteWatch for LateWrite {
    async fn marks(&self, _: &Session) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    async fn moved(&self, _: &Session, _: &serde_json::Value) -> Result<Vec<String>> {
        Ok(vec!["public.late".to_owned()])
    }

    async fn changed_since(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct World {
    cluster: LocalCluster,
    teardown: PgTeardown,
    ctx: Ctx,
    app: Identity,
    staged: Identity,
}

impl World {
    /// `app` with a table whose one row says `old`, and a staged copy that says `new`.
    async fn new(policy: EndSessions) -> Self {
        Self::of(policy, Arc::new(Counters), Vec::new()).await
    }

    async fn of(policy: EndSessions, watch: Arc<dyn WriteWatch>, settings: Vec<String>) -> Self {
        let mut options = crate::testing::cluster_options();
        options.settings.extend(settings);
        let cluster = LocalCluster::start(&options).await.expect("a server");
        let ctx = Ctx::quiet();
        let admin = session(&cluster.endpoint("postgres")).await;
        for (name, says) in [("app", "old"), ("app_new", "new")] {
            admin
                .batch_execute(&format!("create database {name}"))
                .await
                .expect("a database");
            session(&cluster.endpoint(name))
                .await
                .batch_execute(&format!(
                    "create table public.t (v text); insert into public.t values ('{says}')"
                ))
                .await
                .expect("a table");
        }
        admin
            .batch_execute(&format!(
                "comment on database app is 'the app';
                 comment on database app_new is '{}'",
                made_by(&ctx.run)
            ))
            .await
            .expect("comments");
        let maintenance = cluster.endpoint("postgres");
        let app = identity(&admin, "app").await;
        let staged = identity(&admin, "app_new").await;
        let lock = Arc::new(TargetLock::new(maintenance.clone(), app.clone()));
        lock.acquire(&ctx).await.expect("the lock");
        let teardown = PgTeardown::new(maintenance, lock, policy, watch);
        Self {
            cluster,
            teardown,
            ctx,
            app,
            staged,
        }
    }

    fn request(&self) -> RetireRequest {
        RetireRequest {
            target: self.app.clone(),
            retired_name: "app_old".to_owned(),
            successor: Some(self.staged.clone()),
            successor_marks: serde_json::Value::Null,
            unchanged_since: Some(BackupId::generate()),
        }
    }

    /// Puts the staged database in the target's place.
    async fn promoted(&self) -> Retired {
        let retired = self.teardown.retire(&self.ctx, &self.request()).await;
        retired.expect("promoted")
    }

    /// What a promote is refused for.
    async fn refused(&self) -> Error {
        let retired = self.teardown.retire(&self.ctx, &self.request()).await;
        let e = retired.expect_err("refused");
        assert!(e.is_refusal(), "{e:?}");
        e
    }

    async fn says(&self, database: &str) -> String {
        session(&self.cluster.endpoint(database))
            .await
            .query_one("select v from public.t limit 1", &[])
            .await
            .expect("a row")
            .get(0)
    }

    async fn place(&self, name: &str) -> Option<place::Place> {
        let admin = session(&self.cluster.endpoint("postgres")).await;
        place::by_name(&admin, name).await.expect("an answer")
    }
}

async fn session(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "test").await.expect("a session")
}

async fn identity(session: &Session, name: &str) -> Identity {
    let place = place::by_name(session, name)
        .await
        .expect("an answer")
        .expect("a database");
    Identity {
        server: place::system_identifier(session).await.expect("an answer"),
        name: place.name,
        uid: place.oid.to_string(),
    }
}

#[tokio::test]
async fn a_promote_is_found_done_and_a_reinstate_takes_it_back() {
    let w = World::new(EndSessions::All).await;
    for _ in 0..2 {
        let retired = w.promoted().await;
        assert_eq!(w.says("app").await, "new");
        let old = w.place("app_old").await.expect("kept");
        assert!(!old.open, "nobody uses the retired database by mistake");
        assert_eq!(old.oid.to_string(), w.app.uid);
        let new = w.place("app").await.expect("in service");
        assert_eq!(new.comment.as_deref(), Some("the app"));
        assert_eq!(retired.successor.as_ref(), Some(&w.staged));
    }
    let retired = w.promoted().await;
    for _ in 0..2 {
        w.teardown.reinstate(&w.ctx, &retired).await.expect("back");
        assert_eq!(w.says("app").await, "old");
        let staged = w.place("app_new").await.expect("kept");
        assert_eq!(staged.comment, Some(made_by(&w.ctx.run)));
        assert!(!staged.open);
    }
}

/// Clients that reconnect at once, always, cannot keep the names from changing, and none of them
/// ever reads anything but the old or the new database.
#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_clients_do_not_stop_a_promote() {
    let w = World::new(EndSessions::All).await;
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..6 {
        let endpoint = w.cluster.endpoint("app");
        let (stop, reads) = (stop.clone(), reads.clone());
        clients.push(tokio::spawn(async move {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let Ok(session) = Session::open(&endpoint, "client").await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                while let Ok(row) = session.query_one("select v from public.t", &[]).await {
                    seen.insert(row.get::<_, String>(0));
                    reads.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
            seen
        }));
    }
    for round in 0..10 {
        wait_for_reads(&reads).await;
        let retired = w
            .teardown
            .retire(&w.ctx, &w.request())
            .await
            .unwrap_or_else(|e| panic!("round {round}: {e:?}"));
        assert!(retired.shut_out_ms < 1000, "{} ms", retired.shut_out_ms);
        wait_for_reads(&reads).await;
        w.teardown
            .reinstate(&w.ctx, &retired)
            .await
            .unwrap_or_else(|e| panic!("round {round}: {e:?}"));
        let admin = session(&w.cluster.endpoint("postgres")).await;
        admin
            .batch_execute("alter database app_new allow_connections true")
            .await
            .expect("staged again");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let seen = client.await.expect("a client");
        assert!(seen.iter().all(|v| v == "old" || v == "new"), "{seen:?}");
    }
}

async fn wait_for_reads(reads: &AtomicU64) {
    let start = reads.load(Ordering::Relaxed);
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while reads.load(Ordering::Relaxed) < start + 50 {
        assert!(tokio::time::Instant::now() < limit, "no client reads");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sessions_that_may_not_be_ended_stop_a_promote_before_it_begins() {
    let w = World::new(EndSessions::None).await;
    let client = session(&w.cluster.endpoint("app")).await;
    let e = w.refused().await;
    assert!(e.to_string().contains("\"test\""), "names the session: {e}");
    client
        .query_one("select 1", &[])
        .await
        .expect("the session lives");
    drop(client);
    assert_eq!(w.says("app").await, "old");
}

#[tokio::test]
async fn rows_written_up_to_the_fence_stop_a_promote() {
    let w = World::of(EndSessions::All, Arc::new(LateWrite), Vec::new()).await;
    let e = w.refused().await;
    assert!(e.to_string().contains("public.late"), "{e:?}");
    assert_eq!(w.says("app").await, "old");
    assert!(w.place("app").await.is_some_and(|p| p.open), "open again");
    assert!(w.place("app_old").await.is_none());
}

#[tokio::test]
async fn an_open_prepared_transaction_stops_a_promote() {
    let settings = vec!["max_prepared_transactions = 5".to_owned()];
    let w = World::of(EndSessions::All, Arc::new(Counters), settings).await;
    let prepare = "begin; update public.t set v = 'half'; prepare transaction 'half'";
    let client = session(&w.cluster.endpoint("app")).await;
    client.batch_execute(prepare).await.expect("prepared");
    let e = w.refused().await;
    assert!(e.to_string().contains("\"half\""), "{e:?}");
    let rollback = "rollback prepared 'half'";
    client.batch_execute(rollback).await.expect("still there");
    assert_eq!(w.says("app").await, "old");
}

#[tokio::test]
async fn a_database_without_the_mark_of_the_run_is_not_promoted() {
    let w = World::new(EndSessions::All).await;
    let admin = session(&w.cluster.endpoint("postgres")).await;
    admin
        .batch_execute("comment on database app_new is null")
        .await
        .expect("comment");
    let e = w.refused().await;
    assert!(e.to_string().contains("mark"), "{e:?}");
    assert_eq!(w.says("app").await, "old");
}

#[tokio::test]
async fn another_database_under_the_name_is_not_touched() {
    let w = World::new(EndSessions::All).await;
    let admin = session(&w.cluster.endpoint("postgres")).await;
    admin
        .batch_execute("alter database app rename to mine; ")
        .await
        .expect("renamed");
    admin
        .batch_execute("create database app")
        .await
        .expect("another");
    w.refused().await;
    assert_eq!(w.says("mine").await, "old");
    assert!(w.place("app_old").await.is_none());
}

#[tokio::test]
async fn a_purge_needs_a_permit_and_a_retired_database() {
    let w = World::new(EndSessions::All).await;
    let permit = || DestroyPermit::by_name(&w.app, "app").expect("a permit");
    let in_service = Retired {
        old: w.app.clone(),
        retired_name: "app_old".to_owned(),
        successor: None,
        successor_marks: serde_json::Value::Null,
        shut_out_ms: 0,
    };
    let e = w
        .teardown
        .purge(&w.ctx, &in_service, permit())
        .await
        .expect_err("in service");
    assert!(e.is_refusal(), "{e:?}");
    let retired = w.promoted().await;
    let wrong = DestroyPermit::by_name(&w.staged, "app_new").expect("a permit");
    let e = w
        .teardown
        .purge(&w.ctx, &retired, wrong)
        .await
        .expect_err("another's");
    assert!(e.is_refusal(), "{e:?}");
    assert!(w.place("app_old").await.is_some());
    for _ in 0..2 {
        w.teardown
            .purge(&w.ctx, &retired, permit())
            .await
            .expect("purged");
        assert!(w.place("app_old").await.is_none());
    }
    assert_eq!(w.says("app").await, "new");
}
