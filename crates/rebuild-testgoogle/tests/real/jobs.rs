//! Jobs, services, logs and BigQuery, as Google's Python client and `bq` use them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rebuild_testgoogle::{Google, GoogleOptions, TransferOutcome};
use serde_json::json;
use tokio::process::Command;

use crate::cli::{DEADLINE, run};
use crate::python::python;

async fn google(anonymous: bool) -> Google {
    let options = GoogleOptions {
        anonymous,
        ..GoogleOptions::default()
    };
    let google = Google::start_with(options).await.unwrap();
    let script = "echo \"$CLOUD_RUN_TASK_INDEX $* ${COLOUR-}\"";
    google.program("loader:1", &["bash", "-euc", script, "loader"]);
    let container = json!({"name": "main", "image": "loader:1"});
    let template = json!({"taskCount": 1, "template": {"containers": [container]}});
    google.deploy_job("europe-west1", "work", template);
    let template = json!({"containers": [{"image": "api:7"}]});
    google.deploy_service("europe-west1", "api", json!({"template": template}));
    google.set_bigquery_rows("EU", "d", "t", 7);
    google.schedule_query("eu", "by day", || {
        TransferOutcome::failed("no").saying("ERROR", "why")
    });
    google
}

#[tokio::test]
async fn the_python_client_executes_changes_counts_and_backfills() {
    let google = google(false).await;
    let key = google.service_account_file("robot@p.iam.gserviceaccount.com");
    let home = tempfile::tempdir().unwrap();
    let running = Command::new(python().await)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/jobs.py"))
        .arg(google.url())
        .env_clear()
        .env("PATH", "")
        .env("HOME", home.path())
        .env("GOOGLE_APPLICATION_CREDENTIALS", key.unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, running).await;
    let output: Output = output.expect("the script ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{errors}"
    );
}

async fn bq(google: &Google, arguments: &[&str]) -> String {
    let token = format!("--oauth_access_token={}", google.token());
    let api = format!("--api={}", google.url());
    let mut all = vec!["--project_id=test-project", "--format=json", &token, &api];
    all.extend(arguments);
    let output = run(google, "bq", &all).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bq {arguments:?}: {said} {errors}");
    said
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn bq_counts_rows_and_backfills() {
    let google = google(false).await;
    let query = "SELECT count(*) FROM `test-project.d.t`";
    let counting = [
        "--location=EU",
        "query",
        "--rpc",
        "--nouse_legacy_sql",
        query,
    ];
    let counted = bq(&google, &counting).await;
    assert!(counted.contains("\"7\""), "{counted}");
    let listing = ["ls", "--transfer_config", "--transfer_location=eu"];
    let listed = bq(&google, &listing).await;
    assert!(listed.contains("by day"), "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let config = listed[0]["name"].as_str().unwrap();
    let time = "--run_time=2026-01-02T03:04:05Z";
    let started = bq(&google, &["mk", "--transfer_run", time, config]).await;
    assert!(started.contains("/runs/"), "{started}");
    let runs = google.transfer_runs(config);
    let run = runs[0]["name"].as_str().unwrap();
    let mut shown = String::new();
    while !shown.contains("FAILED") {
        shown = bq(&google, &["show", "--transfer_run", run]).await;
    }
    let said = bq(&google, &["ls", "--transfer_log", run]).await;
    assert!(said.contains("why"), "{said}");
    bq(&google, &["rm", "-f", "-t", "test-project:d.t"]).await;
    assert_eq!(google.bigquery_rows("d", "t"), None);
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn gcloud_reads_the_log_of_an_execution() {
    let google = google(true).await;
    let body = r#"{"overrides": {"taskCount": 2}}"#;
    let path = "/v2/projects/test-project/locations/europe-west1/jobs/work:run";
    let (code, _) = crate::client::call(&google, "POST", path, body).await;
    assert_eq!(code, 200);
    let done = async {
        while google.executions("europe-west1", "work")[0]["reconciling"] == true {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, done).await.unwrap();
    let filter = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"work\"";
    let reading = [
        "logging",
        "read",
        filter,
        "--order=asc",
        "--format=value(textPayload)",
    ];
    let read = run(&google, "gcloud", &reading).await;
    let errors = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{errors}");
    let read = String::from_utf8(read.stdout).unwrap();
    let mut lines: Vec<&str> = read.lines().map(str::trim).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1"], "{read}");
}
