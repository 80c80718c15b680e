//! A database with everything that pg_dump handles, and values that a careless copy changes.

use crate::error::Result;
use crate::model::Endpoint;
use crate::postgres::{Session, server_error};

/// SQL that fills an empty database with one of everything: plain statements without psql
/// commands, for PostgreSQL 13 to 18, to be run by a superuser in a UTF8 database. It can be sent
/// in one message. It also creates the roles `ks_owner`, `ks_reader` and `ks "writer" 角色` where
/// the server lacks them, and changes settings and rights of the database itself.
///
/// What a plain pg_dump and restore of it cannot keep, whoever does it:
/// - rows of `ks.by_enum*` change partitions, because the hash of an enum is that of an oid;
/// - columns of `ks.child` and `ks.grandchild` come in another order;
/// - on servers before 15, newer pg_dumps forget `revoke create on schema public from public`;
/// - restoring with a newer pg_restore or psql to servers before 17 stumbles over
///   `SET transaction_timeout`.
///
/// Some objects cannot be read by design: the views `ks.circle_*` refer to each other, the foreign
/// tables `ks.elsewhere` and `ks.measure_elsewhere` have no server. `ks.unchecked` has rows that
/// break its constraints, which are `NOT VALID`; so do `ks.virtual`'s, which are `NOT ENFORCED`
/// (18 and later). From 16 on the subscription `ks_idle` refuses `DROP DATABASE`.
pub const KITCHEN_SINK: &str = concat!(
    include_str!("01_names.sql"),
    include_str!("02_types.sql"),
    include_str!("03_functions.sql"),
    include_str!("04_tables.sql"),
    include_str!("05_partitions.sql"),
    include_str!("06_values.sql"),
    include_str!("07_views.sql"),
    include_str!("08_rights.sql"),
    include_str!("09_outside.sql"),
);

/// Runs [`KITCHEN_SINK`] in the empty database `endpoint`.
///
/// # Errors
/// The server refused a statement.
///
/// *Repeats*: fails, as the objects are there.
pub async fn load_kitchen_sink(endpoint: &Endpoint) -> Result<()> {
    let session = Session::open(endpoint, "rebuild test").await?;
    session
        .batch_execute(KITCHEN_SINK)
        .await
        .map_err(|e| server_error("could not load the kitchen sink", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, cluster, scratch_database};

    /// Tables whose rows a dump cannot compare; [`KITCHEN_SINK`] says why.
    const MOVED: [&str; 2] = ["ks.by_enum*", "ks.*child"];

    /// The first lines in which two dumps differ; thousands of equal ones say nothing.
    fn difference(before: &str, after: &str) -> Option<String> {
        let pairs = || before.lines().zip(after.lines());
        let at = pairs().position(|(a, b)| a != b);
        if at.is_none() && before.lines().count() == after.lines().count() {
            return None;
        }
        let at = at.unwrap_or_else(|| pairs().count());
        let show = |text: &str| {
            let lines: Vec<_> = text.lines().skip(at.saturating_sub(3)).take(12).collect();
            lines.join("\n")
        };
        Some(format!(
            "at line {}:\n{}\n--- became ---\n{}",
            at + 1,
            show(before),
            show(after)
        ))
    }

    #[tokio::test]
    async fn survives_a_dump_and_a_restore() {
        let cluster = cluster().await.expect("cluster");
        let original = scratch_database(&cluster).await.expect("original");
        let copy = scratch_database(&cluster).await.expect("copy");
        load_kitchen_sink(&original).await.expect("loaded");

        let dump = async |endpoint: &Endpoint, args: &[&str]| {
            let dumped = testing::dump(&cluster, endpoint, args).await;
            dumped.expect("dumped")
        };
        let all = dump(&original, &[]).await;
        testing::psql(&cluster, &copy, &all)
            .await
            .expect("restored");
        let admin = Session::open(&copy, "test").await.expect("session");
        let version: i32 = admin
            .query_one(
                "select pg_catalog.current_setting('server_version_num')::int",
                &[],
            )
            .await
            .expect("version")
            .get(0);
        if version < 150_000 {
            admin
                .batch_execute("revoke create on schema public from public")
                .await
                .expect("what newer pg_dumps forget");
        }

        let schema = dump(&original, &["--schema-only"]).await;
        assert!(schema.matches("\nCREATE ").count() > 200, "{schema}");
        let again = dump(&copy, &["--schema-only"]).await;
        assert_eq!(difference(&schema, &again), None);

        let args = MOVED.map(|table| format!("--exclude-table-data={table}"));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let rows = dump(&original, &args).await;
        assert_eq!(difference(&rows, &dump(&copy, &args).await), None);
    }
}
