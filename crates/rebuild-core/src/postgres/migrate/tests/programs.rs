//! Real migrators on a real server.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::ErrorKind;
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::postgres::{CommandMigrator, DatabaseKey, LocalCluster, Session, find_database};
use crate::spec::{MigratorSpec, Within};
use crate::testing;
use crate::traits::{SchemaApplier, SchemaState};

struct World {
    cluster: LocalCluster,
    db: Identity,
    ctx: Ctx,
}

impl World {
    async fn new() -> Self {
        let cluster = testing::cluster().await.expect("a server");
        let scratch = testing::scratch_database(&cluster).await.expect("database");
        let session = Session::open(&scratch, "test").await.expect("session");
        let db = find_database(&session, DatabaseKey::Current)
            .await
            .expect("found")
            .expect("there");
        Self {
            cluster,
            db,
            ctx: Ctx::quiet(),
        }
    }

    fn migrator(&self, spec: &MigratorSpec, folder: &Path) -> CommandMigrator {
        CommandMigrator::new(spec, self.cluster.endpoint("postgres"), folder)
    }

    /// Applies twice, as a resumed run does, and returns what is recorded then.
    async fn migrated(&self, migrator: &CommandMigrator) -> (String, String) {
        let before = migrator.look(&self.ctx, &self.db).await.expect("look");
        assert_eq!(before, SchemaState::default());
        let backup = BackupId::generate();
        let first = migrator.apply(&self.ctx, &self.db, &backup).await;
        let first = first.expect("first").migration;
        let second = migrator.apply(&self.ctx, &self.db, &backup).await;
        assert_eq!(second.expect("second").migration, first);
        let after = migrator.look(&self.ctx, &self.db).await.expect("look");
        assert_eq!(after.migration, first);
        first.expect("a version table")
    }

    /// The server's version, as `server_version_num` has it.
    async fn version(&self) -> i32 {
        let endpoint = self.cluster.endpoint(&self.db.name);
        let session = Session::open(&endpoint, "test").await.expect("session");
        let sql = "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4";
        session.query_one(sql, &[]).await.expect("version").get(0)
    }

    async fn tables(&self) -> Vec<String> {
        let endpoint = self.cluster.endpoint(&self.db.name);
        let session = Session::open(&endpoint, "test").await.expect("session");
        let rows = session
            .query(
                "select tablename::text from pg_catalog.pg_tables
                  where schemaname = 'public' order by 1",
                &[],
            )
            .await
            .expect("tables");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A migrator with the Python environment's programs before all others.
async fn spec(argv: &[&str]) -> MigratorSpec {
    let bin = testing::python_env().await.expect("the Python environment");
    let path = std::env::var("PATH").expect("PATH");
    MigratorSpec {
        kubernetes: None,
        cloud_run: None,
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        env: BTreeMap::from([
            ("PATH".to_owned(), format!("{}:{path}", bin.display())),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ]),
        cwd: None,
        timeout: Within::seconds(120),
        url_variable: None,
        url_prefix: None,
    }
}

#[tokio::test]
async fn alembic_migrates_the_staged_database() {
    let world = World::new().await;
    let mut spec = spec(&["alembic", "-c", "alembic.ini", "upgrade", "head"]).await;
    spec.url_prefix = Some("postgresql+psycopg://".to_owned());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kidney-genetics");
    let (tool, version) = world.migrated(&world.migrator(&spec, &folder)).await;
    assert_eq!(
        (tool.as_str(), version.as_str()),
        ("alembic", "0001_consolidated")
    );
    assert!(world.tables().await.contains(&"gene_phenotype".to_owned()));
}

#[tokio::test]
async fn dbmate_migrates_the_staged_database() {
    let world = World::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    for (name, table) in [("20230101000000_a", "a"), ("20230102000000_b", "b")] {
        std::fs::write(
            dir.path().join(format!("{name}.sql")),
            format!(
                "-- migrate:up\ncreate table {table} ();\n-- migrate:down\ndrop table {table};\n"
            ),
        )
        .expect("a migration");
    }
    let mut spec = spec(&[
        "dbmate",
        "--migrations-dir",
        ".",
        "--no-dump-schema",
        "migrate",
    ])
    .await;
    spec.url_prefix = Some("postgres://".to_owned());
    let (tool, version) = world.migrated(&world.migrator(&spec, dir.path())).await;
    assert_eq!(
        (tool.as_str(), version.as_str()),
        ("dbmate", "20230102000000")
    );
    assert_eq!(world.tables().await, ["a", "b", "schema_migrations"]);
}

#[tokio::test]
async fn django_migrates_the_staged_database() {
    let world = World::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    // It reads libpq's variables by itself; only the name of the database must be given.
    let settings = "
import os
INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth']
DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'
DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql',
                         'NAME': os.environ['PGDATABASE']}}
";
    std::fs::write(dir.path().join("settings.py"), settings).expect("settings");
    let mut spec = spec(&["django-admin", "migrate", "--no-input"]).await;
    spec.env.extend([
        ("DJANGO_SETTINGS_MODULE".to_owned(), "settings".to_owned()),
        ("PYTHONPATH".to_owned(), ".".to_owned()),
    ]);
    let migrator = world.migrator(&spec, dir.path());
    if world.version().await < 140_000 {
        // Django 5.2 says so itself, and what it says is passed on.
        let applied = migrator
            .apply(&world.ctx, &world.db, &BackupId::generate())
            .await;
        let error = applied.expect_err("too old for Django").to_string();
        assert!(
            error.contains("PostgreSQL 14 or later is required"),
            "{error}"
        );
        return;
    }
    let (tool, version) = world.migrated(&migrator).await;
    assert_eq!(tool, "Django");
    let (last, digest) = version.split_once(' ').expect("two parts");
    assert_eq!(
        last,
        "auth.0012_alter_user_first_name_max_length,\
         contenttypes.0002_remove_content_type_name"
    );
    assert_eq!(digest.len(), 12);
    assert!(world.tables().await.contains(&"auth_user".to_owned()));
}

#[tokio::test]
async fn a_migrator_that_fails_or_works_elsewhere_is_an_error() {
    let world = World::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    let backup = BackupId::generate();
    let failing = spec(&["/bin/sh", "-c", "echo bad revision >&2; exit 255"]).await;
    let error = world
        .migrator(&failing, dir.path())
        .apply(&world.ctx, &world.db, &backup)
        .await
        .expect_err("exit 255");
    assert_eq!(
        error.to_string(),
        "sh ended with exit code 255; its last lines:\nbad revision"
    );
    let idle = spec(&["/bin/true"]).await;
    let idle = world.migrator(&idle, dir.path());
    let error = idle
        .apply(&world.ctx, &world.db, &backup)
        .await
        .expect_err("nothing was migrated");
    assert_eq!(error.kind(), ErrorKind::Program);
    assert!(error.to_string().contains("has no table"), "{error}");
    let other = Identity {
        uid: "1".to_owned(),
        ..world.db.clone()
    };
    let error = idle
        .apply(&world.ctx, &other, &backup)
        .await
        .expect_err("another database");
    assert_eq!(error.kind(), ErrorKind::Refused);
}
