//! Clients that stand still, networks that are cut, and databases that somebody holds.

use super::*;
use crate::testing::Network;

/// Longer than any limit of the server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does something at the moment when nobody can come in any more.
struct WhenShut<F>(F);

#[async_trait]
impl<F, D> WriteWatch for WhenShut<F>
where
    F: Fn() -> D + Send + Sync,
    D: Future<Output = ()> + Send,
{
    async fn marks(&self, _: &Session) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    async fn moved(&self, _: &Session, _: &serde_json::Value) -> Result<Vec<String>> {
        (self.0)().await;
        Ok(Vec::new())
    }

    async fn changed_since(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl World {
    /// A teardown whose lock is held through `proxy`, unless the network is cut before it is taken.
    async fn teardown_through(
        &self,
        proxy: &Network,
        watch: Arc<dyn WriteWatch>,
    ) -> Result<PgTeardown> {
        let lock = Arc::new(TargetLock::new(proxy.endpoint(), self.app.clone()));
        lock.acquire(&self.ctx).await?;
        let maintenance = self.cluster.endpoint("postgres");
        Ok(PgTeardown::new(maintenance, lock, EndSessions::All, watch))
    }

    /// Gives the target's lock back, for somebody else to take.
    async fn let_go(&self) {
        let released = self.teardown.lock.release(&self.ctx).await;
        released.expect("released");
    }

    /// Takes the lock once whoever had it is gone.
    async fn take_over(&self) {
        let taking = async {
            while self.teardown.lock.acquire(&self.ctx).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let taken = tokio::time::timeout(PATIENCE, taking).await;
        taken.expect("the lock of a dead client goes with it");
    }

    /// Sessions with the lock's application that are in this state.
    async fn sessions(&self, state: &str) -> i64 {
        let admin = session(&self.cluster.endpoint("postgres")).await;
        let sql = "select pg_catalog.count(*) from pg_catalog.pg_stat_activity
                    where state = $1 and application_name = $2";
        let ours = crate::postgres::application(&self.ctx);
        let row = admin.query_one(sql, &[&state, &ours]).await;
        row.expect("an answer").get(0)
    }
}

#[tokio::test]
async fn a_client_that_stands_still_in_a_promote_does_not_keep_the_database_shut() {
    let w = World::new(EndSessions::All).await;
    w.let_go().await;
    let server = w.cluster.endpoint("postgres");
    let proxy = Network::before(&server, u64::MAX).await.expect("a proxy");
    let lock = Arc::new(TargetLock::new(proxy.endpoint(), w.app.clone()));
    lock.acquire(&w.ctx).await.expect("the lock");
    // The connection that renames.
    let freezes = Arc::new(WhenShut(move || {
        proxy.freeze();
        std::future::ready(())
    }));
    let teardown = PgTeardown::new(server, lock, EndSessions::All, freezes);

    let (ctx, request) = (w.ctx.clone(), w.request());
    let frozen = tokio::spawn(async move { teardown.retire(&ctx, &request).await });
    let waits = async {
        while w.sessions("idle in transaction").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    let stood_still = tokio::time::timeout(PATIENCE, waits).await;
    stood_still.expect("it has renamed and does not commit");
    let mut shut_out = 0;
    let opened = async {
        while Session::open(&w.cluster.endpoint("app"), "a user")
            .await
            .is_err()
        {
            shut_out += 1;
        }
    };
    let opened = tokio::time::timeout(PATIENCE, opened).await;
    opened.expect("the server does not wait for ever");
    assert!(!frozen.is_finished(), "the client still stands still");
    assert_eq!(w.says("app").await, "old");
    assert!(w.place("app_old").await.is_none());
    // Whoever takes over can go on.
    w.take_over().await;
    w.promoted().await;
    assert_eq!(w.says("app").await, "new");
    frozen.abort();
}

/// The network is cut after ever more bytes, until a promote comes through. Whatever the answer
/// was that did not arrive, that of the commit too: the name leads to one of the two databases,
/// whole, and the same call ends what was begun.
#[tokio::test]
async fn a_promote_that_is_cut_off_anywhere_is_found_and_ended() {
    let w = World::new(EndSessions::All).await;
    w.let_go().await;
    let server = w.cluster.endpoint("postgres");
    let (mut struck, mut unanswered) = (0, 0);
    // No answer of the server is shorter.
    for bytes in (0..).step_by(11) {
        let proxy = Network::before(&server, bytes).await.expect("a proxy");
        let Ok(teardown) = w.teardown_through(&proxy, Arc::new(Counters)).await else {
            assert!(proxy.is_struck(), "{bytes}");
            continue;
        };
        let ended = tokio::time::timeout(PATIENCE, teardown.retire(&w.ctx, &w.request())).await;
        let ended = ended.unwrap_or_else(|_| panic!("{bytes}: it hangs"));
        assert_ne!(ended.is_ok(), proxy.is_struck(), "{bytes}: {ended:?}");
        drop((teardown, proxy));
        w.take_over().await;
        let says = w.says("app").await;
        if ended.is_ok() {
            assert_eq!(says, "new");
            break;
        }
        struck += 1;
        let happened = says == "new";
        assert!(happened || says == "old", "{bytes}: {says}");
        assert_eq!(w.place("app_old").await.is_some(), happened, "{bytes}");
        unanswered += u32::from(happened);
        let retired = w.promoted().await;
        assert_eq!(w.says("app").await, "new", "{bytes}");
        let back = w.teardown.reinstate(&w.ctx, &retired).await;
        back.unwrap_or_else(|e| panic!("{bytes}: {e:?}"));
        let admin = session(&server).await;
        let open = "alter database app_new allow_connections true";
        admin.batch_execute(open).await.expect("staged again");
        w.let_go().await;
    }
    assert!(struck > 10, "{struck} cuts");
    assert!(
        unanswered > 0,
        "the commit's answer was never the one cut off"
    );
}

#[tokio::test]
async fn a_drop_does_not_wait_until_somebody_lets_go() {
    let w = World::new(EndSessions::All).await;
    let retired = w.promoted().await;
    let permit = || DestroyPermit::by_name(&w.app, "app").expect("a permit");
    // As a purge leaves it that was cut off before the drop.
    let tombstone = format!("rebuild_drop_{}", w.app.uid);
    let admin = session(&w.cluster.endpoint("postgres")).await;
    let rename = format!("alter database app_old rename to {tombstone}");
    admin.batch_execute(&rename).await.expect("renamed");
    let hold = format!("begin; comment on database {tombstone} is 'mine'");
    admin.batch_execute(&hold).await.expect("held");
    let purge = w.teardown.purge(&w.ctx, &retired, permit());
    let ended = tokio::time::timeout(PATIENCE, purge).await;
    let e = ended.expect("it does not wait").expect_err("held");
    assert!(e.chain().contains("lock timeout"), "{}", e.chain());
    admin.batch_execute("rollback").await.expect("let go");
    assert!(
        w.place(&tombstone).await.is_some(),
        "it is not dropped later"
    );
    let purge = w.teardown.purge(&w.ctx, &retired, permit()).await;
    purge.expect("purged");
    assert!(w.place(&tombstone).await.is_none());
    assert_eq!(w.says("app").await, "new");
}

#[tokio::test]
async fn what_an_interrupted_drop_left_is_purged_and_never_brought_back() {
    let w = World::new(EndSessions::All).await;
    let retired = w.promoted().await;
    let admin = session(&w.cluster.endpoint("postgres")).await;
    // Under either name that it has on its way.
    for name in [format!("rebuild_drop_{}", w.app.uid), "app_old".to_owned()] {
        let half = format!(
            "update pg_catalog.pg_database set datconnlimit = -2, datname = '{name}'
              where oid = {}",
            w.app.uid
        );
        admin.batch_execute(&half).await.expect("half dropped");
        let back = w.teardown.reinstate(&w.ctx, &retired).await;
        assert!(back.expect_err("nothing to bring back").is_refusal());
        assert_eq!(w.says("app").await, "new");
    }
    let permit = DestroyPermit::by_name(&w.app, "app").expect("a permit");
    let purge = w.teardown.purge(&w.ctx, &retired, permit).await;
    purge.expect("purged");
    let gone = format!("rebuild_drop_{}", w.app.uid);
    assert!(w.place(&gone).await.is_none() && w.place("app_old").await.is_none());
    assert_eq!(w.says("app").await, "new");
}

#[tokio::test]
async fn another_database_that_took_the_name_in_the_promote_is_not_put_in_service() {
    let mut w = World::new(EndSessions::All).await;
    let server = w.cluster.endpoint("postgres");
    w.teardown.watch = Arc::new(WhenShut(move || {
        let server = server.clone();
        async move {
            let admin = session(&server).await;
            for sql in [
                "alter database app_new rename to app_new_away",
                "create database app_new",
            ] {
                admin.batch_execute(sql).await.expect(sql);
            }
        }
    }));
    w.refused().await;
    assert_eq!(w.says("app").await, "old");
    assert_eq!(w.says("app_new_away").await, "new");
    assert!(w.place("app_old").await.is_none());
}
