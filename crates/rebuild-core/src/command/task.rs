//! A command that works on the database: a load, a backfill, a smoke test.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::target_env::TargetEnv;
use super::{Invocation, run_ok};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::postgres::require_named;
use crate::spec::CommandSpec;
use crate::traits::Task;

/// A `[[load]]` or `[[after]]` of the spec.
#[derive(Debug)]
pub struct CommandTask {
    spec: CommandSpec,
    endpoint: Endpoint,
    cwd: PathBuf,
}

impl CommandTask {
    /// The command that `spec` describes. `endpoint` is the server, with any database; `folder`
    /// is the spec's own folder.
    pub fn new(spec: &CommandSpec, endpoint: Endpoint, folder: &Path) -> Self {
        Self {
            cwd: super::folder_of(folder, spec.cwd.as_deref()),
            spec: spec.clone(),
            endpoint,
        }
    }
}

#[async_trait]
impl Task for CommandTask {
    fn name(&self) -> String {
        self.spec.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        require_named(&self.endpoint, ctx, db).await?;
        let target = TargetEnv::new(
            ctx,
            &self.endpoint.with_database(&db.name),
            self.spec.url_variable.as_deref(),
            self.spec.url_prefix.as_deref(),
        );
        let invocation = Invocation {
            name: self.spec.name.clone(),
            argv: self.spec.command.clone(),
            env: super::with_target(&self.spec.env, target.plain),
            secret_env: target.secret,
            cwd: self.cwd.clone(),
            limit: self.spec.timeout.0,
        };
        run_ok(ctx, &invocation).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::model::Host;
    use crate::postgres::{DatabaseKey, LocalCluster, Session, find_database, ident};
    use crate::testing;

    /// Names that a careless URL or shell would break on.
    const DATABASE: &str = "my app/é?#%41";
    const ROLE: &str = "o'neil @corp:x";

    async fn world() -> (LocalCluster, Endpoint, Identity) {
        let cluster = testing::cluster().await.expect("a server");
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("a session");
        for sql in [
            format!("create role {} superuser login", ident(ROLE).expect("name")),
            format!("create database {}", ident(DATABASE).expect("name")),
        ] {
            admin.batch_execute(&sql).await.expect(&sql);
        }
        let db = find_database(&admin, DatabaseKey::Name(DATABASE))
            .await
            .expect("found")
            .expect("there");
        let mut endpoint = cluster.endpoint("postgres");
        endpoint.user = ROLE.to_owned();
        (cluster, endpoint, db)
    }

    fn task(cluster: &LocalCluster, endpoint: Endpoint, dir: &Path, text: &str) -> CommandTask {
        let psql = testing::client_bin_dir(cluster).join("psql");
        let spec = CommandSpec {
            name: "load".to_owned(),
            command: ["/bin/sh", "-ec", text].map(ToOwned::to_owned).to_vec(),
            env: [
                ("PSQL".to_owned(), psql.display().to_string()),
                // A spec cannot send a program elsewhere.
                ("PGDATABASE".to_owned(), "postgres".to_owned()),
            ]
            .into(),
            cwd: None,
            function: None,
            kubernetes: None,
            cloud_run: None,
            bigquery: None,
            infrastructure: None,
            timeout: crate::spec::Within::seconds(60),
            url_variable: Some("APP_DB".to_owned()),
            url_prefix: Some("postgres://".to_owned()),
        };
        CommandTask::new(&spec, endpoint, dir)
    }

    #[tokio::test]
    async fn a_program_finds_the_database_by_variables_and_by_url() {
        let (cluster, endpoint, db) = world().await;
        let dir = tempfile::tempdir().expect("a folder");
        let text = r#"
            sql="select current_database() || '|' || current_user || '|' ||
                        current_setting('application_name')"
            "$PSQL" -XAtc "$sql" > by_variables
            "$PSQL" -XAtc "$sql" "$APP_DB" > by_url
            echo "$REBUILD_DATABASE|$REBUILD_RUN" > told"#;
        let ctx = Ctx::quiet();
        task(&cluster, endpoint, dir.path(), text)
            .run(&ctx, &db)
            .await
            .expect("it ran");
        let read = |name| std::fs::read_to_string(dir.path().join(name)).expect(name);
        let here = format!("{DATABASE}|{ROLE}|rebuild/{}\n", ctx.run);
        assert_eq!(read("by_variables"), here);
        assert_eq!(read("by_url"), here);
        assert_eq!(read("told"), format!("{DATABASE}|{}\n", ctx.run));
    }

    #[tokio::test]
    async fn a_name_that_means_another_database_now_is_refused() {
        let (cluster, endpoint, mut db) = world().await;
        let dir = tempfile::tempdir().expect("a folder");
        db.uid = "1".to_owned();
        let error = task(&cluster, endpoint, dir.path(), "touch ran")
            .run(&Ctx::quiet(), &db)
            .await
            .expect_err("another database");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(!dir.path().join("ran").exists());
    }

    #[tokio::test]
    async fn a_password_that_the_program_prints_does_not_show() {
        let (cluster, mut endpoint, db) = world().await;
        endpoint.password = Some(crate::Secret::new("tr0ub4dor &3"));
        assert!(matches!(endpoint.host, Host::Socket(_)));
        let dir = tempfile::tempdir().expect("a folder");
        let text = "env; echo \"psycopg:${APP_DB#postgres:}\"; exit 1";
        let error = task(&cluster, endpoint, dir.path(), text)
            .run(&Ctx::quiet(), &db)
            .await
            .expect_err("exit 1");
        let shown = error.chain();
        assert!(!shown.contains("tr0ub4dor"), "{shown}");
        assert!(
            shown.contains("psycopg://o%27neil%20%40corp%3Ax:***@/"),
            "{shown}"
        );
    }
}
