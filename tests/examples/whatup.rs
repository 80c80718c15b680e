//! `examples/whatup`, in a Google Cloud inside this process.

use rebuild_core::testing::{client_bin_dir, programs_of};
use rebuild_testgoogle::Answer;
use serde_json::Value;

use crate::site::{Readme, Site};
use crate::whatup_cloud::{Cloud, REGION};

/// The example, prepared as its README says, in a project of its own.
async fn prepared() -> (Site, Readme, Cloud) {
    let site = Site::of_example("whatup").await;
    let path = format!("{}:/usr/bin:/bin", client_bin_dir(site.server()).display());
    let cloud = Cloud::start(site.folder(), &path).await;
    let cloud = cloud.expect("a project");
    let exports = cloud.exports().expect("credentials");
    let terraform = programs_of("terraform");
    let more = format!(
        "export CHECKPOINT_DISABLE=1 PATH={}:$PATH",
        terraform.display()
    );
    site.sh(&format!("{exports}\n{more}")).await.with(0);
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    (site, readme, cloud)
}

/// What the instance's server answers in the database in service.
async fn psql(site: &Site, sql: &str) -> String {
    let asked = format!("psql -XAtd whatup <<'SQL'\n{sql}\nSQL\n");
    site.sh(&asked).await.with(0).trim_end().to_owned()
}

const OID: &str = "select oid from pg_database where datname = 'whatup'";
const DATABASES: &str = "select string_agg(datname, ' ' order by datname) from pg_database
                          where datname like 'whatup%' or datname like 'rebuild%'";
const ARTICLES: &str =
    "select count(*) || ' ' || md5(string_agg(a::text, '' order by id)) from article a";
const NEW_ROWS: &str = "select count(*) || ' ' || count(distinct feed_id) || ' ' ||
                               string_agg(distinct language, ' ' order by language) from article";

/// The two resources of `infra/` as terraform has recorded them: what the job is, and which table.
async fn recorded(site: &Site) -> (Vec<String>, String) {
    let state = site.sh("cat \"$WHATUP_STATE/terraform.tfstate\"").await;
    let state: Value = serde_json::from_str(&state.with(0)).expect("JSON");
    let of = |name: &str, what: &str| {
        let all = state["resources"].as_array().expect("resources").iter();
        let found = all.filter(|resource| resource["name"] == name);
        let instances = found.flat_map(|r| r["instances"].as_array().expect("instances"));
        let value = |i: &Value| i["attributes"].pointer(what).expect(what).clone();
        let values = instances.map(|i| value(i).as_str().expect("text").to_owned());
        values.collect::<Vec<_>>()
    };
    (
        of("job", "/input/value"),
        of("articles_by_day", "/id").concat(),
    )
}

impl Cloud {
    /// The executions of a job so far.
    fn executions(&self, job: &str) -> Vec<Value> {
        self.google.executions(REGION, job)
    }

    /// How the runs of the two queries ended, the oldest first.
    fn ends(&self) -> [Vec<String>; 2] {
        let state = |run: &Value| run["state"].as_str().expect("a state").to_owned();
        let of = |query: &String| self.google.transfer_runs(query).iter().map(state).collect();
        self.queries.each_ref().map(of)
    }

    /// Asserts that a service is ready, and takes what it is scaled to by itself.
    #[track_caller]
    fn assert_serves(&self, name: &str) {
        let service = self.google.service(REGION, name).expect("it is there");
        let state = &service["terminalCondition"]["state"];
        assert_eq!(state, "CONDITION_SUCCEEDED", "{service}");
        assert_eq!(service["scaling"], Value::Null, "{service}");
    }

    /// Asserts that both services that write are back as they were.
    #[track_caller]
    fn assert_writers_serve(&self) {
        self.assert_serves("api");
        self.assert_serves("collector");
        let api = self.google.service(REGION, "api").expect("it is there");
        assert_eq!(api["template"]["containers"][0]["image"], "api", "{api}");
        let deleted = self.google.calls("run.projects.locations.services.delete");
        let made = self.google.calls("run.projects.locations.services.create");
        assert!(!deleted.is_empty(), "the api was deleted");
        assert_eq!(deleted.len(), made.len());
    }

    /// Asserts that nothing has been changed so far.
    #[track_caller]
    fn assert_untouched(&self) {
        for method in [
            "sql.backupRuns.insert",
            "run.projects.locations.services.patch",
            "run.projects.locations.services.delete",
            "bigquery.tables.delete",
            "bigquerydatatransfer.projects.locations.transferConfigs.startManualRuns",
        ] {
            assert!(self.google.calls(method).is_empty(), "{method}");
        }
    }
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// The variable of the container that names the database, of each execution.
fn databases_of(executions: &[Value]) -> Vec<String> {
    let of = |execution: &Value| {
        let env = &execution["template"]["containers"][0]["env"];
        let mut all = env.as_array().expect("variables").iter();
        let found = all.find(|variable| variable["name"] == "PGDATABASE");
        let name = found.expect("PGDATABASE")["value"].as_str();
        name.expect("a name").to_owned()
    };
    executions.iter().map(of).collect()
}

#[tokio::test]
async fn the_whole_procedure_from_start_to_rollback() {
    let (site, mut readme, cloud) = prepared().await;
    let old = psql(&site, OID).await;
    let articles = psql(&site, ARTICLES).await;
    assert!(articles.starts_with("1208 "), "{articles}");
    let (_, table) = recorded(&site).await;

    let plan = readme.run(&site, "rebuild plan").await.with(0);
    says(
        &plan,
        &[
            "job whatup-load in europe-west1, for load/articles: 6 tasks (8 without the limit by groups)",
            "at most 6 tasks x 2 attempts of 2 vCPU and 1.0 GiB for 1800s: 12.00 vCPU-hours, 6.00 \
             GiB-hours, 0.82 USD",
            "service web in europe-west1: not ready: The container failed to start",
            "update terraform_data.job[\"whatup-load\"]",
            "+ column public.article.language text",
            "the rows of \"whatup\" are not carried over",
            "service api is deleted with its revisions, and deployed again from its newest one",
            "table stats.articles_by_day of BigQuery is deleted if articles by day finds",
        ],
    );
    assert_eq!(psql(&site, OID).await, old);
    cloud.assert_untouched();

    let run = readme.run(&site, "rebuild run --confirm whatup").await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    says(
        &run.stdout,
        &[" done after ", "the old database is kept as \"whatup_old_"],
    );
    says(
        &run.stderr,
        &[
            "terraform apply: Apply complete! Resources: 0 added, 2 changed, 0 destroyed.",
            " of 6 tasks was begun",
            "/2: feed 8 of feed-8.csv is in whatup_new_",
            "the backfill of articles by day failed: Inserted row has wrong column count",
            "deleting the table stats.articles_by_day of BigQuery",
            "stack: Apply complete! Resources: 1 added, 0 changed, 1 destroyed.",
            "2_views.sql is in whatup\n",
            "all articles: 2000 rows are in stats.articles",
            "service web is not ready: The container failed to start",
        ],
    );
    assert_rebuilt(&site, &cloud, &old).await;
    let (jobs, replaced) = recorded(&site).await;
    assert!(jobs.iter().all(|job| job.ends_with(":8")), "{jobs:?}");
    assert_ne!(replaced, table, "the remedy has made it anew");
    let shown = readme.run(&site, "rebuild runs show").await.with(0);
    for step in [
        "infrastructure-stack",
        "schema",
        "load-articles",
        "after-reports",
        "after-web",
    ] {
        let line = shown.lines().find(|l| l.trim_start().starts_with(step));
        assert!(
            line.is_some_and(|l| l.contains(" done ")),
            "{step}: {shown}"
        );
    }

    let back = readme.run(&site, "rebuild rollback --confirm whatup").await;
    let said = back.with(0);
    assert_eq!(psql(&site, OID).await, old);
    assert_eq!(psql(&site, ARTICLES).await, articles);
    psql(
        &site,
        "insert into feed values (9, 'writes are let in again')",
    )
    .await;
    cloud.assert_writers_serve();
    says(
        &said,
        &[
            "anything that terraform has changed for the infrastructure \"stack\" stays",
            "anything that the scheduled query \"articles by day\" has put into stats.articles_by_day \
             of BigQuery stays",
        ],
    );
    cloud.google.assert_clean();
    readme.end();
}

/// All that `terraform` manages, with its workspaces, and whatever is in the store.
async fn kept(site: &Site) -> String {
    let look = "cd \"$WHATUP_STATE\" && cksum terraform.tfstate; cd - >/dev/null; \
                terraform -chdir=infra workspace list; find \"${WHATUP_STORE#file://}\" -type f | sort";
    site.sh(look).await.with(0)
}

#[tokio::test]
async fn a_rehearsal_has_the_jobs_fill_a_copy_and_leaves_nothing_of_it() {
    let (site, _, cloud) = prepared().await;
    let (old, articles) = (psql(&site, OID).await, psql(&site, ARTICLES).await);
    let before = kept(&site).await;

    let rehearsal = site.sh("rebuild run --rehearse spring").await;
    assert_eq!(
        rehearsal.code, 0,
        "{}{}",
        rehearsal.stdout, rehearsal.stderr
    );
    says(
        &rehearsal.stdout,
        &[
            "rehearsal spring went through after ",
            "load-articles ",
            "workload \"api\": it is neither stopped nor started",
            "target.cloudsql.backup_run",
            "verify bigquery_rows stats.articles",
            "after \"reports\"",
            "database \"whatup_rehearsal_spring\"",
            "workspace spring of ",
        ],
    );
    // Terraform makes in its workspace what is only changed in the spec's own.
    says(
        &rehearsal.stderr,
        &[
            "terraform apply: Apply complete! Resources: 3 added, 0 changed, 0 destroyed.",
            "/2: feed 8 of feed-8.csv is in whatup_rehearsal_spring_new_",
        ],
    );

    assert_eq!(psql(&site, OID).await, old);
    assert_eq!(psql(&site, ARTICLES).await, articles);
    assert_eq!(psql(&site, DATABASES).await, "whatup");
    assert_eq!(kept(&site).await, before);
    cloud.assert_untouched();
    assert_eq!(cloud.ends(), [[""; 0]; 2], "no query was run");
    let loads = databases_of(&cloud.executions("whatup-load"));
    let schema = databases_of(&cloud.executions("whatup-schema"));
    assert_eq!(loads.len(), 1);
    assert!(schema.contains(&loads[0]), "{schema:?}");
    for database in loads.iter().chain(&schema) {
        let copy = database.starts_with("whatup_rehearsal_spring_new_");
        assert!(
            copy || database.starts_with("rebuild_scratch_"),
            "{database}"
        );
    }
    cloud.google.assert_clean();
}

/// The new database is in service, with what is around it.
async fn assert_rebuilt(site: &Site, cloud: &Cloud, old: &str) {
    assert_ne!(psql(site, OID).await, old);
    assert_eq!(psql(site, NEW_ROWS).await, "2000 8 de en fr");
    let loads = cloud.executions("whatup-load");
    let [load] = &loads[..] else {
        panic!("not one execution");
    };
    assert_eq!(
        (&load["taskCount"], &load["succeededCount"]),
        (&6.into(), &6.into())
    );
    assert_eq!(load["template"]["timeout"], "1800s");

    // For the new database, and for the remedy; besides to see the drift.
    let schema = databases_of(&cloud.executions("whatup-schema"));
    let scratch = |name: &String| name.starts_with("rebuild_scratch_");
    let (seen, schema): (Vec<String>, Vec<String>) = schema.into_iter().partition(scratch);
    assert!(!seen.is_empty());
    let loaded = &databases_of(&loads)[0];
    assert!(loaded.starts_with("whatup_new_"), "{loaded}");
    assert_eq!(schema, [loaded, "whatup"]);

    let [by_day, all] = cloud.ends();
    assert_eq!(by_day, ["FAILED", "SUCCEEDED"]);
    assert_eq!(all, ["SUCCEEDED"]);
    let deleted = cloud.google.calls("bigquery.tables.delete");
    assert_eq!(deleted.len(), 1);
    assert!(
        deleted[0].path.ends_with("/stats/tables/articles_by_day"),
        "{deleted:?}"
    );
    let days = psql(site, "select count(*) from articles_by_day").await;
    let rows = cloud.google.bigquery_rows("stats", "articles_by_day");
    assert_eq!(rows.map(|rows| rows.to_string()), Some(days));
    assert_eq!(cloud.google.bigquery_rows("stats", "articles"), Some(2000));

    assert_eq!(cloud.google.calls("sql.backupRuns.insert").len(), 1);
    cloud.assert_writers_serve();
    cloud.assert_serves("web");
}

#[tokio::test]
async fn a_load_that_fails_leaves_everything_as_it_was() {
    let (site, _, cloud) = prepared().await;
    let old = psql(&site, OID).await;
    let articles = psql(&site, ARTICLES).await;
    site.sh("cp \"$WHATUP_ARCHIVE/feed-3.csv\" \"$WHATUP_ARCHIVE/whole\"")
        .await
        .with(0);
    site.sh("echo '3251,3,cut off' >>\"$WHATUP_ARCHIVE/feed-3.csv\"")
        .await
        .with(0);

    let run = site.sh("rebuild run --confirm whatup").await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    says(
        &run.stdout,
        &[
            " rolled back after ",
            "of the job \"whatup-load\" failed: 1 of 6 tasks failed",
            "its last lines:\n",
            "missing data for column \"title\"",
            "COPY incoming, line 252: \"3251,3,cut off\"",
            "gcloud run jobs executions describe whatup-load-",
            "\"whatup\" is the database it was before",
        ],
    );
    assert_eq!(psql(&site, OID).await, old);
    assert_eq!(psql(&site, ARTICLES).await, articles);
    assert_eq!(
        psql(&site, DATABASES).await,
        "whatup",
        "nothing is left beside it"
    );
    psql(
        &site,
        "insert into feed values (9, 'writes are let in again')",
    )
    .await;
    let [load] = &cloud.executions("whatup-load")[..] else {
        panic!("not one execution");
    };
    assert_eq!(
        (&load["failedCount"], &load["retriedCount"]),
        (&1.into(), &1.into())
    );
    cloud.assert_writers_serve();
    // Nothing behind the load was begun.
    assert_eq!(cloud.ends(), [[""; 0]; 2]);
    assert_eq!(cloud.google.bigquery_rows("stats", "articles"), Some(1));
    assert!(cloud.google.calls("bigquery.tables.delete").is_empty());

    // The archive is mended, and the same command again does it.
    site.sh("mv \"$WHATUP_ARCHIVE/whole\" \"$WHATUP_ARCHIVE/feed-3.csv\"")
        .await
        .with(0);
    let again = site.sh("rebuild run --confirm whatup").await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    says(&again.stderr, &["apply stack with terraform"]);
    assert_eq!(psql(&site, NEW_ROWS).await, "2000 8 de en fr");
    cloud.google.assert_clean();
}

/// The remedy is not tried twice, and the new database was in service already.
#[tokio::test]
async fn a_remedy_that_does_not_help_takes_the_run_back() {
    let (site, _, cloud) = prepared().await;
    let old = psql(&site, OID).await;
    let articles = psql(&site, ARTICLES).await;
    // The table is said to be deleted, and stays.
    let delete = "bigquery.tables.delete";
    cloud.google.on(delete, |_| async { Ok(Answer::Nothing) });

    let run = site.sh("rebuild run --confirm whatup").await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    says(
        &run.stdout,
        &[
            " rolled back after ",
            "the backfill of articles by day failed: Inserted row has wrong column count",
            "that was after the remedy, which is not tried twice",
            "the new database was in service, and is kept, closed, as \"whatup_new_",
            "anything that the scheduled query \"articles by day\" has put into",
        ],
    );
    assert_eq!(cloud.ends(), [vec!["FAILED", "FAILED"], vec![]]);
    assert_eq!(cloud.google.calls(delete).len(), 1);
    assert_eq!(psql(&site, OID).await, old);
    assert_eq!(psql(&site, ARTICLES).await, articles);
    psql(
        &site,
        "insert into feed values (9, 'writes are let in again')",
    )
    .await;
    cloud.assert_writers_serve();
    cloud.google.assert_clean();
}

/// Runs the rebuild, and kills it as soon as the load is under way.
const KILLED: &str = r#"
    coproc RUN { exec rebuild run --confirm whatup 2>&1; }
    while read -r line <&"${RUN[0]}"; do
      case $line in *" of 6 tasks was begun"*) kill -KILL "$RUN_PID"; exit ;; esac
    done
    exit 1"#;

#[tokio::test]
async fn a_run_that_is_killed_while_rows_are_loaded_goes_on_and_loads_once() {
    let (site, _, cloud) = prepared().await;
    let old = psql(&site, OID).await;
    let articles = psql(&site, ARTICLES).await;
    site.sh(KILLED).await.with(0);
    assert_eq!(psql(&site, OID).await, old, "it is in service");
    assert_eq!(psql(&site, ARTICLES).await, articles);

    let resumed = site.sh("rebuild resume").await;
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let goes_on = resumed.stderr.contains("was begun before, and goes on");
    let done = resumed.stderr.contains("of this run has succeeded before");
    assert!(goes_on || done, "{}", resumed.stderr);
    assert_rebuilt(&site, &cloud, &old).await;
    cloud.google.assert_clean();
}
