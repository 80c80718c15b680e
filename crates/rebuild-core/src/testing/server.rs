//! Throwaway servers and databases. The environment of the test run picks the PostgreSQL version.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::error::Result;
use crate::model::Endpoint;
use crate::postgres::{ClusterOptions, LocalCluster, Session, ident};

/// The environment variable that names the folder with the server programs under test (`initdb`,
/// `pg_ctl`, `postgres`). Without it: the newest ones installed.
pub const SERVER_BIN: &str = "REBUILD_TEST_PG_BIN";

/// The environment variable that names the folder with the client programs (`pg_dump`,
/// `pg_restore`, `psql`). They may be newer than the server, and some server packages have none.
pub const CLIENT_BIN: &str = "REBUILD_TEST_CLIENT_BIN";

/// Options for a server with the programs that [`SERVER_BIN`] names.
pub fn cluster_options() -> ClusterOptions {
    ClusterOptions {
        bin_dir: folder(SERVER_BIN),
        ..ClusterOptions::default()
    }
}

/// Starts a server of the version under test. It goes away when dropped.
///
/// # Errors
/// As [`LocalCluster::start`].
pub async fn cluster() -> Result<LocalCluster> {
    LocalCluster::start(&cluster_options()).await
}

/// Starts a server of the version under test with `options`, whose host-based authentication is
/// `hba` (lines of `pg_hba.conf`). The folder holds that file and must live as long.
///
/// # Errors
/// As [`LocalCluster::start`].
pub async fn guarded_cluster(
    hba: &str,
    mut options: ClusterOptions,
) -> Result<(LocalCluster, TempDir)> {
    let dir = tempfile::Builder::new()
        .prefix("rebuild-hba-")
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir()?;
    let file = dir.path().join("pg_hba.conf");
    std::fs::write(&file, hba)?;
    options
        .settings
        .push(format!("hba_file = '{}'", file.display()));
    Ok((LocalCluster::start(&options).await?, dir))
}

/// The folder with `pg_dump`, `pg_restore` and `psql` for `cluster`: the one that
/// [`CLIENT_BIN`] names, otherwise the server's own.
pub fn client_bin_dir(cluster: &LocalCluster) -> PathBuf {
    named_clients().unwrap_or_else(|| cluster.bin_dir().to_owned())
}

/// The folder that [`CLIENT_BIN`] names, if it names one.
pub(crate) fn named_clients() -> Option<PathBuf> {
    folder(CLIENT_BIN)
}

/// Creates an empty UTF8 database on `cluster`, with a name no other test of this process has.
///
/// # Errors
/// The server said no.
pub async fn scratch_database(cluster: &LocalCluster) -> Result<Endpoint> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("scratch_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = Session::open(&cluster.endpoint("postgres"), "rebuild test").await?;
    admin
        .batch_execute(&format!(
            "create database {} template template0 encoding 'UTF8'",
            ident(&name)?
        ))
        .await
        .map_err(|e| crate::postgres::server_error(format!("could not create {name:?}"), e))?;
    Ok(cluster.endpoint(&name))
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scratch_database_is_empty_and_alone() {
        let cluster = cluster().await.expect("cluster");
        let one = scratch_database(&cluster).await.expect("one");
        let two = scratch_database(&cluster).await.expect("two");
        assert_ne!(one.database, two.database);
        let session = Session::open(&one, "test").await.expect("session");
        let row = session
            .query_one(
                "select pg_catalog.count(*) from pg_catalog.pg_class c
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')",
                &[],
            )
            .await
            .expect("count");
        assert_eq!(row.get::<_, i64>(0), 0);
    }
}
