//! What gives a staged PostgreSQL database its schema keeps the contract, on a real server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;

use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::postgres::{
    CommandMigrator, DatabaseKey, LocalCluster, PgSqlFiles, Session, SqlPart, find_database,
};
use crate::spec::FileOrder;
use crate::testing::conformance::{self, DatabaseScene, SchemaStage};
use crate::testing::{client_bin_dir, cluster, scratch_database};
use crate::traits::SchemaApplier;

const LIMIT: Duration = Duration::from_secs(60);

/// An empty database and something under test that works on it.
struct Stage<T> {
    cluster: Arc<LocalCluster>,
    endpoint: Endpoint,
    db: Identity,
    ctx: Ctx,
    backup: BackupId,
    /// The files that the subject reads.
    _folder: TempDir,
    subject: T,
}

impl<T> Stage<T> {
    /// A stage on `cluster`; `subject` is made of the server, a folder for files, and the id of a
    /// backup.
    async fn new(
        cluster: &Arc<LocalCluster>,
        subject: impl FnOnce(Endpoint, &TempDir, &BackupId) -> T,
    ) -> Self {
        let endpoint = scratch_database(cluster).await.expect("a database");
        let folder = TempDir::new().expect("a folder");
        let backup = BackupId::generate();
        Self {
            db: identity(&endpoint).await,
            subject: subject(cluster.endpoint("postgres"), &folder, &backup),
            cluster: cluster.clone(),
            endpoint,
            ctx: Ctx::quiet(),
            backup,
            _folder: folder,
        }
    }

    async fn session(&self) -> Session {
        Session::open(&self.endpoint, "conformance")
            .await
            .expect("a session")
    }

    async fn text(&self, sql: &str) -> String {
        let row = self.session().await.query_one(sql, &[]).await;
        row.expect("an answer").get(0)
    }
}

pub(super) async fn identity(endpoint: &Endpoint) -> Identity {
    let session = Session::open(endpoint, "conformance")
        .await
        .expect("a session");
    find_database(&session, DatabaseKey::Current)
        .await
        .expect("an answer")
        .expect("there")
}

pub(super) async fn another(cluster: &LocalCluster) -> Identity {
    identity(&scratch_database(cluster).await.expect("a database")).await
}

/// Every column of every table in the schema public.
pub(super) const SHAPE: &str = "
    select coalesce(pg_catalog.string_agg(
             pg_catalog.format('%s.%s.%s', n.nspname, c.relname, a.attname), ' '
             order by n.nspname, c.relname, a.attnum), '')
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname = 'public' and a.attnum > 0";

#[async_trait]
impl<T: SchemaApplier> DatabaseScene for Stage<T> {
    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.db
    }

    fn backup(&self) -> &BackupId {
        &self.backup
    }

    async fn stranger(&self) -> Identity {
        another(&self.cluster).await
    }
}

#[async_trait]
impl<T: SchemaApplier> SchemaStage for Stage<T> {
    fn schema(&self) -> &dyn SchemaApplier {
        &self.subject
    }

    async fn shape(&self) -> String {
        self.text(SHAPE).await
    }
}

/// Files of which none can be run twice.
fn write_files(folder: &TempDir) {
    for (name, sql) in [
        ("01_t.sql", "create table public.t (n int);"),
        (
            "02_u.sql",
            "alter table public.t add column m int; create table public.u (n int);",
        ),
    ] {
        std::fs::write(folder.path().join(name), sql).expect("a file");
    }
}

async fn sql_files(part: SqlPart) {
    let cluster = Arc::new(cluster().await.expect("a server"));
    conformance::schema(async || {
        Stage::new(&cluster, |endpoint, folder, _| {
            write_files(folder);
            PgSqlFiles {
                part,
                endpoint,
                folder: folder.path().to_owned(),
                patterns: vec!["*.sql".to_owned()],
                order: FileOrder::Lexicographic,
                limit: LIMIT,
            }
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn pg_sql_files_of_a_schema() {
    sql_files(SqlPart::Schema).await;
}

#[tokio::test]
async fn pg_sql_files_of_fixtures() {
    sql_files(SqlPart::Fixtures).await;
}

/// The migrator is psql with a file that can be run twice, as a migrator can.
#[tokio::test]
async fn command_migrator() {
    let cluster = Arc::new(cluster().await.expect("a server"));
    conformance::schema(async || {
        Stage::new(&cluster, |endpoint, folder, _| {
            let psql = client_bin_dir(&cluster).join("psql");
            let spec = serde_json::from_value(json!({
                "argv": [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c",
                         "create table if not exists public.t (n int)"],
            }))
            .expect("a migrator's part of a spec");
            CommandMigrator::new(&spec, endpoint, folder.path())
        })
        .await
    })
    .await;
}
