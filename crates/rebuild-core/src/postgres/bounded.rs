//! Statements that make or drop a database, with limits.

use super::Session;

/// A drop that waits for somebody's lock takes place whenever that is given back, and by then nobody
/// looks any more. Before 15, CREATE DATABASE waits for two checkpoints, which take long on a busy
/// server.
const LIMITS: &str = "set lock_timeout = '10s'; set statement_timeout = '30min'";

/// Runs a statement that refuses a transaction, and that the server gives up after a while.
pub(super) async fn bounded(session: &Session, sql: &str) -> Result<(), tokio_postgres::Error> {
    session.batch_execute(LIMITS).await?;
    let done = session.batch_execute(sql).await;
    let reset = session
        .batch_execute("set lock_timeout = 0; set statement_timeout = 0")
        .await;
    done.and(reset)
}
