//! Waiting until something waits.

use std::time::Duration;

use crate::model::Endpoint;
use crate::postgres::Session;

/// How long something may take to come to its lock.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns when a session of the server of `endpoint` waits for a lock whose row of `pg_locks`
/// meets `condition`, which is SQL for a session in that database.
///
/// # Panics
/// Nobody waits for one within a minute, or the server cannot be asked.
pub async fn wait_for_lock(endpoint: &Endpoint, condition: &str) {
    let session = Session::open(endpoint, "watch").await.expect("a session");
    let sql = format!(
        "select exists (select from pg_catalog.pg_locks where not granted and {condition})"
    );
    let waiting = async {
        loop {
            let row = session.query_one(&sql, &[]).await.expect("the locks");
            if row.get::<_, bool>(0) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("nobody waits for a lock with {condition}"));
}
