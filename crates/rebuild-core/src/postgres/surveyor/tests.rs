//! Surveys of a real server, with a schema that is a string of SQL.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::*;
use crate::model::TableName;
use crate::postgres::{LocalCluster, PgSqlFiles, SqlPart};
use crate::spec::FileOrder;
use crate::testing::dump;
use crate::traits::{SchemaApplied, SchemaState};

/// A schema that is one script.
struct Script {
    maintenance: Endpoint,
    sql: String,
    applied: AtomicU32,
}

#[async_trait]
impl SchemaApplier for Script {
    async fn look(&self, _: &Ctx, _: &Identity) -> Result<SchemaState> {
        Ok(SchemaState {
            pending: vec!["schema.sql".to_owned()],
            ..SchemaState::default()
        })
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        self.applied.fetch_add(1, Ordering::Relaxed);
        let session = Session::open_at(&self.maintenance, db, ctx).await?;
        let done = session.batch_execute(&self.sql).await;
        session.close().await;
        done.map(|()| SchemaApplied::default())
            .map_err(|e| crate::postgres::server_error("the script failed", e))
    }
}

struct World {
    cluster: LocalCluster,
    admin: Session,
    folder: tempfile::TempDir,
    ctx: Ctx,
}

const LIVE: &str = "
    create table public.gpu (id bigint primary key, name text);
    create table public.forgotten (id int primary key);
    insert into public.forgotten select * from pg_catalog.generate_series(1, 250);
    analyze public.forgotten;
    create table public.alembic_version (version_num text primary key);
    create schema rebuild; create table rebuild.schema_history (path text)";

const FILES: &str = "
    create table public.gpu (id bigint primary key, name text, vendor text not null);
    create index gpu_vendor on public.gpu (vendor);
    create table public.reservation (id int);
    create table public.alembic_version (version_num text primary key)";

impl World {
    async fn new() -> Self {
        let cluster = crate::testing::cluster().await.expect("a server");
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("a session");
        admin
            .batch_execute("create database app")
            .await
            .expect("made");
        Session::open(&cluster.endpoint("app"), "test")
            .await
            .expect("a session")
            .batch_execute(LIVE)
            .await
            .expect("the live schema");
        Self {
            cluster,
            admin,
            folder: tempfile::tempdir().expect("a folder"),
            ctx: Ctx::quiet(),
        }
    }

    fn script(&self, sql: &str) -> Script {
        Script {
            maintenance: self.cluster.endpoint("postgres"),
            sql: sql.to_owned(),
            applied: AtomicU32::new(0),
        }
    }

    async fn surveyor(&self, schema: Arc<dyn SchemaApplier>, store: &Path) -> PgSurveyor {
        PgSurveyor {
            endpoint: self.cluster.endpoint("postgres"),
            maintenance: self.cluster.endpoint("postgres"),
            database: "app".to_owned(),
            schema,
            fixtures: None,
            files: true,
            source: None,
            provision: ProvisionOptions::default(),
            tools: Vec::new(),
            store: Store::open(
                &format!("file://{}", store.display()),
                &crate::Environment::default(),
            )
            .await
            .expect("a store"),
        }
    }

    async fn databases(&self) -> Vec<String> {
        self.admin
            .query(
                "select datname::text from pg_catalog.pg_database
                  where not datistemplate order by datname collate \"C\"",
                &[],
            )
            .await
            .expect("databases")
            .iter()
            .map(|row| row.get(0))
            .collect()
    }
}

#[tokio::test]
async fn the_drift_is_what_the_files_would_change() {
    let w = World::new().await;
    let script = Arc::new(w.script(FILES));
    let surveyor = w
        .surveyor(script.clone(), &w.folder.path().join("store"))
        .await;
    let survey = surveyor.survey(&w.ctx, true).await.expect("a survey");
    let table = |name: &str| TableName::new("public", name);
    assert_eq!(
        survey.drift,
        Some(Drift {
            new_tables: vec![table("reservation")],
            lost_tables: vec![(table("forgotten"), Some(250))],
            tables: vec![crate::plan::TableDrift {
                table: table("gpu"),
                new_columns: vec![("vendor".into(), "text".into())],
                lost_columns: vec![],
                changed_columns: vec![],
            }],
            objects: drift_objects(survey.inventory.server.major()),
        })
    );
    assert_eq!(w.databases().await, ["app", "postgres"], "no scratch left");
    assert_eq!(survey.schema.pending, ["schema.sql"]);
    assert!(survey.store_free_bytes.is_some_and(|b| b > 0));
    assert!(survey.server_free_bytes.is_some_and(|b| b > 0));
    assert!(!survey.store_inside_target);
    let again = surveyor.survey(&w.ctx, false).await.expect("a survey");
    assert_eq!(again.drift, None);
    assert_eq!(again.schema_hash, survey.schema_hash);
    assert_eq!(
        script.applied.load(Ordering::Relaxed),
        1,
        "not without drift"
    );
}

/// From 18 on, a column that must not be null has a constraint with a name.
fn drift_objects(major: u32) -> Vec<(char, String)> {
    let mut objects = vec![('+', "index public.gpu_vendor".to_owned())];
    if major >= 18 {
        objects.insert(
            0,
            (
                '+',
                "constraint gpu_vendor_not_null on public.gpu".to_owned(),
            ),
        );
    }
    objects
}

#[tokio::test]
async fn a_schema_that_cannot_be_applied_leaves_nothing_behind() {
    let w = World::new().await;
    let script = Arc::new(w.script("create table public.t (); select 1 / 0"));
    let surveyor = w.surveyor(script, &w.folder.path().join("store")).await;
    let e = surveyor.survey(&w.ctx, true).await.expect_err("a division");
    assert!(e.chain().contains("22012"), "{e:?}");
    assert_eq!(w.databases().await, ["app", "postgres"]);
}

/// Waits until the look at the live schema waits for a lock, and ends it.
const CUTS_OFF_THE_LOOK: &str = "do $$
    declare looking int;
    begin
        while looking is null loop
            perform pg_catalog.pg_sleep(0.01);
            perform pg_catalog.pg_stat_clear_snapshot();
            select pid into looking from pg_catalog.pg_stat_activity
             where datname = 'app' and wait_event_type = 'Lock';
        end loop;
        perform pg_catalog.pg_terminate_backend(looking);
    end $$";

#[tokio::test]
async fn both_schemas_are_looked_at_at_once_and_a_failure_leaves_nothing_behind() {
    let w = World::new().await;
    let holder = Session::open(&w.cluster.endpoint("app"), "test")
        .await
        .expect("a session");
    holder
        .batch_execute("begin; lock table public.gpu in access exclusive mode")
        .await
        .expect("locked");
    let script = Arc::new(w.script(CUTS_OFF_THE_LOOK));
    let surveyor = w.surveyor(script, &w.folder.path().join("store")).await;
    let survey = surveyor.survey(&w.ctx, true);
    let survey = tokio::time::timeout(Duration::from_secs(60), survey).await;
    survey
        .expect("the script runs while the look waits")
        .expect_err("the look was cut off");
    assert_eq!(w.databases().await, ["app", "postgres"]);
}

#[tokio::test]
async fn fixtures_that_are_not_there_are_missed_at_once() {
    let w = World::new().await;
    let script = Arc::new(w.script(FILES));
    let mut surveyor = w
        .surveyor(script.clone(), &w.folder.path().join("store"))
        .await;
    surveyor.fixtures = Some(Arc::new(PgSqlFiles {
        part: SqlPart::Fixtures,
        endpoint: w.cluster.endpoint("postgres"),
        folder: w.folder.path().to_owned(),
        patterns: vec!["fixtures/*.sql".to_owned()],
        order: FileOrder::Lexicographic,
        limit: Duration::from_secs(60),
    }));
    let e = surveyor.survey(&w.ctx, true).await.expect_err("no file");
    assert!(e.chain().contains("\"fixtures/*.sql\""), "{e:?}");
    assert_eq!(script.applied.load(Ordering::Relaxed), 0);

    let fixtures = w.folder.path().join("fixtures");
    std::fs::create_dir(&fixtures).expect("a folder");
    std::fs::write(fixtures.join("a.sql"), "select 1").expect("a file");
    Session::open(&w.cluster.endpoint("app"), "test")
        .await
        .expect("a session")
        .batch_execute("drop schema rebuild cascade")
        .await
        .expect("no history");
    let survey = surveyor.survey(&w.ctx, true).await.expect("a survey");
    let paths: Vec<&str> = survey.fixtures.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["fixtures/a.sql"]);
    let new = survey.new_schema_hash.expect("a look at the files");
    assert_ne!(new, survey.schema_hash);
}

#[tokio::test]
async fn a_store_in_the_data_directory_is_found_through_links() {
    let w = World::new().await;
    let data: String = w
        .admin
        .query_one("select pg_catalog.current_setting('data_directory')", &[])
        .await
        .expect("a folder")
        .get(0);
    let link = w.folder.path().join("link");
    std::os::unix::fs::symlink(&data, &link).expect("a link");
    let surveyor = w
        .surveyor(Arc::new(w.script("")), &link.join("store"))
        .await;
    let survey = surveyor.survey(&w.ctx, false).await.expect("a survey");
    assert!(survey.store_inside_target);
}

#[tokio::test]
async fn the_session_that_looks_at_the_target_cannot_write() {
    let w = World::new().await;
    let store = w.folder.path().join("store");
    let surveyor = w.surveyor(Arc::new(w.script("")), &store).await;
    let session = surveyor.open(&w.ctx).await.expect("a session");
    for sql in [
        "insert into public.forgotten values (0)",
        "create table public.t (n int)",
        "begin; delete from public.forgotten; commit",
    ] {
        let e = session.batch_execute(sql).await.expect_err(sql);
        assert_eq!(
            e.code(),
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
            "{sql}"
        );
        session
            .batch_execute("rollback")
            .await
            .expect("rolled back");
    }
}

/// Everything in the target: schema, rows, and its settings and comment.
async fn everything(w: &World) -> String {
    let dumped = dump(&w.cluster, &w.cluster.endpoint("app"), &["--create"]).await;
    dumped.expect("dumped")
}

#[tokio::test]
async fn a_survey_leaves_the_target_as_it_was() {
    let w = World::new().await;
    let store = w.folder.path().join("store");
    let script = w.script("create table public.other (n int); insert into public.other values (1)");
    let surveyor = w.surveyor(Arc::new(script), &store).await;
    let before = everything(&w).await;
    assert!(before.contains("forgotten"), "{before}");
    surveyor.survey(&w.ctx, true).await.expect("a survey");
    assert_eq!(everything(&w).await, before);
}
