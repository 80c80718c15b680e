//! `rebuild instance restore`, as somebody types it, with an instance of Cloud SQL in this process.

use std::path::PathBuf;

use rebuild_core::Environment;
use rebuild_core::postgres::{LocalCluster, Session};
use rebuild_core::testing::{CLIENT_BIN, cluster_options};
use rebuild_testgoogle::{Google, OperationFault, SqlInstance};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::world::Desk;

const RESTORE: &str = "sql.instances.restoreBackup";

/// An instance `main` with a database `app`, and a desk with a spec for it.
struct Office {
    google: Google,
    instance: SqlInstance,
    desk: Desk,
    _folder: TempDir,
}

impl Office {
    async fn open() -> Self {
        let google = Google::start().await.expect("a server of APIs");
        let new = google.instance("shop", "europe-west1", "main");
        let instance = new.password("tr0ub4dor").create().await;
        let instance = instance.expect("an instance");
        let bin = LocalCluster::programs(&cluster_options()).await;
        let bin = bin.expect("server programs");
        let tools = std::env::var_os(CLIENT_BIN).map_or(bin, PathBuf::from);
        let folder = TempDir::new().expect("a folder");
        let desk = Desk::new(folder.path().to_owned(), tools.clone(), Vec::new());
        let credentials = google.credentials_file().expect("credentials");
        let (at, sockets) = (google.url(), google.socket_folder());
        let spec = format!(
            "version = 1\nstore.url = \"store\"\nbackup.tools = {tools:?}\n\
             [gcp]\nproject = \"shop\"\ncredentials = {credentials:?}\n\
             endpoints = {{ sql = \"{at}\", storage = \"{at}\" }}\n\
             [target]\nurl = \"postgresql:///app?user=postgres\"\npassword = \"tr0ub4dor\"\n\
             [target.cloudsql]\ninstance = \"{}\"\nconnect = \"socket\"\n\
             socket_directory = {sockets:?}\nbackup_run = {{}}\n",
            instance.connection_name()
        );
        std::fs::write(desk.spec_file(), spec).expect("the spec");
        let office = Self {
            google,
            instance,
            desk,
            _folder: folder,
        };
        office.sql("postgres", "create database app").await;
        let rows = "create table public.lines as select generate_series(1, 2000) as id";
        office.sql("app", rows).await;
        office
    }

    async fn session(&self, database: &str) -> Session {
        let url = self.instance.url("postgres", "tr0ub4dor", database);
        let endpoint = Environment::default().endpoint(&url, false);
        let session = Session::open(&endpoint.expect("an endpoint"), "a test").await;
        session.expect("a session")
    }

    async fn sql(&self, database: &str, sql: &str) {
        let session = self.session(database).await;
        session.batch_execute(sql).await.expect(sql);
        session.close().await;
    }

    async fn rows(&self) -> i64 {
        let session = self.session("app").await;
        let counted = session.query_one("select count(*) from public.lines", &[]);
        let rows = counted.await.expect("a count").get(0);
        session.close().await;
        rows
    }

    /// Takes a backup, after which most rows are lost: its id.
    async fn backup(&self) -> String {
        self.desk.rebuild(&["backup"]).await.expect(0);
        let listed = self.desk.rebuild_json(&["backups", "list"]).await.expect(0);
        let id = listed.json()[0]["id"].as_str().expect("an id").to_owned();
        self.sql("app", "delete from public.lines where id > 10")
            .await;
        id
    }
}

#[tokio::test]
async fn an_instance_is_restored_under_its_typed_name_and_goes_back_as_the_command_says() {
    let office = Office::open().await;
    let id = office.backup().await;
    let untyped = office.desk.rebuild(&["instance", "restore", &id]).await;
    let untyped = untyped.expect(3);
    for part in [
        "every database of instance shop:europe-west1:main",
        "--confirm main",
    ] {
        assert!(untyped.stderr.contains(part), "{part}: {}", untyped.stderr);
    }
    let other = ["instance", "restore", &id, "--confirm", "app"];
    office.desk.rebuild(&other).await.expect(3);
    office
        .desk
        .rebuild(&["instance", "restore"])
        .await
        .expect(2);
    assert!(office.google.calls(RESTORE).is_empty());

    let restore = ["instance", "restore", &id, "--confirm", "main"];
    let restored = office.desk.rebuild_json(&restore).await.expect(0).json();
    assert_eq!(restored["replicas"], serde_json::json!([]));
    let checks = restored["verdict"]["checks"].as_array().expect("checks");
    assert!(!checks.is_empty());
    assert_eq!(office.rows().await, 2000);

    let before = restored["before"].to_string();
    let back = ["instance", "restore", "--run", &before, "--confirm", "main"];
    let back = office.desk.rebuild(&back).await.expect(0);
    let wanted = "restored; the instance as it was is its backup run ";
    assert!(back.stdout.starts_with(wanted), "{}", back.stdout);
    assert_eq!(office.rows().await, 10);

    // One that is not allowed says how to go on and back.
    office.google.deny(RESTORE);
    let refused = office.desk.rebuild(&restore).await.expect(4);
    let way = "rebuild instance restore --run ";
    assert!(refused.stderr.contains(way), "{}", refused.stderr);
    assert_eq!(office.rows().await, 10);
    office.google.assert_clean();
}

#[tokio::test]
async fn a_restore_that_is_killed_goes_on_with_the_same_command() {
    let office = Office::open().await;
    let id = office.backup().await;
    let held = office.google.fault_operation(RESTORE, OperationFault::Hold);
    let restore = ["instance", "restore", &id, "--confirm", "main"];
    let desk = &office.desk;
    let killed = desk.signal_when(&restore, held.strikes(), Signal::KILL);
    assert!(killed.await.was_killed());
    held.release();
    let again = office.desk.rebuild_json(&restore).await.expect(0).json();
    assert!(again["before"].is_i64(), "{again}");
    assert_eq!(office.rows().await, 2000);
    assert_eq!(office.google.calls(RESTORE).len(), 1);
    office.google.assert_clean();
}

#[tokio::test]
async fn an_instance_whose_making_is_killed_is_made_with_the_same_command() {
    let office = Office::open().await;
    let (desk, insert) = (&office.desk, "sql.instances.insert");
    let spec = std::fs::read_to_string(desk.spec_file()).expect("the spec");
    let version = office.instance.version();
    let spec = format!(
        "{}[target.cloudsql.create]\nversion = \"{version}\"\ntier = \"db-f1-micro\"\n",
        spec.replace(":main\"", ":second\"")
    );
    std::fs::write(desk.spec_file(), spec).expect("the spec");
    let held = office.google.fault_operation(insert, OperationFault::Hold);
    let create = ["instance", "create"];
    let killed = desk.signal_when(&create, held.strikes(), Signal::KILL);
    assert!(killed.await.was_killed());
    held.release();
    let again = desk.rebuild(&create).await.expect(0).stdout;
    let made = "instance shop:europe-west1:second was made before, and is there, with the users";
    assert!(again.starts_with(made), "{again}");
    assert_eq!(office.google.calls(insert).len(), 1);
    office.google.assert_clean();
}
