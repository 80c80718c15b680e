//! A server, and databases on it that have drifted from their schema files.

mod program;
mod scene;
mod spec;
mod state;

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use rebuild_core::model::{Endpoint, Host};
use rebuild_core::postgres::{ClusterOptions, LocalCluster, Session, StopMode, ident};
use rebuild_core::testing;
use tempfile::TempDir;

pub use program::{Desk, Point, Run};
pub use scene::{ROLE, Scene};
pub use spec::{ASIDE, IN_PLACE, PRODUCTION};
pub use state::State;

/// The database that every other one is made from.
const TEMPLATE: &str = "drifted";

/// Rows for the quickstart's schema, few enough for a run of a second or two, and the same each time.
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
    update person set created_at = '2026-01-01 00:00+00';
    update reservation_log set at = '2026-01-01 00:00+00';
    refresh materialized view team_usage;
    analyze;";

/// A server and a folder. Both go away when dropped.
pub struct World {
    cluster: LocalCluster,
    folder: TempDir,
    crashed: Cell<bool>,
}

impl World {
    /// A server with the template of the databases to come.
    pub async fn start() -> Self {
        Self::start_with(testing::cluster_options()).await
    }

    /// The version of the servers that are tried on.
    pub async fn version() -> String {
        let world = Self::start().await;
        let version = world.admin().await;
        let shown = version.query_one("select current_setting('server_version')", &[]);
        let shown: String = shown.await.expect("a version").get(0);
        shown.split(' ').next().unwrap_or_default().to_owned()
    }

    /// The same, on a server with `options`.
    pub async fn start_with(options: ClusterOptions) -> Self {
        let cluster = LocalCluster::start(&options).await.expect("a server");
        let folder = TempDir::new().expect("a folder");
        let world = Self {
            cluster,
            folder,
            crashed: Cell::new(false),
        };
        world.make_template(TEMPLATE, None).await;
        world
    }

    /// Makes the database that others are made from, for a role if there is one.
    async fn make_template(&self, name: &str, owner: Option<&str>) {
        let owned = owner.map_or_else(String::new, |role| format!(" owner {role}"));
        let made = format!("create database {name} template template0{owned}");
        let admin = self.admin().await;
        admin.batch_execute(&made).await.expect("the template");
        let mut at = self.cluster.endpoint(name);
        if let Some(role) = owner {
            role.clone_into(&mut at.user);
        }
        let session = Session::open(&at, "a test").await.expect("a session");
        fill(&session).await;
        session.close().await;
    }

    /// A database of its own, with settings and a comment, and a folder with its spec and store.
    pub async fn target(&self, name: &str, strategy: &str) -> Target<'_> {
        self.target_from(TEMPLATE, name, strategy).await
    }

    async fn target_from(&self, template: &str, name: &str, strategy: &str) -> Target<'_> {
        let folder = self.folder.path().join(name);
        write_schema(&folder);
        let tools = testing::client_bin_dir(&self.cluster);
        let target = Target {
            world: self,
            name: name.to_owned(),
            desk: Desk::new(folder, tools.clone(), self.variables(name)),
        };
        std::fs::write(target.spec_file(), spec::restore(strategy, &tools)).expect("the spec");
        let admin = self.admin().await;
        let name = ident(name).expect("a name");
        let owner = (template != TEMPLATE).then(|| format!(" owner {ROLE}"));
        let owner = owner.unwrap_or_default();
        let made = format!("create database {name} template {template}{owner}");
        admin.batch_execute(&made).await.expect("a database");
        let settings = format!(
            "alter database {name} set work_mem = '5MB';
             alter database {name} connection limit 40;
             comment on database {name} is 'who has which GPU, and when'"
        );
        admin.batch_execute(&settings).await.expect("its settings");
        target
    }

    /// The variables by which programs find the database `name`.
    fn variables(&self, name: &str) -> Vec<(&'static str, String)> {
        let at = self.cluster.endpoint(name);
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

    /// The server.
    pub fn cluster(&self) -> &LocalCluster {
        &self.cluster
    }

    /// Ends the server at once, with every session, and starts it again.
    pub async fn crash(&self) {
        let ended = self.cluster.stop(StopMode::Immediate).await;
        ended.expect("it stops");
        self.recover().await;
    }

    /// Starts the server if it has ended.
    pub async fn recover(&self) {
        self.crashed.set(true);
        self.cluster.launch().await.expect("it recovers");
    }

    /// How many values a sequence may have skipped: a server that recovers goes on from what its log
    /// has, which is up to 32 values ahead.
    pub fn skipped(&self) -> i64 {
        if self.crashed.get() { 32 } else { 0 }
    }

    /// A session of the superuser in the maintenance database.
    pub async fn admin(&self) -> Session {
        self.session("postgres").await
    }

    /// A session of the superuser in `database`.
    pub async fn session(&self, database: &str) -> Session {
        Session::open(&self.cluster.endpoint(database), "a test")
            .await
            .expect("a session")
    }

    /// The databases besides those of the server and the template, by name.
    pub async fn databases(&self) -> Vec<String> {
        let rows = self
            .admin()
            .await
            .query(
                "select datname::text from pg_database
                  where datname not in ('postgres', 'template0', 'template1', 'owned', $1) order by 1",
                &[&TEMPLATE],
            )
            .await
            .expect("the databases");
        rows.iter().map(|r| r.get(0)).collect()
    }
}

/// A database to rebuild, and the folder of its spec.
pub struct Target<'a> {
    /// Where it is.
    pub world: &'a World,
    /// The database's name.
    pub name: String,
    desk: Desk,
}

/// Whoever has a target types its commands.
impl Deref for Target<'_> {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl DerefMut for Target<'_> {
    fn deref_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}

impl Target<'_> {
    /// The superuser on it.
    pub fn endpoint(&self) -> Endpoint {
        self.world.cluster.endpoint(&self.name)
    }

    /// A session of the superuser in it.
    pub async fn session(&self) -> Session {
        self.world.session(&self.name).await
    }

    /// Runs SQL in the database, and waits until its session is gone and its writes are counted.
    pub async fn sql(&self, sql: &str) {
        let session = self.session().await;
        let pid = session.backend_pid();
        session.batch_execute(sql).await.expect("the statement");
        session.close().await;
        state::session_ended(pid).await;
    }

    /// The oid of the database that has the target's name.
    pub async fn oid(&self) -> u32 {
        self.oid_of(&self.name).await.expect("the target is there")
    }

    /// The oid of the database `name`.
    pub async fn oid_of(&self, name: &str) -> Option<u32> {
        let admin = self.world.admin().await;
        let row = admin
            .query_opt("select oid from pg_database where datname = $1", &[&name])
            .await
            .expect("an answer");
        row.map(|r| r.get(0))
    }

    /// The name of the database `oid`.
    pub async fn name_of(&self, oid: u32) -> Option<String> {
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
    pub async fn drop_databases(&self) {
        let admin = self.world.admin().await;
        for name in self.world.databases().await {
            if name.starts_with(&self.name) {
                let sql = format!("drop database {} with (force)", ident(&name).unwrap());
                admin.batch_execute(&sql).await.expect("dropped");
            }
        }
    }
}

/// Puts the schema into a database, and rows that have drifted from it.
pub(crate) async fn fill(session: &Session) {
    let mut sql = "set search_path = public;".to_owned();
    for file in schema_files() {
        sql += &std::fs::read_to_string(file).expect("a schema file");
    }
    session.batch_execute(&sql).await.expect("the schema");
    session.batch_execute(ROWS).await.expect("the rows");
}

/// Puts the files of the schema into a folder of `folder`.
pub(crate) fn write_schema(folder: &Path) {
    let into = folder.join("schema");
    std::fs::create_dir_all(&into).expect("a folder");
    for file in schema_files() {
        let name = file.file_name().expect("a name");
        std::fs::copy(&file, into.join(name)).expect("a schema file");
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
