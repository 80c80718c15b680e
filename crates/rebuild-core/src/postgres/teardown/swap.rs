//! Renaming databases that others are using, in one transaction.
//!
//! `ALTER DATABASE … RENAME` takes an exclusive lock on the database before it looks for other
//! sessions, and waits up to five seconds for them to go. New sessions need that lock to start,
//! so from the moment the lock is granted nobody can come in; a second connection then ends those
//! that are in. Nothing has to be undone if this process dies: the lock goes with its connection,
//! and the names are as they were.
//! (<https://www.postgresql.org/docs/current/sql-alterdatabase.html>)

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio_postgres::error::SqlState;

use super::place;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::postgres::sessions::{self, EndSessions};
use crate::postgres::{Session, ident, literal, server_error};

/// PostgreSQL gives up waiting for sessions to leave after five seconds; we are done before.
const CLEAR_WITHIN: Duration = Duration::from_secs(4);
/// The transaction holds off everybody who wants to come in, so none of its waits is without an end:
/// neither ours for a lock, nor the server's for us. A client that sleeps, or whose network is gone,
/// loses its session and with it the lock.
const LIMITS: &str = "
    set local lock_timeout = '5s';
    set local statement_timeout = '20s';
    set local idle_in_transaction_session_timeout = '10s'";
/// How often the whole transaction is tried when sessions would not leave in time.
const ATTEMPTS: u32 = 3;

/// One database, its old and new name, and how it is left.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) oid: u32,
    pub(super) from: String,
    pub(super) to: String,
    /// Whether it accepts connections afterwards.
    pub(super) open: bool,
    /// The comment it gets, if it is to change.
    pub(super) comment: Option<Option<String>>,
}

/// Something to look at once nobody else is in the first database, and before the names change.
pub(super) struct UnderFence {
    /// The backend that does the looking, which is left alone until then.
    pub(super) pid: i32,
    /// Looks, and closes its session. An error calls the swap off.
    pub(super) look: BoxFuture<'static, Result<()>>,
}

/// Renames in one transaction on `lock`; `second` ends sessions meanwhile. Returns how long new
/// sessions were held off.
///
/// # Errors
/// A refusal if a database is not where the moves say, or sessions may not be ended; whatever
/// `check` says. In each of these cases nothing has changed. An error of kind
/// [`ErrorKind::Unreachable`] leaves the outcome unknown.
pub(super) async fn swap(
    ctx: &Ctx,
    lock: &mut Session,
    second: &Session,
    moves: &[Move],
    policy: &EndSessions,
    check: Option<UnderFence>,
) -> Result<Duration> {
    let own_pid = check.as_ref().map(|c| c.pid);
    let mut check = check;
    for attempt in 1..=ATTEMPTS {
        let began = Instant::now();
        match attempt_swap(lock, second, moves, policy, own_pid, &mut check).await {
            Ok(()) => return Ok(began.elapsed()),
            // The look under the fence is never left out: once it has taken place, its session is
            // closed, and the caller has to begin again.
            Err(e)
                if attempt < ATTEMPTS
                    && retryable(&e)
                    && (own_pid.is_none() || check.is_some()) =>
            {
                ctx.events.warn(format!(
                    "sessions were still there; trying again: {}",
                    e.chain()
                ));
            }
            Err(e) => return Err(e),
        }
    }
    Err(Error::internal(
        "the last attempt to rename neither ended well nor failed",
    ))
}

fn retryable(e: &Error) -> bool {
    e.kind() == ErrorKind::Deadline
}

async fn attempt_swap(
    lock: &mut Session,
    second: &Session,
    moves: &[Move],
    policy: &EndSessions,
    own_pid: Option<i32>,
    check: &mut Option<UnderFence>,
) -> Result<()> {
    let holder = lock.backend_pid();
    let tx = lock
        .transaction()
        .await
        .map_err(|e| server_error("could not begin the renaming", e))?;
    tx.batch_execute(LIMITS)
        .await
        .map_err(|e| server_error("could not bound the renaming", e))?;
    let first = &moves[0];
    let rename_first = rename_sql(first)?;
    // Both sides run at once: the first rename waits, holding the lock, for the sessions that
    // the second side ends. An error of either drops the transaction, which rolls back.
    let renaming = async {
        tx.batch_execute(&rename_first)
            .await
            .map_err(|e| rename_error(first, e))
    };
    let clearing = async {
        wait_for_lock(second, holder, first).await?;
        let own: Vec<i32> = own_pid.into_iter().collect();
        sessions::end_all(second, &first.from, first.oid, &own, policy, CLEAR_WITHIN).await?;
        match check.take() {
            Some(check) => check.look.await,
            None => Ok(()),
        }
    };
    // What the second side found is why the rename does not take place: it is told, and not the
    // cancelling that follows from it.
    if let Err(e) = tokio::try_join!(biased; clearing, renaming) {
        call_off(second, holder).await?;
        return Err(e);
    }
    for m in &moves[1..] {
        tx.batch_execute(&rename_sql(m)?)
            .await
            .map_err(|e| rename_error(m, e))?;
    }
    for m in moves {
        tx.batch_execute(&finish_sql(m)?)
            .await
            .map_err(|e| server_error(format!("could not finish the move of {:?}", m.to), e))?;
    }
    assert_moved(&tx, moves).await?;
    tx.commit()
        .await
        .map_err(|e| server_error("could not commit the renaming; its outcome is unknown", e))
}

/// Ends the waiting rename, so that new sessions are let in again at once.
async fn call_off(second: &Session, holder: i32) -> Result<()> {
    second
        .execute("select pg_catalog.pg_cancel_backend($1)", &[&holder])
        .await
        .map(|_| ())
        .map_err(|e| server_error("could not call the renaming off", e))
}

/// Waits until `holder` has the exclusive lock on the database, so that nobody can come in.
async fn wait_for_lock(second: &Session, holder: i32, m: &Move) -> Result<()> {
    let deadline = Instant::now() + CLEAR_WITHIN;
    loop {
        let held: bool = second
            .query_one(
                "select exists (
                   select from pg_catalog.pg_locks
                    where locktype operator(pg_catalog.=) 'object'
                      and classid operator(pg_catalog.=) 'pg_catalog.pg_database'::pg_catalog.regclass
                      and objid operator(pg_catalog.=) $1
                      and pid operator(pg_catalog.=) $2
                      and mode operator(pg_catalog.=) 'AccessExclusiveLock'
                      and granted)",
                &[&m.oid, &holder],
            )
            .await
            .map(|r| r.get(0))
            .map_err(|e| server_error("could not watch the renaming", e))?;
        if held {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                ErrorKind::Deadline,
                format!(
                    "the lock on database {:?} was not granted within {CLEAR_WITHIN:?}",
                    m.from
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn rename_sql(m: &Move) -> Result<String> {
    Ok(format!(
        "alter database {} rename to {}",
        ident(&m.from)?,
        ident(&m.to)?
    ))
}

fn finish_sql(m: &Move) -> Result<String> {
    let name = ident(&m.to)?;
    let mut sql = format!("alter database {name} allow_connections {}", m.open);
    if let Some(comment) = &m.comment {
        let text = match comment {
            Some(text) => literal(text)?,
            None => "null".to_owned(),
        };
        sql.push_str(&format!("; comment on database {name} is {text}"));
    }
    Ok(sql)
}

fn rename_error(m: &Move, e: tokio_postgres::Error) -> Error {
    let waited = matches!(
        e.code(),
        Some(&SqlState::OBJECT_IN_USE | &SqlState::LOCK_NOT_AVAILABLE)
    );
    let error = server_error(
        format!("could not rename database {:?} to {:?}", m.from, m.to),
        e,
    );
    if waited {
        Error::new(
            ErrorKind::Deadline,
            format!("database {:?} was still in use", m.from),
        )
        .caused_by(error)
    } else {
        error
    }
}

/// The names inside the transaction must be the new ones, by oid: a rename goes by name, and this
/// is what makes sure that the right databases moved.
async fn assert_moved(tx: &tokio_postgres::Transaction<'_>, moves: &[Move]) -> Result<()> {
    for m in moves {
        let name: Option<String> = tx
            .query_opt(
                "select datname::pg_catalog.text from pg_catalog.pg_database
                  where oid operator(pg_catalog.=) $1",
                &[&m.oid],
            )
            .await
            .map_err(|e| server_error("could not look at the renamed databases", e))?
            .map(|r| r.get(0));
        if name.as_deref() != Some(m.to.as_str()) {
            return Err(Error::refused(format!(
                "database oid {} would be called {name:?} and not {:?}; the renaming was rolled back",
                m.oid, m.to
            ))
            .hint("something else renamed or replaced the database; make a new plan"));
        }
    }
    Ok(())
}

/// Checks, before anything waits, that every database is where the moves say, and that the new
/// names are free or freed by the moves themselves.
///
/// # Errors
/// A refusal.
pub(super) async fn check_places(session: &Session, moves: &[Move]) -> Result<()> {
    for m in moves {
        match place::by_oid(session, m.oid).await? {
            None => {
                return Err(Error::refused(format!(
                    "database {:?} (oid {}) no longer exists",
                    m.from, m.oid
                )));
            }
            Some(p) if p.name != m.from => {
                return Err(Error::refused(format!(
                    "database oid {} is called {:?} now, not {:?}",
                    m.oid, p.name, m.from
                ))
                .hint("something else renamed it; make a new plan"));
            }
            Some(p) if p.invalid => {
                return Err(Error::refused(format!(
                    "database {:?} is left over from an interrupted DROP DATABASE",
                    p.name
                )));
            }
            Some(_) => {}
        }
        let freed = moves.iter().any(|other| other.from == m.to);
        if !freed && place::by_name(session, &m.to).await?.is_some() {
            return Err(Error::refused(format!(
                "a database called {:?} is in the way",
                m.to
            )));
        }
    }
    Ok(())
}
