//! The project in Google Cloud that `examples/whatup` is about, on this machine: an instance, services
//! that are up, jobs whose containers are the example's own programs, and scheduled queries.

use std::process::Command;
use std::sync::{Arc, Weak};

use rebuild_core::testing::{client_bin_dir, programs_of};
use rebuild_testgoogle::{Google, GoogleOptions, SqlInstance, TransferOutcome};
use serde_json::{Value, json};

use crate::site::Site;

pub(crate) const REGION: &str = "europe-west1";
const PROJECT: &str = "whatup";
const PASSWORD: &str = "tr0ub4dor";

/// How many columns the query for articles by day gives since the schema has languages.
const COLUMNS: &str = "Inserted row has wrong column count; Has 3, expected 2 at [1:1]";

pub(crate) struct Cloud {
    pub(crate) google: Arc<Google>,
    /// The full names of the scheduled queries.
    pub(crate) by_day: String,
    pub(crate) all: String,
}

impl Cloud {
    /// A project whose addresses, credentials and instance the site's shell has.
    pub(crate) async fn around(site: &Site) -> Self {
        let options = GoogleOptions {
            project: PROJECT.to_owned(),
            ..GoogleOptions::default()
        };
        let google = Google::start_with(options).await.expect("a server of APIs");
        let google = Arc::new(google);
        let new = google.instance(PROJECT, REGION, "main").password(PASSWORD);
        let instance = new.create().await.expect("an instance");
        export(site, &google, &instance).await;
        deploy_services(&google).await;
        deploy_jobs(site, &google, &instance);
        let (by_day, all) = schedule_queries(site, &google, &instance);
        Self {
            google,
            by_day,
            all,
        }
    }

    /// The executions of a job so far.
    pub(crate) fn executions(&self, job: &str) -> Vec<Value> {
        self.google.executions(REGION, job)
    }

    /// How the runs of a scheduled query ended, the oldest first.
    pub(crate) fn ends(&self, query: &str) -> Vec<String> {
        let runs = self.google.transfer_runs(query).into_iter();
        runs.map(|run| run["state"].as_str().expect("a state").to_owned())
            .collect()
    }

    /// Asserts that a service is ready, and takes what it is scaled to by itself.
    #[track_caller]
    pub(crate) fn assert_serves(&self, name: &str) {
        let service = self.google.service(REGION, name).expect("it is there");
        let state = &service["terminalCondition"]["state"];
        assert_eq!(state, "CONDITION_SUCCEEDED", "{service}");
        assert_eq!(service["scaling"], Value::Null, "{service}");
    }

    /// Asserts that both services that write are back as they were.
    #[track_caller]
    pub(crate) fn assert_writers_serve(&self) {
        self.assert_serves("api");
        self.assert_serves("collector");
        let api = self.google.service(REGION, "api").expect("it is there");
        assert_eq!(api["template"]["containers"][0]["image"], "api", "{api}");
        let deleted = self.google.calls("run.projects.locations.services.delete");
        let made = self.google.calls("run.projects.locations.services.create");
        assert!(!deleted.is_empty(), "the api was deleted");
        assert_eq!(deleted.len(), made.len());
    }

    /// Asserts that nothing has been changed but by the first call, which brought `web` where it is.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        let changes = [
            "sql.backupRuns.insert",
            "run.projects.locations.services.delete",
            "run.projects.locations.services.create",
            "bigquery.tables.delete",
            "bigquerydatatransfer.projects.locations.transferConfigs.startManualRuns",
        ];
        for method in changes {
            assert!(self.google.calls(method).is_empty(), "{method}");
        }
        let patched = self.google.calls("run.projects.locations.services.patch");
        assert_eq!(patched.len(), 1);
    }
}

async fn export(site: &Site, google: &Google, instance: &SqlInstance) {
    let credentials = google.credentials_file().expect("credentials");
    let exports = format!(
        "export WHATUP_PROJECT={PROJECT} WHATUP_INSTANCE={name} WHATUP_GOOGLE={url} \
         WHATUP_SOCKETS={sockets} PGPASSWORD={PASSWORD} CHECKPOINT_DISABLE=1 \
         GOOGLE_APPLICATION_CREDENTIALS={credentials} PATH={terraform}:$PATH",
        name = instance.connection_name(),
        url = google.url(),
        sockets = google.socket_folder().display(),
        credentials = credentials.display(),
        terraform = programs_of("terraform").display(),
    );
    site.sh(&exports).await.with(0);
}

/// `api` and `collector` serve; the newest revision of `web` did not come up.
async fn deploy_services(google: &Google) {
    let template = |image: &str| json!({"containers": [{"image": image}]});
    for name in ["api", "collector", "web"] {
        google.deploy_service(REGION, name, json!({"template": template(name)}));
    }
    let why = "The container failed to start: column \"language\" does not exist.";
    google.fail_revisions(REGION, "web", Some(why));
    let web = format!("projects/{PROJECT}/locations/{REGION}/services/web");
    let url = format!("{}/v2/{web}", google.url());
    let client = reqwest::Client::new();
    let new = json!({"name": web, "template": template("web:8")});
    let patch = client.patch(&url).query(&[("updateMask", "template")]);
    let patch = patch.bearer_auth(google.token()).json(&new);
    let answer = patch.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    // A change takes a few looks.
    for _ in 0..3 {
        let get = client.get(&url).bearer_auth(google.token());
        get.send().await.expect("an answer");
    }
    google.fail_revisions(REGION, "web", None);
}

/// The containers are the programs in `jobs/`, which find the database as they would in Cloud Run.
fn deploy_jobs(site: &Site, google: &Google, instance: &SqlInstance) {
    let path = format!("{}:/usr/bin:/bin", client_bin_dir(site.server()).display());
    let schema = site.folder().join("schema");
    for job in ["load", "schema"] {
        let name = format!("whatup-{job}");
        let program = site.folder().join("jobs").join(job);
        google.program(&name, &[program.to_str().expect("UTF-8")]);
        let env = json!([
            {"name": "PATH", "value": path},
            {"name": "PGHOST", "value": instance.socket_folder()},
            {"name": "PGUSER", "value": "postgres"},
            {"name": "PGPASSWORD", "value": PASSWORD},
            {"name": "SCHEMA", "value": schema},
        ]);
        let limits = json!({"limits": {"cpu": "2", "memory": "1Gi"}});
        let container = json!({"name": "main", "image": name, "env": env, "resources": limits});
        let task = json!({"containers": [container], "maxRetries": 1, "timeout": "600s"});
        google.deploy_job(REGION, &name, json!({"taskCount": 1, "template": task}));
    }
}

/// Two queries that copy what the database in service has. The one for articles by day fails for as long
/// as its old table is there.
fn schedule_queries(site: &Site, google: &Arc<Google>, instance: &SqlInstance) -> (String, String) {
    let server = Arc::downgrade(google);
    let count = counter(site, instance, "article");
    let all = google.schedule_query("eu", "all articles", move || {
        fill(&server, "articles", &count)
    });
    google.set_bigquery_rows("EU", "stats", "articles", 1);
    let server = Arc::downgrade(google);
    let count = counter(site, instance, "articles_by_day");
    let by_day = google.schedule_query("eu", "articles by day", move || {
        let there = server.upgrade().expect("the test goes on");
        if there.bigquery_rows("stats", "articles_by_day") == Some(OLD_DAYS) {
            return TransferOutcome::failed(COLUMNS).saying("INFO", "the query was begun");
        }
        fill(&server, "articles_by_day", &count)
    });
    google.set_bigquery_rows("EU", "stats", "articles_by_day", OLD_DAYS);
    (by_day, all)
}

/// What the table of articles by day had.
const OLD_DAYS: u64 = 365;

fn fill(google: &Weak<Google>, table: &str, rows: &Count) -> TransferOutcome {
    let google = google.upgrade().expect("the test goes on");
    let rows = rows();
    google.set_bigquery_rows("EU", "stats", table, rows);
    TransferOutcome::default().saying("INFO", &format!("{rows} rows are in stats.{table}"))
}

type Count = Box<dyn Fn() -> u64 + Send + Sync>;

/// Counts the rows of a table as a federated query would, with a login of its own.
fn counter(site: &Site, instance: &SqlInstance, table: &str) -> Count {
    let psql = client_bin_dir(site.server()).join("psql");
    let url = instance.url("postgres", PASSWORD, "whatup");
    let sql = format!("select count(*) from {table}");
    Box::new(move || {
        let mut command = Command::new(&psql);
        command.args(["-XAtc", &sql, &url]);
        let counted = command.output().expect("psql");
        let said = String::from_utf8_lossy(&counted.stdout);
        said.trim().parse().expect("a number")
    })
}
