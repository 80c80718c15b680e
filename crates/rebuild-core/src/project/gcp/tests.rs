//! A rebuild whose rows come from a job of Cloud Run, and whose reports go to BigQuery.

use std::sync::{Arc, Weak};

use rebuild_testgoogle::{Google, TransferOutcome};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::event::{Collected, EventKind, Events};
use crate::google::GoogleApi;
use crate::journal::Ending;
use crate::model::Host;
use crate::postgres::LocalCluster;
use crate::testing::{client_bin_dir, cluster};

const REGION: &str = "europe-west1";

const STEPS: &str = r#"
restore.source = "none"

[[workload]]
name = "api"
cloud_run = "api"

[[load]]
name = "articles"
[load.cloud_run]
job = "load-articles"
tasks = 8
groups = 4
max_percent_of_groups = 75
task_timeout = "1h"

[[after]]
name = "reports"
[after.bigquery]
location = "eu"
[[after.bigquery.backfill]]
config = "articles by day"
table = "stats.articles"
[[after.bigquery.remedy]]
name = "schema"
cloud_run = { job = "schema" }

[[after]]
name = "restart"
cloud_run = { restart = "api" }

[[verify]]
kind = "cloud_run"
service = "api"

[[verify]]
kind = "bigquery_rows"
table = "public.articles"
bigquery = "stats.articles"
location = "EU"
"#;

struct World {
    cluster: LocalCluster,
    google: Arc<Google>,
    folder: TempDir,
    seen: Arc<Collected>,
}

impl World {
    async fn new() -> Self {
        let cluster = cluster().await.expect("a server");
        let google = Arc::new(Google::start().await.expect("a server"));
        let folder = TempDir::new().expect("a folder");
        let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
        let admin = admin.expect("a session");
        admin
            .batch_execute("create database app")
            .await
            .expect("made");
        let app = Session::open(&cluster.endpoint("app"), "test").await;
        let table = "create table public.articles (id int, task int)";
        app.expect("a session")
            .batch_execute(table)
            .await
            .expect("made");
        Self {
            cluster,
            google,
            folder,
            seen: Arc::new(Collected::default()),
        }
    }

    fn text(&self, more: &str) -> String {
        let endpoint = self.cluster.endpoint("app");
        let Host::Socket(socket) = &endpoint.host else {
            panic!("no socket");
        };
        let (user, port, socket) = (&endpoint.user, endpoint.port, socket.display());
        let credentials = self.google.credentials_file().expect("credentials");
        let endpoints =
            GoogleApi::ALL.map(|api| format!("{} = {:?}", api.name(), self.google.url()));
        format!(
            "version = 1\nstore.url = \"store\"\nbackup.tools = {tools:?}\n\
             target.url = \"postgresql://{user}@/app?host={socket}&port={port}\"\n{more}\n\
             [gcp]\nproject = \"test-project\"\nregion = \"{REGION}\"\ncredentials = {credentials:?}\n\
             [gcp.endpoints]\n{endpoints}\n[gcp.prices]\nvcpu_second = 0.0001\ngib_second = 0\n\
             currency = \"EUR\"\n",
            tools = client_bin_dir(&self.cluster),
            endpoints = endpoints.join("\n"),
        )
    }

    async fn open(&self, more: &str) -> Result<Project> {
        let text = self.text(more);
        let spec = crate::spec::parse(&text, "rebuild.toml", self.folder.path(), &|_| None)?;
        let events = Events::new(None, vec![self.seen.clone()]);
        let environment = crate::Environment::default();
        Project::open(spec, &environment, events, Default::default()).await
    }

    /// Deploys a job whose tasks run a script of bash; `sql` in it is psql at the database.
    fn deploy(&self, job: &str, script: &str) {
        let endpoint = self.cluster.endpoint("app");
        let Host::Socket(socket) = &endpoint.host else {
            panic!("no socket");
        };
        let psql = client_bin_dir(&self.cluster).join("psql");
        let script = format!(
            "sql() {{ {} -h {} -p {} -U {} -qXAtc \"$1\"; }}\n{script}",
            psql.display(),
            socket.display(),
            endpoint.port,
            endpoint.user
        );
        self.google.program(job, &["bash", "-euc", &script]);
        let limits = json!({"cpu": "2", "memory": "1Gi"});
        let container = json!({"name": "main", "image": job, "resources": {"limits": limits}});
        let task = json!({"containers": [container], "maxRetries": 1, "timeout": "60s"});
        let template = json!({"taskCount": 1, "template": task});
        self.google.deploy_job(REGION, job, template);
    }

    fn told(&self) -> String {
        let events = self.seen.events().into_iter();
        let lines = events.filter_map(|event| match event.kind {
            EventKind::Output { program, line } => Some(format!("{program}: {line}\n")),
            EventKind::Note { message, .. } => Some(format!("{message}\n")),
            _ => None,
        });
        lines.collect()
    }
}

#[tokio::test]
async fn a_database_is_filled_by_a_job_and_its_reports_are_mended() {
    let world = World::new().await;
    let google = &world.google;
    world.deploy(
        "load-articles",
        "sql \"insert into public.articles select n, $CLOUD_RUN_TASK_INDEX from generate_series(1, 10) n\"\n\
         echo \"loaded a part of $PGDATABASE\"",
    );
    world.deploy("schema", "echo the schema is new");
    let template = json!({"containers": [{"image": "api:7"}]});
    google.deploy_service(REGION, "api", json!({"template": template}));
    google.set_bigquery_rows("EU", "stats", "articles", 7);
    // The query fails for as long as its old table is there.
    let server: Weak<Google> = Arc::downgrade(google);
    let config = google.schedule_query("eu", "articles by day", move || {
        let server = server.upgrade().expect("the test goes on");
        if server.bigquery_rows("stats", "articles") == Some(7) {
            return TransferOutcome::failed("Inserted row has wrong column count");
        }
        server.set_bigquery_rows("EU", "stats", "articles", 30);
        TransferOutcome::default()
    });

    let project = world.open(STEPS).await.expect("a project");
    let plan = project.plan(false).await.expect("a plan").render();
    for line in [
        "job load-articles in europe-west1, for load/articles: 3 tasks (8 without the limit by groups)",
        "at most 3 tasks x 2 attempts of 2 vCPU and 1.0 GiB for 3600s: 12.00 vCPU-hours, 6.00 \
         GiB-hours, 4.32 EUR",
        "job schema in europe-west1, for after/reports/remedy/schema: 1 task",
        "service api in europe-west1: revision api-00001-",
        "scheduled query articles by day in eu, which fills stats.articles",
        "table stats.articles of BigQuery is deleted if articles by day finds that its columns do not fit",
        "project test-project with the credentials in /",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }

    let report = project.run(None, None).await.expect("a run");
    let told = world.told();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    assert_eq!(google.executions(REGION, "load-articles").len(), 1);
    assert_eq!(google.executions(REGION, "schema").len(), 1);
    assert_eq!(google.transfer_runs(&config).len(), 2);
    assert!(told.contains("loaded a part of app"), "{told}");
    assert!(told.contains("the schema is new"), "{told}");
    // The report has the ends of the logs.
    let printed = |step: &str| {
        let mut all = report.printed.iter();
        let of_step = all.find(|printed| printed.step == step);
        of_step.map(|it| it.lines.join("\n")).unwrap_or_default()
    };
    let steps = &report.printed;
    assert_eq!(
        printed("load-articles")
            .matches("loaded a part of app")
            .count(),
        3,
        "{steps:?}"
    );
    assert!(
        printed("after-reports").contains("the schema is new"),
        "{steps:?}"
    );
    let app = Session::open(&world.cluster.endpoint("app"), "test").await;
    let count = "select count(*) from public.articles";
    let row = app.expect("a session").query_one(count, &[]).await;
    assert_eq!(row.expect("a row").get::<_, i64>(0), 30);
    let service = google.service(REGION, "api").expect("a service");
    let revision = service["latestReadyRevision"].as_str().expect("a revision");
    assert!(revision.contains("/api-00002-"), "{service}");
    assert_eq!(service["scaling"], serde_json::Value::Null, "{service}");

    // What is not as it should be is told by the verification.
    google.set_bigquery_rows("EU", "stats", "articles", 29);
    let verdict = project.verify(None, false).await.expect("a verdict");
    let said = verdict.complaints().join("\n");
    assert!(
        said.contains("public.articles has 30 rows, and stats.articles has 29"),
        "{said}"
    );
}

#[tokio::test]
async fn a_load_that_fails_takes_the_run_back() {
    let world = World::new().await;
    world.deploy("load-articles", "echo there is no archive; exit 4");
    let more = "restore.source = \"none\"\n[[load]]\nname = \"articles\"\n\
                cloud_run = { job = \"load-articles\" }\n";
    let project = world.open(more).await.expect("a project");
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let said = format!("{report:?}");
    assert!(said.contains("there is no archive"), "{said}");
    assert_eq!(world.google.executions(REGION, "load-articles").len(), 1);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let world = World::new().await;
    for (more, why) in [
        (
            "load = [{ name = \"a\", cloud_run = { job = \"j\" }, env = { REBUILD_RUN = \"b\" } }]",
            "load/a: env.REBUILD_RUN is set by the run",
        ),
        (
            "load = [{ name = \"a\", cloud_run = { job = \"j\", database_variable = \"PGDATABASE\" } }]",
            "load/a: env.PGDATABASE is set by the run",
        ),
        (
            "migrate = { cloud_run = { job = \"j\" }, env = { PGAPPNAME = \"b\" } }",
            "migrate: env.PGAPPNAME is set by the run",
        ),
        (
            "verify = [{ kind = \"bigquery_rows\", table = \"t\", bigquery = \"d.t\", location = \"EU\" }]",
            "it has no schema",
        ),
    ] {
        let error = world.open(more).await.err().expect(more);
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
        assert!(error.chain().contains(why), "{more}: {error:?}");
    }
    assert!(world.google.requests().is_empty());
}

#[tokio::test]
async fn a_remedy_is_a_step_like_others() {
    let world = World::new().await;
    let more = |how: &str| {
        format!(
            "after = [{{ name = \"a\", bigquery = {{ location = \"eu\", \
             backfill = [{{ config = \"c\", table = \"d.t\" }}], \
             remedy = [{{ name = \"r\", {how} }}] }} }}]"
        )
    };
    let project = world.open(&more("function = \"m:f\"")).await;
    let plan = project.expect("a project").plan(false).await;
    let error = plan.expect_err("there are no functions");
    assert!(
        error
            .to_string()
            .contains("r is m:f, a function of a program"),
        "{error:?}"
    );
    let error = world
        .open(&more("kubernetes = { job = \"none.yaml\" }"))
        .await;
    let error = error.err().expect("no cluster");
    let why = "after.bigquery.remedy.kubernetes: there is no [kubernetes]";
    assert!(error.to_string().contains(why), "{error:?}");
}

/// Asks again and again whether something is so that nobody tells of.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what} takes too long"));
}

#[tokio::test]
async fn what_a_rehearsal_that_was_killed_has_begun_is_ended_by_the_next() {
    let world = World::new().await;
    let google = &world.google;
    world.deploy("load-articles", "exec sleep 600");
    let load = "restore.source = \"none\"\n[[load]]\nname = \"articles\"\n\
                cloud_run = { job = \"load-articles\", rehearse = true }\n";
    let project = world.open(load).await.expect("a project");
    let name = "one".parse().expect("a name");
    let begun = until("an execution", async || {
        !google.executions(REGION, "load-articles").is_empty()
    });
    // As if the process was killed: nobody cleans up.
    tokio::select! {
        rehearsed = Box::pin(project.rehearse(&name)) => panic!("{rehearsed:?}"),
        () = begun => {}
    }
    drop(project);
    let admin = Session::open(&world.cluster.endpoint("postgres"), "test").await;
    let admin = admin.expect("a session");
    let sessions = "select count(*) from pg_catalog.pg_stat_activity
        where application_name like 'rebuild%'";
    until("the end of its sessions", async || {
        let left = admin.query_one(sessions, &[]).await.expect("counted");
        left.get::<_, i64>(0) == 0
    })
    .await;
    world.deploy("load-articles", "echo loaded");
    let project = world.open(load).await.expect("a project");
    let rehearsed = Box::pin(project.rehearse(&name)).await.expect("rehearsed");
    assert_eq!(rehearsed.ending, Ending::Done, "{rehearsed:?}");
    let executions = google.executions(REGION, "load-articles");
    let cancelled = executions.iter().filter(|e| e["cancelledCount"] == 1);
    let succeeded = executions.iter().filter(|e| e["succeededCount"] == 1);
    let counts = (cancelled.count(), succeeded.count(), executions.len());
    assert_eq!(counts, (1, 1, 2), "{executions:?}");
}
