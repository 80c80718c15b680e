//! The lock on a target, and the connection that holds it.

use async_trait::async_trait;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::teardown::place;
use super::{Session, application, server_error};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::traits::Lock;

/// Session-level advisory locks exclude each other only within one database, so every run takes
/// its lock in the same one, the maintenance database
/// (<https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>). Specs may name
/// different ones all the same; so whoever has taken the lock looks whether somebody has it in
/// another database, and gives it back then.
///
/// The key is derived from the target's oid. Destructive statements run on the connection that
/// holds the lock ([`session`](Self::session)); when that is lost it is not opened again by
/// itself, so losing the lock is losing the ability to act.
pub struct TargetLock {
    maintenance: Endpoint,
    target: Identity,
    /// Whether another server may answer in the target's place.
    replaced: bool,
    held: Mutex<Option<Session>>,
}

/// Sets our keys apart from those of applications: "rbld" in ASCII.
const CLASS: u32 = 0x7262_6c64;

impl TargetLock {
    /// The lock on `target`, not taken yet. `maintenance` is the server at its maintenance
    /// database.
    pub fn new(maintenance: Endpoint, target: Identity) -> Self {
        Self {
            maintenance,
            target,
            replaced: false,
            held: Mutex::new(None),
        }
    }

    /// The same, for a target whose whole server is replaced: where another one answers, that server
    /// as a whole is locked. What acts on this lock's connection must look where it is.
    #[must_use]
    pub fn of_replaced_server(mut self) -> Self {
        self.replaced = true;
        self
    }

    /// True if the server is away because it is being replaced: its lock was given back. One whose
    /// connection was lost is not.
    pub(super) async fn is_away(&self) -> bool {
        self.replaced && self.held.lock().await.is_none()
    }

    /// The connection that holds the lock, for one caller at a time.
    ///
    /// # Errors
    /// The lock is not held, or its connection was lost.
    pub async fn session(&self) -> Result<MappedMutexGuard<'_, Session>> {
        let guard = self.held.lock().await;
        MutexGuard::try_map(guard, |held| held.as_mut().filter(|s| !s.is_closed())).map_err(|_| {
            Error::new(
                crate::error::ErrorKind::Unreachable,
                format!("the lock on {} is not held by this process", self.target),
            )
            .hint("its connection was lost; resume the run")
        })
    }

    /// Makes sure that nobody has the lock on any other target of the server, where this one is held.
    ///
    /// # Errors
    /// A refusal that names who has one; this lock is not held, or the server could not be asked.
    #[cfg(feature = "cloudsql")]
    pub(crate) async fn refuse_others(&self) -> Result<()> {
        let session = self.session().await?;
        let others = session
            .query_opt(
                "select a.application_name, a.pid
                   from pg_catalog.pg_locks l
                   join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) l.pid
                  where l.locktype operator(pg_catalog.=) 'advisory' and l.granted
                    and l.classid operator(pg_catalog.=) $1
                    and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
                  limit 1",
                &[&CLASS],
            )
            .await
            .map_err(|e| server_error("could not look for other runs on the server", e))?;
        let Some(other) = others else {
            return Ok(());
        };
        let (name, pid): (Option<&str>, i32) = (other.get(0), other.get(1));
        let name = name.unwrap_or_default();
        Err(Error::refused(format!(
            "{name:?} (pid {pid}) is at work on another database of the same server"
        ))
        .hint("wait until that run has ended"))
    }

    /// Class and oid as one 64-bit key.
    async fn key(&self, session: &Session) -> Result<i64> {
        if self.replaced && place::system_identifier(session).await? != self.target.server {
            return Ok(i64::from(CLASS) << 32);
        }
        let oid = place::oid_here(session, &self.target).await?;
        Ok(i64::from(CLASS) << 32 | i64::from(oid))
    }

    /// Who else has the lock, in whichever database.
    async fn other_holder(&self, session: &Session, key: i64) -> Result<Option<String>> {
        let row = session
            .query_opt(
                "select a.pid, coalesce(a.application_name, ''),
                        coalesce(pg_catalog.host(a.client_addr), 'local'), a.backend_start::text
                   from pg_catalog.pg_locks l
                   join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) l.pid
                  where l.locktype operator(pg_catalog.=) 'advisory' and l.granted
                    and l.classid operator(pg_catalog.=) ($1::pg_catalog.int8 operator(pg_catalog.>>) 32)::pg_catalog.oid
                    and l.objid operator(pg_catalog.=)
                        ($1::pg_catalog.int8 operator(pg_catalog.&) 4294967295)::pg_catalog.oid
                    and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
                  limit 1",
                &[&key],
            )
            .await
            .map_err(|e| server_error("could not find out who holds the lock", e))?;
        Ok(row.map(|r| {
            format!(
                "{:?} (pid {}, from {}, since {})",
                r.get::<_, &str>(1),
                r.get::<_, i32>(0),
                r.get::<_, &str>(2),
                r.get::<_, &str>(3)
            )
        }))
    }
}

#[async_trait]
impl Lock for TargetLock {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|s| !s.is_closed()) {
            return Ok(());
        }
        let session = Session::open(&self.maintenance, &application(ctx)).await?;
        let key = self.key(&session).await?;
        let taken: bool = session
            .query_one("select pg_catalog.pg_try_advisory_lock($1)", &[&key])
            .await
            .map(|r| r.get(0))
            .map_err(|e| server_error("could not ask for the lock on the target", e))?;
        let other = self.other_holder(&session, key).await?;
        if !taken || other.is_some() {
            let holder = other.unwrap_or_else(|| "a session that has just ended".to_owned());
            session.close().await;
            return Err(
                Error::refused(format!("{} is locked by {holder}", self.target))
                    .hint("wait until that run has ended; one run at a time works on a target"),
            );
        }
        *held = Some(session);
        Ok(())
    }

    async fn assert_held(&self, _ctx: &Ctx) -> Result<()> {
        let session = self.session().await?;
        let key = self.key(&session).await?;
        let ours: bool = session
            .query_one(
                "select exists (
                   select from pg_catalog.pg_locks
                    where locktype operator(pg_catalog.=) 'advisory' and granted
                      and pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
                      and classid operator(pg_catalog.=) ($1::pg_catalog.int8 operator(pg_catalog.>>) 32)::pg_catalog.oid
                      and objid operator(pg_catalog.=)
                          ($1::pg_catalog.int8 operator(pg_catalog.&) 4294967295)::pg_catalog.oid)",
                &[&key],
            )
            .await
            .map(|r| r.get(0))
            .map_err(|e| server_error("could not ask whether the lock is held", e))?;
        if ours {
            Ok(())
        } else {
            Err(
                Error::refused(format!("the lock on {} was lost", self.target)).hint(
                    "is there a pooler between here and the server? connect to the server itself",
                ),
            )
        }
    }

    async fn release(&self, _ctx: &Ctx) -> Result<()> {
        // The lock ends with its session.
        if let Some(session) = self.held.lock().await.take() {
            session.close().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Session;

    async fn target(maintenance: &Endpoint) -> Identity {
        let session = Session::open(maintenance, "test").await.expect("a session");
        let place = place::by_name(&session, "template1")
            .await
            .expect("an answer")
            .expect("there");
        Identity {
            server: place::system_identifier(&session).await.expect("an answer"),
            name: place.name,
            uid: place.oid.to_string(),
        }
    }

    #[tokio::test]
    async fn one_holder_at_a_time_and_a_dead_one_holds_nothing() {
        let cluster = crate::testing::cluster().await.expect("a server");
        let maintenance = cluster.endpoint("postgres");
        let target = target(&maintenance).await;
        let (one, two) = (Ctx::quiet(), Ctx::quiet());
        let first = TargetLock::new(maintenance.clone(), target.clone());
        let second = TargetLock::new(maintenance.clone(), target.clone());
        assert!(first.session().await.is_err(), "not taken yet");
        for _ in 0..2 {
            first.acquire(&one).await.expect("free");
            first.assert_held(&one).await.expect("held");
        }
        let e = second.acquire(&two).await.expect_err("taken");
        assert!(e.is_refusal(), "{e:?}");
        assert!(
            e.to_string().contains(one.run.as_str()),
            "names the holder: {e}"
        );
        // The holder dies: the server ends its session, and the lock with it.
        let pid = first.session().await.expect("held").backend_pid();
        let admin = Session::open(&maintenance, "test")
            .await
            .expect("a session");
        admin
            .execute("select pg_catalog.pg_terminate_backend($1)", &[&pid])
            .await
            .expect("signalled");
        let there = "select from pg_catalog.pg_stat_activity where pid = $1";
        while !admin
            .query(there, &[&pid])
            .await
            .expect("sessions")
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
        second.acquire(&two).await.expect("free again");
        assert!(
            first.assert_held(&one).await.is_err(),
            "the dead holder notices"
        );
        assert!(first.session().await.is_err(), "and cannot act");
    }

    #[tokio::test]
    async fn a_lock_that_the_session_does_not_have_any_more_is_lost() {
        let cluster = crate::testing::cluster().await.expect("a server");
        let maintenance = cluster.endpoint("postgres");
        let lock = TargetLock::new(maintenance.clone(), target(&maintenance).await);
        let ctx = Ctx::quiet();
        lock.acquire(&ctx).await.expect("free");
        // As behind a pooler, which gives its client another session of the server.
        let session = lock.session().await.expect("held");
        let unlock = "select pg_catalog.pg_advisory_unlock_all()";
        session.execute(unlock, &[]).await.expect("unlocked");
        drop(session);
        let e = lock.assert_held(&ctx).await.expect_err("lost");
        assert!(e.is_refusal() && e.to_string().contains("was lost"), "{e}");
    }

    #[tokio::test]
    async fn one_holder_at_a_time_whatever_database_it_takes_its_lock_in() {
        let cluster = crate::testing::cluster().await.expect("a server");
        let elsewhere = crate::testing::scratch_database(&cluster).await;
        let elsewhere = elsewhere.expect("a database");
        let target = target(&cluster.endpoint("postgres")).await;
        let (one, two) = (Ctx::quiet(), Ctx::quiet());
        let first = TargetLock::new(cluster.endpoint("postgres"), target.clone());
        let second = TargetLock::new(elsewhere, target);
        first.acquire(&one).await.expect("free");
        let e = second.acquire(&two).await.expect_err("taken elsewhere");
        assert!(e.is_refusal(), "{e:?}");
        assert!(e.to_string().contains(one.run.as_str()), "{e}");
        assert!(second.session().await.is_err(), "it was given back");
        first.assert_held(&one).await.expect("still held");
        first.release(&one).await.expect("released");
        // The server's side of the session may take a moment to go.
        while second.acquire(&two).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(first.acquire(&one).await.is_err(), "the other way round");
    }

    #[tokio::test]
    async fn another_server_is_refused() {
        let cluster = crate::testing::cluster().await.expect("a server");
        let maintenance = cluster.endpoint("postgres");
        let mut target = target(&maintenance).await;
        target.server = "1".to_owned();
        let lock = TargetLock::new(maintenance, target);
        let e = lock
            .acquire(&Ctx::quiet())
            .await
            .expect_err("another server");
        assert!(e.to_string().contains("system identifier"), "{e}");
    }
}
