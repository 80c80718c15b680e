//! A database in an instance of Cloud SQL, as this crate's tests need one.

use std::path::Path;
use std::sync::Arc;

use rebuild_testgoogle::{Google, SqlInstance};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::Environment;
use crate::event::{Events, Sink};
use crate::model::Endpoint;
use crate::postgres::Session;
use crate::project::Project;

/// The password of the user `postgres`.
const PASSWORD: &str = "tr0ub4dor";

/// The project and region of everything.
pub(crate) const PROJECT: &str = "shop";
const REGION: &str = "europe-west1";

/// An API, an instance in it, and a folder for a spec and its store.
pub(crate) struct World {
    pub(crate) google: Google,
    pub(crate) instance: SqlInstance,
    pub(crate) folder: TempDir,
}

impl World {
    /// An instance `main` with a database `app` of the user `postgres`, who is no superuser.
    pub(crate) async fn new() -> Self {
        let google = Google::start().await.expect("a server of APIs");
        let new = google.instance(PROJECT, REGION, "main").password(PASSWORD);
        let instance = new.create().await.expect("an instance");
        let world = Self {
            google,
            instance,
            folder: TempDir::new().expect("a folder"),
        };
        world.create_database(&world.instance, "app").await;
        world
            .sql(
                "app",
                "create table orders (id bigint primary key, note text not null);
                 create table lines (id bigint primary key, order_id bigint references orders);
                 insert into orders select n, 'order ' || n from generate_series(1, 500) n;
                 insert into lines select n, 1 + n % 500 from generate_series(1, 2000) n",
            )
            .await;
        world
    }

    /// A database in an instance.
    pub(crate) async fn create_database(&self, instance: &SqlInstance, name: &str) {
        // Several statements at once would be one transaction.
        let endpoint = self.endpoint_of(instance, "postgres");
        let session = Session::open(&endpoint, "test").await.expect("a session");
        let made = session
            .batch_execute(&format!("create database {name}"))
            .await;
        made.expect("a database");
        session.close().await;
    }

    /// The instance's connection name.
    pub(crate) fn name(&self) -> String {
        self.instance.connection_name()
    }

    /// The user `postgres` at a database of an instance.
    pub(crate) fn endpoint_of(&self, instance: &SqlInstance, database: &str) -> Endpoint {
        let url = instance.url("postgres", PASSWORD, database);
        let endpoint = Environment::default().endpoint(&url, false);
        endpoint.expect("an endpoint")
    }

    pub(crate) async fn sql(&self, database: &str, sql: &str) {
        self.sql_on(&self.instance, database, sql).await;
    }

    pub(crate) async fn sql_on(&self, instance: &SqlInstance, database: &str, sql: &str) {
        let endpoint = self.endpoint_of(instance, database);
        let session = Session::open(&endpoint, "test").await.expect("a session");
        let sql = format!("set search_path = public; {sql}");
        session.batch_execute(&sql).await.expect(&sql);
        session.close().await;
    }

    pub(crate) async fn count(&self, instance: &SqlInstance, table: &str) -> i64 {
        let endpoint = self.endpoint_of(instance, "app");
        let session = Session::open(&endpoint, "test").await.expect("a session");
        let count = format!("select count(*) from public.{table}");
        let counted = session.query_one(&count, &[]);
        let rows = counted.await.expect(table).get(0);
        session.close().await;
        rows
    }

    /// The beginning of a spec; `more` stands in `[target.cloudsql]`, or after it.
    pub(crate) fn spec(&self, more: &str) -> String {
        let credentials = self.google.credentials_file().expect("credentials");
        let at = self.google.url();
        let tools = super::server::named_clients();
        let tools = tools.map(|folder| format!("backup.tools = \"{}\"\n", folder.display()));
        format!(
            "version = 1\nstore.url = \"store\"\n{}\
             [gcp]\nproject = \"{PROJECT}\"\ncredentials = \"{}\"\n\
             endpoints = {{ sql = \"{at}\", storage = \"{at}\" }}\n\
             [target]\nurl = \"postgresql:///app?user=postgres\"\npassword = \"{PASSWORD}\"\n\
             [target.cloudsql]\ninstance = \"{}\"\n{more}",
            tools.unwrap_or_default(),
            credentials.display(),
            self.name(),
        )
    }

    /// Through the socket that Cloud Run would give.
    pub(crate) fn socket(&self) -> String {
        let folder = self.google.socket_folder();
        format!(
            "connect = \"socket\"\nsocket_directory = \"{}\"\n",
            folder.display()
        )
    }

    /// The project of a spec.
    pub(crate) async fn project(&self, spec: &str) -> crate::Result<Project> {
        self.project_until(spec, CancellationToken::new()).await
    }

    /// The same, which can be stopped.
    pub(crate) async fn project_until(
        &self,
        spec: &str,
        stop: CancellationToken,
    ) -> crate::Result<Project> {
        self.open(spec, Events::none(), stop).await
    }

    /// The same, which tells `sink` what it does.
    pub(crate) async fn project_told(&self, spec: &str, sink: Arc<dyn Sink>) -> Project {
        let events = Events::new(None, vec![sink]);
        let opened = self.open(spec, events, CancellationToken::new()).await;
        opened.expect("a project")
    }

    async fn open(
        &self,
        spec: &str,
        events: Events,
        stop: CancellationToken,
    ) -> crate::Result<Project> {
        let spec = crate::spec::parse(spec, "rebuild.toml", self.folder(), &|_| None)?;
        let environment = Environment::of([("PATH", std::env::var("PATH").unwrap_or_default())]);
        Project::open(spec, &environment, events, stop).await
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the Admin API as somebody else would, and waits for the end of what that begins.
    pub(crate) async fn admin(&self, method: reqwest::Method, path: &str, body: Value) {
        let url = format!("{}/v1/projects/{PROJECT}/{path}", self.google.url());
        let asked = reqwest::Client::new().request(method, url).json(&body);
        let mut operation = self.answer(asked).await;
        while operation["status"] != "DONE" {
            let name = operation["name"].as_str().expect("a name");
            let at = self.google.url();
            let url = format!("{at}/v1/projects/{PROJECT}/operations/{name}");
            operation = self.answer(reqwest::Client::new().get(url)).await;
        }
        assert!(operation["error"].is_null(), "{operation}");
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let sent = request.bearer_auth(self.google.token()).send().await;
        let answer = sent.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a text");
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Makes the account an IAM user of the instance, who may do what `postgres` may: its name.
    pub(crate) async fn iam_user(&self, kind: &str) -> String {
        let principal = self.google.principal();
        let role = match kind {
            "CLOUD_IAM_SERVICE_ACCOUNT" => principal.trim_end_matches(".gserviceaccount.com"),
            _ => &*principal,
        };
        let user = serde_json::json!({"name": role, "type": kind});
        let post = reqwest::Method::POST;
        self.admin(post, "instances/main/users", user).await;
        let url = self.instance.superuser_url("postgres");
        let endpoint = Environment::default().endpoint(&url, false);
        let session = Session::open(&endpoint.expect("an endpoint"), "test").await;
        let session = session.expect("a session");
        let sql = format!("grant postgres to \"{role}\"; alter role \"{role}\" createdb");
        session.batch_execute(&sql).await.expect(&sql);
        session.close().await;
        role.to_owned()
    }

    /// Who may do what in a bucket.
    pub(crate) async fn policy(&self, bucket: &str) -> String {
        let url = format!("{}/storage/v1/b/{bucket}/iam", self.google.url());
        let get = reqwest::Client::new()
            .get(url)
            .bearer_auth(self.google.token());
        let answer = get.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.expect("a policy")
    }
}
