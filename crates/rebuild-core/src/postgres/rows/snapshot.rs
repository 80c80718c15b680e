//! One moment of a database, seen by many sessions.

use std::time::Duration;

use super::options::RowOptions;
use super::tables::{LiveTable, list_tables, read_tables, refuse_unreadable};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Endpoint, TableName};
use crate::postgres::{Session, qualified, server_error};

/// Settings of every session that carries rows, beyond those all sessions pin. `lc_monetary`
/// changes what `money` means; a scan that starts in the middle gives other chunks every time.
const CARRIER: &str = "
    select pg_catalog.set_config(name, value, false) from (values
        ('lc_monetary', 'C'),
        ('synchronize_seqscans', 'off'),
        ('max_parallel_workers_per_gather', '0')
    ) as pinned (name, value)";

/// A snapshot that other sessions can take part in, for as long as this lives
/// (<https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION>).
pub(crate) struct Snapshot {
    holder: Session,
    id: String,
}

impl Snapshot {
    /// Opens a read-only transaction in `holder`, which is not in one yet; others can import its
    /// snapshot.
    ///
    /// # Errors
    /// The server said no.
    pub(crate) async fn export_from(holder: Session) -> Result<Self> {
        let what = "could not export a snapshot";
        holder
            .batch_execute(CARRIER)
            .await
            .map_err(|e| server_error(what, e))?;
        holder
            .batch_execute("begin isolation level repeatable read read only")
            .await
            .map_err(|e| server_error(what, e))?;
        let row = holder
            .query_one("select pg_catalog.pg_export_snapshot()", &[])
            .await
            .map_err(|e| server_error(what, e))?;
        let id = row.try_get(0).map_err(|e| server_error(what, e))?;
        Ok(Self { holder, id })
    }

    /// The session that holds it, in its transaction.
    pub(crate) fn session(&self) -> &Session {
        &self.holder
    }

    /// Its name, for `pg_dump --snapshot`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes sure that the session that holds it, and with it the tables, is there still; had it
    /// ended, nothing would have kept the tables from being changed.
    ///
    /// # Errors
    /// The session ended before `work` did.
    pub(crate) async fn still_held(&self, work: &str) -> Result<()> {
        self.holder.batch_execute("select").await.map_err(|e| {
            Error::new(
                ErrorKind::Unreachable,
                format!("the session that held the snapshot ended before {work} did"),
            )
            .hint("try again")
            .caused_by(e)
        })
    }

    /// Every relation that `wanted` picks, with all of its rows for us to read. Keeps everyone
    /// from dropping or rewriting those that hold rows, and makes sure that nobody did since the
    /// snapshot was taken: a table that was truncated since would look empty, for TRUNCATE is not
    /// seen through snapshots (<https://www.postgresql.org/docs/current/mvcc-caveats.html>).
    ///
    /// # Errors
    /// A refusal if rows cannot be read whole; [`ErrorKind::Deadline`] if somebody holds a lock
    /// for longer than `options.lock_wait`; a refusal that can be tried again if a table has
    /// changed.
    pub(crate) async fn hold(
        &self,
        wanted: impl Fn(&LiveTable) -> bool,
        options: &RowOptions,
    ) -> Result<Vec<LiveTable>> {
        limit_lock_wait(&self.holder, options).await?;
        let mut tables = list_tables(&self.holder).await?;
        tables.retain(&wanted);
        refuse_unreadable(&tables)?;
        tables.retain(LiveTable::holds_rows);
        let names: Vec<TableName> = tables.into_iter().map(|t| t.table).collect();
        self.lock(&names, options.lock_wait).await?;
        // Again, now that nobody can rewrite them any more.
        let mut tables = read_tables(&self.holder).await?;
        tables.retain(&wanted);
        refuse_rewritten(&tables)?;
        Ok(tables)
    }

    async fn lock(&self, tables: &[TableName], limit: Duration) -> Result<()> {
        for group in tables.chunks(100) {
            let names: Vec<String> = group
                .iter()
                .map(|t| Ok(format!("only {}", qualified(t)?)))
                .collect::<Result<_>>()?;
            self.holder
                .batch_execute(&format!(
                    "lock table {} in access share mode",
                    names.join(", ")
                ))
                .await
                .map_err(|e| lock_error(group, limit, e))?;
        }
        Ok(())
    }
}

/// From now on `session` waits for a lock that somebody holds no longer than
/// `options.lock_wait`.
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn limit_lock_wait(session: &Session, options: &RowOptions) -> Result<()> {
    let limit = format!("{}ms", millis(options.lock_wait));
    session
        .execute(
            "select pg_catalog.set_config('lock_timeout', $1, false)",
            &[&limit],
        )
        .await
        .map_err(|e| server_error("could not set the lock timeout", e))?;
    Ok(())
}

/// A refusal that names the tables whose file is no longer the one the snapshot knows.
///
/// # Errors
/// There is such a table; the snapshot is of no use.
fn refuse_rewritten(tables: &[LiveTable]) -> Result<()> {
    let names: Vec<String> = tables
        .iter()
        .filter(|t| t.holds_rows() && t.files.0 != t.files.1)
        .map(|t| t.table.to_string())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the snapshot is of no use: since it was taken, somebody rewrote, truncated or dropped {}",
        names.join(", ")
    ))
    .hint("stop what changes the schema, and try again"))
}

fn lock_error(tables: &[TableName], limit: Duration, e: tokio_postgres::Error) -> Error {
    use tokio_postgres::error::SqlState;
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let what = format!("could not lock {} for reading", names.join(", "));
    if e.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return Error::new(
            ErrorKind::Deadline,
            format!("{what}: somebody holds a lock for longer than {limit:?}"),
        )
        .hint("look for it in pg_locks; it is often a migration or a VACUUM FULL");
    }
    if e.code() == Some(&SqlState::OUT_OF_MEMORY) {
        return server_error(what, e).hint("raise max_locks_per_transaction on the server");
    }
    server_error(what, e)
}

fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// Prepares a session for carrying rows in `encoding`: what `client_encoding` makes of a byte
/// must be nothing.
///
/// # Errors
/// The server does not know the encoding.
pub(crate) async fn prepare_carrier(session: &Session, encoding: &str) -> Result<()> {
    let what = || format!("could not prepare a session for rows in {encoding}");
    session
        .batch_execute(CARRIER)
        .await
        .map_err(|e| server_error(what(), e))?;
    session
        .execute(
            "select pg_catalog.set_config('client_encoding', $1, false)",
            &[&encoding],
        )
        .await
        .map_err(|e| server_error(what(), e))?;
    Ok(())
}

/// Opens a session that sees what the snapshot `id` sees and reads rows in `encoding`.
///
/// # Errors
/// The server could not be reached, or the snapshot is gone.
pub(crate) async fn reader(
    endpoint: &Endpoint,
    application: &str,
    id: &str,
    encoding: &str,
) -> Result<Session> {
    let session = Session::open(endpoint, application).await?;
    import(&session, id).await?;
    prepare_carrier(&session, encoding).await?;
    Ok(session)
}

/// Begins a transaction in `session` that sees what the snapshot `id` sees.
///
/// # Errors
/// The snapshot is gone.
pub(crate) async fn import(session: &Session, id: &str) -> Result<()> {
    let begun = session.batch_execute(&importing(id)?).await;
    begun.map_err(|e| server_error("could not import the snapshot", e))
}

/// The statements that begin a transaction that sees what the snapshot `id` sees.
///
/// # Errors
/// The id cannot be quoted.
pub(crate) fn importing(id: &str) -> Result<String> {
    Ok(format!(
        "begin isolation level repeatable read read only; set transaction snapshot {}",
        crate::postgres::literal(id)?
    ))
}

/// What the transaction that `session` is in sees, as text: which transactions ended before it
/// (<https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT>).
///
/// # Errors
/// The server could not be asked.
pub(crate) async fn seen_by(session: &Session) -> Result<String> {
    let what = "could not read what the snapshot sees";
    let asked = "select pg_catalog.pg_current_snapshot()::pg_catalog.text";
    let row = session.query_one(asked, &[]).await;
    let row = row.map_err(|e| server_error(what, e))?;
    row.try_get(0).map_err(|e| server_error(what, e))
}

/// Tables that are read before their locks are given back.
const TABLES_TOGETHER: u32 = 25;

/// A session that reads table after table in one transaction, and now and then gives their locks
/// back: of thousands of tables there would be more than the server has room for.
pub(crate) struct TableReader {
    session: Session,
    tables: u32,
}

impl TableReader {
    /// Reads in `session`, which is in a transaction.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn new(session: Session) -> Result<Self> {
        let reader = Self { session, tables: 0 };
        reader.run("savepoint reading").await?;
        Ok(reader)
    }

    /// The session, to read another table.
    ///
    /// # Errors
    /// The session was lost.
    pub(crate) async fn next(&mut self) -> Result<&Session> {
        if self.tables == TABLES_TOGETHER {
            self.run("rollback to savepoint reading").await?;
            self.tables = 0;
        }
        self.tables += 1;
        Ok(&self.session)
    }

    /// Ends the transaction and closes the session.
    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    async fn run(&self, sql: &str) -> Result<()> {
        let done = self.session.batch_execute(sql).await;
        done.map_err(|e| server_error("the reading of tables lost its transaction", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, scratch_database};

    #[tokio::test]
    async fn what_bends_rows_or_chunks_is_set_in_every_session_that_carries_them() {
        let cluster = cluster().await.expect("a server");
        let endpoint = scratch_database(&cluster).await.expect("a database");
        let admin = Session::open(&endpoint, "test").await.expect("a session");
        let settings = [
            ("lc_monetary", "C.UTF-8", "C"),
            ("synchronize_seqscans", "on", "off"),
            ("max_parallel_workers_per_gather", "4", "0"),
        ];
        let database = crate::postgres::ident(&endpoint.database).expect("a name");
        for (name, theirs, _) in settings {
            let set = format!("alter database {database} set {name} = '{theirs}'");
            admin.batch_execute(&set).await.expect(&set);
        }
        let holder = Session::open(&endpoint, "test").await.expect("a session");
        let snapshot = Snapshot::export_from(holder).await.expect("a snapshot");
        let reader = reader(&endpoint, "test", &snapshot.id, "UTF8").await;
        let reader = reader.expect("a reader");
        for (name, _, ours) in settings {
            for session in [&snapshot.holder, &reader] {
                let asked = "select pg_catalog.current_setting($1)";
                let row = session.query_one(asked, &[&name]).await.expect("a setting");
                assert_eq!(row.get::<_, String>(0), ours, "{name}");
            }
        }
    }
}
