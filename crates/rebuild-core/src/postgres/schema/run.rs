//! Running one file.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::future::{FusedFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use super::failure::failure;
use super::files::{Loaded, Mode};
use super::history::{self, History, SqlPart, State};
use super::split::{Statement, StatementKind};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::session::as_the_server_says;
use crate::postgres::{Session, application, server_error};

/// What comes before the history's row in a file's own session: checks that were put off happen
/// as the role that the file chose, the row is written as ours.
const BEFORE_RECORD: &str =
    "set constraints all immediate; reset session authorization; reset role";

/// Rows of COPY go to the server in pieces of this many bytes.
const PIECE: usize = 64 * 1024;

/// How long a cancelled statement may take to end, and how long it may take to ask for it.
const SETTLE: Duration = Duration::from_secs(10);

/// Warnings of the server that are passed on for each file; a loop may raise millions.
const WARNINGS: usize = 100;

/// One file, and where it is run.
pub(super) struct FileRun<'a> {
    /// The run it belongs to.
    pub(super) ctx: &'a Ctx,
    /// The server.
    pub(super) endpoint: &'a Endpoint,
    /// The database.
    pub(super) db: &'a Identity,
    /// What the file is for.
    pub(super) part: SqlPart,
    /// How long it may take.
    pub(super) limit: Duration,
    /// The file.
    pub(super) loaded: &'a Loaded,
}

impl FileRun<'_> {
    /// Runs the file and records it. Nothing of it is left if it fails, unless its statements
    /// are run one by one; then the history says that it is half applied.
    pub(super) async fn run(&self) -> Result<()> {
        let file = &self.loaded.file;
        match &file.mode {
            Mode::Wrapped => self.in_session().await,
            Mode::Own => {
                self.ctx.events.info(format!(
                    "{}: runs in the transaction that it begins itself",
                    file.path
                ));
                self.in_session().await
            }
            Mode::OneByOne { because } => {
                self.ctx.events.info(format!(
                    "{}: runs statement by statement without a transaction, because {because}",
                    file.path
                ));
                self.record(State::Half).await?;
                self.in_session().await?;
                self.record(State::Whole).await
            }
        }
    }

    /// Writes the state down, also when the operator has asked to stop: what was done is done.
    async fn record(&self, state: State) -> Result<()> {
        let path = &self.loaded.file.path;
        let statements = self.loaded.statements.len();
        let writing = async {
            let history = History::open(self.ctx, self.endpoint, self.db, self.part).await?;
            let done = history.record(&self.loaded.file, statements, state).await;
            history.close().await;
            done
        };
        tokio::time::timeout(self.limit, writing)
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Deadline,
                    format!("{path} could not be recorded within {:?}", self.limit),
                ))
            })
    }

    /// A session of its own for each file: no setting, temporary table or lock outlives it.
    async fn in_session(&self) -> Result<()> {
        let path = &self.loaded.file.path;
        let opening = Session::open_at(self.endpoint, self.db, self.ctx);
        let session = self.ctx.within(self.limit, path, opening).await?;
        // What a file does with rows may well be worth compiling.
        let reset = session.batch_execute("reset jit").await;
        reset.map_err(|e| server_error(format!("could not begin {path}"), e))?;
        let line = Arc::new(AtomicUsize::new(1));
        self.pass_on_warnings(&session, Arc::clone(&line));
        let done = self.watched(&session, &line).await;
        if done.is_err() {
            session.on_warning(|_| {});
            // The server rolls back by itself when the session ends, but only some time later.
            let _ = tokio::time::timeout(SETTLE, session.batch_execute("rollback")).await;
        }
        session.close().await;
        done
    }

    fn pass_on_warnings(&self, session: &Session, line: Arc<AtomicUsize>) {
        let events = self.ctx.events.clone();
        let path = self.loaded.file.path.clone();
        let passed = AtomicUsize::new(0);
        session.on_warning(move |message| {
            let line = line.load(Ordering::Relaxed);
            match passed.fetch_add(1, Ordering::Relaxed) {
                n if n < WARNINGS => events.warn(format!("{path}:{line}: {message}")),
                WARNINGS => events.warn(format!("{path}:{line}: more warnings are left out")),
                _ => {}
            }
        });
    }

    /// Runs the statements until they end, the deadline passes or the operator stops; then what
    /// runs on the server is cancelled, and waited for.
    async fn watched(&self, session: &Session, line: &AtomicUsize) -> Result<()> {
        let halt = CancellationToken::new();
        let mut work = pin!(self.statements(session, line, &halt).fuse());
        let what = &self.loaded.file.path;
        let done = self.ctx.within(self.limit, what, work.as_mut()).await;
        if work.is_terminated() {
            return done;
        }
        halt.cancel();
        for signal in ["pg_cancel_backend", "pg_terminate_backend"] {
            let asked = self.signal(session.backend_pid(), signal);
            if !matches!(tokio::time::timeout(SETTLE, asked).await, Ok(Ok(()))) {
                tracing::debug!("{signal} of the session that runs {what} failed");
            }
            if tokio::time::timeout(SETTLE, work.as_mut()).await.is_ok() {
                break;
            }
        }
        done
    }

    async fn signal(&self, pid: i32, function: &str) -> Result<()> {
        let endpoint = self.endpoint.with_database(&self.db.name);
        let other = Session::open(&endpoint, &application(self.ctx)).await?;
        let sql = format!("select pg_catalog.{function}($1)");
        let asked = other.query(&sql, &[&pid]).await;
        other.close().await;
        asked
            .map(|_| ())
            .map_err(|e| server_error("could not cancel a statement", e))
    }

    async fn statements(
        &self,
        session: &Session,
        line: &AtomicUsize,
        halt: &CancellationToken,
    ) -> Result<()> {
        let mode = &self.loaded.file.mode;
        self.own(session, &as_the_server_says()).await?;
        if *mode == Mode::Wrapped {
            self.own(session, "begin").await?;
        }
        let last = self.loaded.statements.len().saturating_sub(1);
        for (n, statement) in self.loaded.statements.iter().enumerate() {
            self.go_on(halt)?;
            line.store(statement.line, Ordering::Relaxed);
            if *mode == Mode::Own && n == last {
                self.seal(session).await?;
            }
            self.statement(session, statement)
                .await
                .map_err(|e| failure(self.loaded, statement, e))?;
        }
        if *mode == Mode::Wrapped {
            self.seal(session).await?;
            self.go_on(halt)?;
            self.own(session, "commit").await?;
        }
        Ok(())
    }

    fn go_on(&self, halt: &CancellationToken) -> Result<()> {
        if halt.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Interrupted,
                format!("{} was stopped", self.loaded.file.path),
            ));
        }
        Ok(())
    }

    /// Writes the history's row in the transaction of the file.
    async fn seal(&self, session: &Session) -> Result<()> {
        self.own(session, BEFORE_RECORD).await?;
        let row = history::insert(
            &self.db.uid,
            self.part,
            &self.loaded.file,
            self.loaded.statements.len(),
            State::Whole,
        )?;
        self.own(session, &row).await
    }

    /// Runs a statement of ours around the file's.
    async fn own(&self, session: &Session, sql: &str) -> Result<()> {
        session.batch_execute(sql).await.map_err(|e| {
            let path = &self.loaded.file.path;
            server_error(format!("{path}: what frames the file failed: {sql}"), e)
        })
    }

    async fn statement(
        &self,
        session: &Session,
        statement: &Statement,
    ) -> Result<(), tokio_postgres::Error> {
        let sql = statement.text(&self.loaded.text);
        let StatementKind::CopyIn { data, .. } = &statement.kind else {
            return session.batch_execute(sql).await;
        };
        let mut sink = pin!(session.copy_in::<_, Bytes>(sql).await?);
        for piece in self.loaded.text.as_bytes()[data.clone()].chunks(PIECE) {
            if sink.send(Bytes::copy_from_slice(piece)).await.is_err() {
                // Why the server takes no more is in its answer to the end of the rows.
                break;
            }
        }
        sink.finish().await.map(|_| ())
    }
}
