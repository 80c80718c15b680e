//! How a session is set that loads rows and builds indexes.

use std::num::NonZeroUsize;

/// The settings of each of `jobs` sessions: those that pg_dump's own scripts set, and those that make the
/// building of indexes fast within what the server offers.
///
/// `maintenance_work_mem` is the session's part of half of `shared_buffers`, at most 512 MB and never less than the
/// server's own setting. An index takes as many parallel workers as the server lets it, but all sessions together
/// take no more than `max_parallel_workers`. A lost commit is redone by the next call, and the promote's own commit makes
/// everything before it durable.
/// <https://www.postgresql.org/docs/current/runtime-config-resource.html>
pub(super) fn of_worker(jobs: NonZeroUsize) -> String {
    format!(
        "set synchronous_commit = off;
         set check_function_bodies = off;
         set client_min_messages = warning;
         set default_tablespace = '';
         select pg_catalog.set_config('maintenance_work_mem', greatest(
                    pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')),
                    least(pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers'))
                            operator(pg_catalog./) 2 operator(pg_catalog./) {jobs},
                          pg_catalog.pg_size_bytes('512MB')))::pg_catalog.text
                    operator(pg_catalog.||) 'B', false),
                pg_catalog.set_config('max_parallel_maintenance_workers', least(
                    pg_catalog.current_setting('max_parallel_maintenance_workers')::pg_catalog.int4,
                    pg_catalog.current_setting('max_parallel_workers')::pg_catalog.int4
                            operator(pg_catalog./) {jobs})::pg_catalog.text, false)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Session;
    use crate::testing::cluster;

    /// What a session has after it was told to be one of `jobs`, on a server with these settings.
    async fn set(server: [(&str, &str); 3], jobs: usize) -> (String, i32) {
        let cluster = cluster().await.expect("a server");
        let endpoint = cluster.endpoint("postgres");
        let session = Session::open(&endpoint, "test").await.expect("a session");
        for (name, value) in server {
            let sql = format!("set {name} = '{value}'");
            session.batch_execute(&sql).await.expect(name);
        }
        let jobs = NonZeroUsize::new(jobs).expect("some");
        session.batch_execute(&of_worker(jobs)).await.expect("set");
        let sql = "select current_setting('maintenance_work_mem'),
            current_setting('max_parallel_maintenance_workers')::int";
        let row = session.query_one(sql, &[]).await.expect("settings");
        (row.get(0), row.get(1))
    }

    #[tokio::test]
    async fn sessions_share_what_the_server_offers() {
        let server = |memory, parallel, all| {
            [
                ("maintenance_work_mem", memory),
                ("max_parallel_maintenance_workers", parallel),
                ("max_parallel_workers", all),
            ]
        };
        // The servers of the tests have the 128 MB of shared_buffers that are PostgreSQL's own default.
        for (of, jobs, memory, parallel) in [
            (server("1MB", "2", "8"), 1, "64MB", 2),
            (server("1MB", "2", "8"), 4, "16MB", 2),
            (server("1MB", "2", "8"), 8, "8MB", 1),
            (server("96MB", "6", "8"), 2, "96MB", 4),
            (server("1MB", "2", "0"), 2, "32MB", 0),
        ] {
            let now = set(of, jobs).await;
            assert_eq!(now, (memory.to_owned(), parallel), "{of:?}, {jobs}");
        }
    }
}
