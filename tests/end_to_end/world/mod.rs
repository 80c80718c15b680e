//! A server, and databases on it that have drifted from their schema files.

mod program;
mod spec;
mod state;

use std::path::{Path, PathBuf};

use rebuild_core::model::{Endpoint, Host};
use rebuild_core::postgres::{ClusterOptions, LocalCluster, Session, ident};
use rebuild_core::testing;
use tempfile::TempDir;

pub(crate) use program::{Point, Run};
pub(crate) use spec::{ASIDE, IN_PLACE};
pub(crate) use state::State;

/// The database that every other one is made from.
const TEMPLATE: &str = "drifted";

/// Rows for the quickstart's schema, few enough for a run of a second or two.
const ROWS: &str = "
    alter table gpu drop column memory_gib;
    insert into host (name, rack) select 'gpu-' || n, n % 3 from generate_series(1, 5) n;
    insert into gpu (host_id, slot, model, state)
        select h.id, s, 'B200', case when s = 3 then 'broken'::gpu_state else 'available'::gpu_state end
          from host h, generate_series(0, 7) s;
    insert into person (email, team)
        select 'person' || n || '@example.org', 'team-' || n % 17 from generate_series(1, 400) n;
    insert into reservation (gpu_id, person_id, starts_at, ends_at, cancelled, note)
        select 1 + n % 40, 1 + n % 400, timestamptz '2026-01-01 00:00+00' + n * interval '3 minutes',
               timestamptz '2026-01-02 00:00+00' + n * interval '5 minutes', n % 29 = 0,
               case when n % 5 = 0 then 'training run ' || n end
          from generate_series(1, 2000) n;
    refresh materialized view team_usage;
    analyze;";

/// A server and a folder. Both go away when dropped.
pub(crate) struct World {
    cluster: LocalCluster,
    folder: TempDir,
}

impl World {
    /// A server with the template of the databases to come.
    pub(crate) async fn start() -> Self {
        Self::start_with(testing::cluster_options()).await
    }

    pub(crate) async fn start_with(options: ClusterOptions) -> Self {
        let cluster = LocalCluster::start(&options).await.expect("a server");
        let folder = TempDir::new().expect("a folder");
        let world = Self { cluster, folder };
        let admin = world.admin().await;
        admin
            .batch_execute(&format!("create database {TEMPLATE} template template0"))
            .await
            .expect("the template");
        let session = world.session(TEMPLATE).await;
        let mut sql = "set search_path = public;".to_owned();
        for file in schema_files() {
            sql += &std::fs::read_to_string(file).expect("a schema file");
        }
        session.batch_execute(&sql).await.expect("the schema");
        session.batch_execute(ROWS).await.expect("the rows");
        session.close().await;
        world
    }

    /// A database of its own, with settings and a comment, and a folder with its spec and store.
    pub(crate) async fn target(&self, name: &str, strategy: &str) -> Target<'_> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(folder.join("schema")).expect("a folder");
        for file in schema_files() {
            let name = file.file_name().expect("a name");
            std::fs::copy(&file, folder.join("schema").join(name)).expect("a schema file");
        }
        let target = Target {
            world: self,
            name: name.to_owned(),
            folder,
            environment: Vec::new(),
        };
        let tools = testing::client_bin_dir(&self.cluster);
        std::fs::write(target.spec_file(), spec::text(strategy, &tools)).expect("the spec");
        let admin = self.admin().await;
        let name = ident(name).expect("a name");
        let made = format!("create database {name} template {TEMPLATE}");
        admin.batch_execute(&made).await.expect("a database");
        let settings = format!(
            "alter database {name} set work_mem = '5MB';
             alter database {name} connection limit 40;
             comment on database {name} is 'who has which GPU, and when'"
        );
        admin.batch_execute(&settings).await.expect("its settings");
        target
    }

    pub(crate) fn cluster(&self) -> &LocalCluster {
        &self.cluster
    }

    /// A session of the superuser in the maintenance database.
    pub(crate) async fn admin(&self) -> Session {
        self.session("postgres").await
    }

    /// A session of the superuser in `database`.
    pub(crate) async fn session(&self, database: &str) -> Session {
        Session::open(&self.cluster.endpoint(database), "a test")
            .await
            .expect("a session")
    }

    /// The databases besides those of the server and the template, by name.
    pub(crate) async fn databases(&self) -> Vec<String> {
        let rows = self
            .admin()
            .await
            .query(
                "select datname::text from pg_database
                  where datname not in ('postgres', 'template0', 'template1', $1) order by 1",
                &[&TEMPLATE],
            )
            .await
            .expect("the databases");
        rows.iter().map(|r| r.get(0)).collect()
    }
}

/// A database to rebuild, and the folder of its spec.
pub(crate) struct Target<'a> {
    pub(crate) world: &'a World,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Variables that the program gets besides those of the server.
    pub(crate) environment: Vec<(String, String)>,
}

impl Target<'_> {
    pub(crate) fn spec_file(&self) -> PathBuf {
        self.folder.join("rebuild.toml")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Replaces `old` in the spec, where it must stand once.
    pub(crate) fn edit_spec(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.spec_file()).expect("the spec");
        assert_eq!(text.matches(old).count(), 1, "{old:?} in the spec");
        std::fs::write(self.spec_file(), text.replace(old, new)).expect("the spec");
    }

    /// Adds to the end of the spec.
    pub(crate) fn add_to_spec(&self, more: &str) {
        let text = std::fs::read_to_string(self.spec_file()).expect("the spec");
        std::fs::write(self.spec_file(), text + more).expect("the spec");
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.world.cluster.endpoint(&self.name)
    }

    pub(crate) async fn session(&self) -> Session {
        self.world.session(&self.name).await
    }

    /// Runs SQL in the database, and waits until its session is gone and its writes are counted.
    pub(crate) async fn sql(&self, sql: &str) {
        let session = self.session().await;
        let pid = session.backend_pid();
        session.batch_execute(sql).await.expect("the statement");
        session.close().await;
        state::session_ended(pid).await;
    }

    /// The oid of the database that has the target's name.
    pub(crate) async fn oid(&self) -> u32 {
        self.oid_of(&self.name).await.expect("the target is there")
    }

    pub(crate) async fn oid_of(&self, name: &str) -> Option<u32> {
        let admin = self.world.admin().await;
        let row = admin
            .query_opt("select oid from pg_database where datname = $1", &[&name])
            .await
            .expect("an answer");
        row.map(|r| r.get(0))
    }

    /// The name of the database `oid`.
    pub(crate) async fn name_of(&self, oid: u32) -> Option<String> {
        let admin = self.world.admin().await;
        let row = admin
            .query_opt(
                "select datname::text from pg_database where oid = $1",
                &[&oid],
            )
            .await
            .expect("an answer");
        row.map(|r| r.get(0))
    }

    /// Drops every database whose name begins with the target's.
    pub(crate) async fn drop_databases(&self) {
        let admin = self.world.admin().await;
        for name in self.world.databases().await {
            if name.starts_with(&self.name) {
                let sql = format!("drop database {} with (force)", ident(&name).unwrap());
                admin.batch_execute(&sql).await.expect("dropped");
            }
        }
    }

    /// The variables by which the program finds the server.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let at = self.endpoint();
        let Host::Socket(folder) = &at.host else {
            panic!("the endpoint is a socket");
        };
        vec![
            ("PGHOST", folder.display().to_string()),
            ("PGPORT", at.port.to_string()),
            ("PGUSER", at.user.clone()),
            ("PGDATABASE", at.database.clone()),
        ]
    }
}

fn schema_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart/schema");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the quickstart's schema")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}
