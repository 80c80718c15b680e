//! Where the work is done: the two sessions, each in a transaction, with limits on how long
//! they may take.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::Result;
use crate::event::Ctx;
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, server_error};

/// The work on preserved rows, in messages.
pub(super) const WORK: &str = "putting preserved rows back";

/// The old database and the new one.
pub(super) struct Site<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) old: &'a Session,
    pub(super) new: &'a Session,
    pub(super) options: RowOptions,
}

impl Site<'_> {
    /// Runs statements in the new database.
    ///
    /// # Errors
    /// The server said no, or took too long.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.on(self.new, sql).await
    }

    /// Runs statements in one of the databases.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn on(&self, session: &Session, sql: &str) -> Result<()> {
        let ran = async { session.batch_execute(sql).await.map_err(failed) };
        self.patiently(ran).await
    }

    /// Runs one statement in the new database; returns how many rows it changed.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn change(&self, sql: &str, with: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let ran = async { self.new.execute(sql, with).await.map_err(failed) };
        self.patiently(ran).await
    }

    /// The rows of a query in one of the databases.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn rows(
        &self,
        session: &Session,
        sql: &str,
        with: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let ran = async { session.query(sql, with).await.map_err(failed) };
        self.patiently(ran).await
    }

    /// Waits for `work`, but not for ever.
    ///
    /// # Errors
    /// Those of `work`; it took too long; the operator stopped.
    pub(super) async fn patiently<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.ctx.check_stop(WORK)?;
        self.ctx
            .within(self.options.statement_limit, WORK, work)
            .await
    }
}

pub(super) fn failed(e: tokio_postgres::Error) -> crate::error::Error {
    server_error("could not put preserved rows back", e)
}
