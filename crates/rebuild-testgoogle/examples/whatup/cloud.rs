//! The project in Google Cloud that `examples/whatup` of the repository is about, on this machine: an
//! instance, services that are up, jobs whose containers are the example's own programs, and scheduled
//! queries.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Weak};

use rebuild_testgoogle::{Google, GoogleOptions, SqlInstance, TransferOutcome};
use serde_json::json;

pub(crate) const REGION: &str = "europe-west1";
const PROJECT: &str = "whatup";
const PASSWORD: &str = "tr0ub4dor";

/// What the scheduled query says for as long as its table is from before the languages.
const COLUMNS: &str = "Inserted row has wrong column count; Has 3, expected 2 at [1:1]";

/// How many rows that table has.
const OLD_DAYS: u64 = 365;

/// The project.
pub(crate) struct Cloud {
    pub(crate) google: Arc<Google>,
    /// The full names of the scheduled queries: articles by day, and all articles.
    pub(crate) queries: [String; 2],
}

impl Cloud {
    /// A project for the example in the folder `example`, whose jobs find psql along `path`.
    pub(crate) async fn start(example: &Path, path: &str) -> io::Result<Self> {
        let options = GoogleOptions {
            project: PROJECT.to_owned(),
            ..GoogleOptions::default()
        };
        let google = Arc::new(Google::start_with(options).await?);
        let new = google.instance(PROJECT, REGION, "main").password(PASSWORD);
        let instance = new.create().await?;
        deploy_services(&google);
        deploy_jobs(example, path, &google, &instance);
        let queries = schedule_queries(path, &google, &instance);
        Ok(Self { google, queries })
    }

    /// What the shell needs that runs the example.
    pub(crate) fn exports(&self) -> io::Result<String> {
        Ok(format!(
            "export WHATUP_PROJECT={PROJECT} WHATUP_GOOGLE={url}\n\
             export WHATUP_SOCKETS={sockets} PGPASSWORD={PASSWORD}\n\
             export GOOGLE_APPLICATION_CREDENTIALS={credentials}",
            url = self.google.url(),
            sockets = self.google.socket_folder().display(),
            credentials = self.google.credentials_file()?.display(),
        ))
    }
}

/// `api` and `collector` serve; the newest revision of `web` did not come up.
fn deploy_services(google: &Google) {
    let of = |image: &str| json!({"template": {"containers": [{"image": image}]}});
    for name in ["api", "collector", "web"] {
        google.deploy_service(REGION, name, of(name));
    }
    let why = "The container failed to start: column \"language\" does not exist.";
    google.fail_revisions(REGION, "web", Some(why));
    google.change_service(REGION, "web", of("web:8"));
    google.fail_revisions(REGION, "web", None);
}

/// The containers are the programs in `jobs/`, which find the database as they would in Cloud Run.
fn deploy_jobs(example: &Path, path: &str, google: &Google, instance: &SqlInstance) {
    for job in ["load", "schema"] {
        let name = format!("whatup-{job}");
        let program = example.join("jobs").join(job);
        google.program(&name, &[&program.to_string_lossy()]);
        let env = json!([
            {"name": "PATH", "value": path},
            {"name": "PGHOST", "value": instance.socket_folder()},
            {"name": "PGUSER", "value": "postgres"},
            {"name": "PGPASSWORD", "value": PASSWORD},
            {"name": "SCHEMA", "value": example.join("schema")},
        ]);
        let limits = json!({"limits": {"cpu": "2", "memory": "1Gi"}});
        let container = json!({"name": "main", "image": name, "env": env, "resources": limits});
        let task = json!({"containers": [container], "maxRetries": 1, "timeout": "600s"});
        google.deploy_job(REGION, &name, json!({"taskCount": 1, "template": task}));
    }
}

/// Two queries that copy what the database in service has. The one for articles by day fails for as long
/// as its old table is there.
fn schedule_queries(path: &str, google: &Arc<Google>, instance: &SqlInstance) -> [String; 2] {
    let server = Arc::downgrade(google);
    let count = counter(path, instance, "articles_by_day");
    let by_day = google.schedule_query("eu", "articles by day", move || {
        let table = "articles_by_day";
        if alive(&server).bigquery_rows("stats", table) == Some(OLD_DAYS) {
            return TransferOutcome::failed(COLUMNS).saying("INFO", "the query was begun");
        }
        fill(&server, table, count())
    });
    google.set_bigquery_rows("EU", "stats", "articles_by_day", OLD_DAYS);
    let server = Arc::downgrade(google);
    let count = counter(path, instance, "article");
    let work = move || fill(&server, "articles", count());
    let all = google.schedule_query("eu", "all articles", work);
    google.set_bigquery_rows("EU", "stats", "articles", 1);
    [by_day, all]
}

/// What holds a query is held by the server.
fn alive(google: &Weak<Google>) -> Arc<Google> {
    google.upgrade().expect("it answers")
}

fn fill(google: &Weak<Google>, table: &str, rows: u64) -> TransferOutcome {
    alive(google).set_bigquery_rows("EU", "stats", table, rows);
    TransferOutcome::default().saying("INFO", &format!("{rows} rows are in stats.{table}"))
}

/// Counts the rows of a table as a federated query would, with a login of its own.
fn counter(path: &str, instance: &SqlInstance, table: &str) -> impl Fn() -> u64 + use<> {
    let url = instance.url("postgres", PASSWORD, "whatup");
    let sql = format!("select count(*) from {table}");
    let path = path.to_owned();
    move || {
        let mut command = Command::new("psql");
        command.args(["-XAtc", &sql, &url]).env("PATH", &path);
        let counted = command.output().expect("psql");
        let said = String::from_utf8_lossy(&counted.stdout);
        said.trim().parse().expect("a number")
    }
}
