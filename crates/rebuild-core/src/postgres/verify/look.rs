//! One look at a database: every check sees the same moment of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio_postgres::Row;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Check, Endpoint, Identity, Outcome};
use crate::postgres::rows::snapshot::reader;
use crate::postgres::{Session, application, server_error};

/// How long one statement of a check may take; the largest table must be counted within it.
const STATEMENT_LIMIT: Duration = Duration::from_secs(12 * 3600);

/// How long a table may be locked by somebody else.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How much longer than the server we wait: it should be the one that says no.
const GRACE: Duration = Duration::from_secs(10);

/// A read-only transaction in which checks run, and the way to more sessions that see the same.
pub(super) struct Look<'a> {
    /// The act that looks.
    pub(super) ctx: &'a Ctx,
    /// How many sessions may work at the same time.
    pub(super) jobs: NonZeroUsize,
    endpoint: Endpoint,
    session: Session,
    snapshot: String,
}

impl<'a> Look<'a> {
    /// Opens a session at `db` and a read-only transaction in it.
    ///
    /// # Errors
    /// It is another database than planned, or the server cannot be reached.
    pub(super) async fn open(
        ctx: &'a Ctx,
        endpoint: &Endpoint,
        db: &Identity,
        jobs: NonZeroUsize,
    ) -> Result<Self> {
        let session = Session::open_at(endpoint, db, ctx).await?;
        let begun = async {
            session
                .batch_execute("begin isolation level repeatable read read only")
                .await?;
            session
                .query_one("select pg_catalog.pg_export_snapshot()", &[])
                .await?
                .try_get(0)
        };
        let snapshot = begun
            .await
            .map_err(|e| server_error(format!("could not begin to look at {db}"), e))?;
        set_limits(&session, STATEMENT_LIMIT).await?;
        Ok(Self {
            ctx,
            jobs,
            endpoint: endpoint.with_database(&db.name),
            session,
            snapshot,
        })
    }

    /// The session, in its transaction.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// How to open another session that sees the same moment.
    pub(super) fn another(&self) -> Another {
        Another {
            endpoint: self.endpoint.clone(),
            application: application(self.ctx),
            snapshot: self.snapshot.clone(),
        }
    }

    /// Waits for `work` on the server, with a deadline.
    ///
    /// # Errors
    /// The work's own, or that the deadline passed or the operator stopped.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = STATEMENT_LIMIT + GRACE;
        self.ctx.within(limit, what, work).await
    }

    /// Runs one check so that it cannot spoil the next one: what it changed in the session, and
    /// an error in it, is taken back. A check that the server does not let us look at is one
    /// that did not run.
    ///
    /// # Errors
    /// The connection is lost, or the operator stopped.
    pub(super) async fn check(
        &self,
        name: &str,
        work: impl Future<Output = Result<Check>>,
    ) -> Result<Check> {
        self.control("savepoint looking").await?;
        let looked = work.await;
        let check = match looked {
            Ok(check) => check,
            Err(e) if matches!(e.kind(), ErrorKind::Server | ErrorKind::Refused) => Check {
                name: name.to_owned(),
                looked_at: "nothing".to_owned(),
                outcome: Outcome::NotRun(e.chain()),
            },
            Err(e) => return Err(e.context(format!("could not check {name}"))),
        };
        self.control("rollback to savepoint looking; release savepoint looking")
            .await?;
        Ok(check)
    }

    /// Runs a query within a check, and gives back the locks that it took: a check of thousands
    /// of tables would hold more of them than the server has.
    ///
    /// # Errors
    /// The server said no; the deadline passed or the operator stopped.
    pub(super) async fn rows(&self, what: &str, sql: &str) -> Result<Vec<Row>> {
        let rows = self
            .wait(what, async {
                let rows = self.session().query(sql, &[]).await;
                rows.map_err(|e| server_error(what, e))
            })
            .await?;
        self.control("rollback to savepoint looking").await?;
        Ok(rows)
    }

    /// As [`rows`](Self::rows), of a query that gives one row.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub(super) async fn one_row(&self, what: &str, sql: &str) -> Result<Row> {
        let row = self.rows(what, sql).await?.pop();
        row.ok_or_else(|| Error::internal(format!("{what}: the server gave no row")))
    }

    /// Ends the transaction and closes the session; nothing was written in it.
    pub(super) async fn close(self) {
        self.session.close().await;
    }

    async fn control(&self, sql: &str) -> Result<()> {
        self.session()
            .batch_execute(sql)
            .await
            .map_err(|e| server_error("the verification lost its transaction", e))
    }
}

/// The way to another session of the same look.
#[derive(Clone)]
pub(super) struct Another {
    endpoint: Endpoint,
    application: String,
    snapshot: String,
}

impl Another {
    /// Opens it.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(super) async fn open(&self) -> Result<Session> {
        let session = reader(&self.endpoint, &self.application, &self.snapshot, "UTF8").await?;
        set_limits(&session, STATEMENT_LIMIT).await?;
        Ok(session)
    }
}

/// Until the transaction, or the savepoint it is in, is rolled back.
///
/// # Errors
/// The server said no.
pub(super) async fn set_limits(session: &Session, statement: Duration) -> Result<()> {
    let millis = |limit: Duration| limit.as_millis().clamp(1, i32::MAX as u128).to_string();
    session
        .execute(
            "select pg_catalog.set_config('statement_timeout', $1, true),
                    pg_catalog.set_config('lock_timeout', $2, true)",
            &[&millis(statement), &millis(LOCK_WAIT)],
        )
        .await
        .map_err(|e| server_error("could not set the time limits of a session", e))?;
    Ok(())
}
