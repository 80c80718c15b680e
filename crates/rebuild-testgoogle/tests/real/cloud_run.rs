//! `gcloud run` finds here what it finds at Google.

use rebuild_testgoogle::{Google, GoogleOptions};
use serde_json::json;

use crate::cli::{ok, refused};

const REGION: &str = "europe-west1";

async fn google() -> Google {
    let options = GoogleOptions {
        anonymous: true,
        ..GoogleOptions::default()
    };
    let google = Google::start_with(options).await.unwrap();
    let script = "test \"$1\" != fail && echo \"$*\" \"${COLOUR-}\"; exec $2";
    google.program("loader:1", &["bash", "-uc", script, "loader"]);
    let container = json!({"name": "main", "image": "loader:1", "args": ["load", "true"]});
    let template = json!({
        "taskCount": 1, "template": {"containers": [container], "maxRetries": 0, "timeout": "60s"},
    });
    google.deploy_job(REGION, "work", template);
    let env = json!([{"name": "SECRET", "valueSource": {"secretKeyRef": {
        "secret": "api", "version": "latest",
    }}}]);
    let container = json!({
        "image": "api:7", "env": env, "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
    });
    let template = json!({"containers": [container], "timeout": "300s"});
    let scaling = json!({"scalingMode": "MANUAL", "manualInstanceCount": 3});
    let fields = json!({"template": template, "scaling": scaling, "labels": {"team": "shop"}});
    google.deploy_service(REGION, "api", fields);
    google
}

/// The line with the region.
fn here(line: &str) -> String {
    format!("{line} --region {REGION}")
}

fn assert_no_violations(google: &Google) {
    assert_eq!(google.violations(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn a_job_is_executed_with_overrides_and_waited_for() {
    let google = google().await;
    let listed = ok(
        &google,
        &here("run jobs list --format value(metadata.name)"),
    )
    .await;
    assert_eq!(listed, "work");
    // Of all regions.
    let listed = ok(&google, "run jobs list --format value(metadata.name)").await;
    assert_eq!(listed, "work");
    let line = "run jobs execute work --tasks 2 --args=from,true --update-env-vars COLOUR=red \
                --task-timeout 30s --wait --format value(metadata.name)";
    let name = ok(&google, &here(line)).await;
    let execution = &google.executions(REGION, "work")[0];
    assert_eq!(execution["succeededCount"], 2);
    assert_eq!(execution["template"]["timeout"], "30s");
    assert!(
        execution["name"].as_str().unwrap().ends_with(&name),
        "{name}"
    );
    let fields = "status.succeededCount,spec.taskCount,status.conditions[0].status";
    let line = format!("run jobs executions describe {name} --format value({fields})");
    assert_eq!(ok(&google, &here(&line)).await, "2\t2\tTrue");
    let line = "run jobs executions list --job work --format value(metadata.name)";
    assert_eq!(ok(&google, &here(line)).await, name);
    let line = "run jobs executions list --job other --format value(metadata.name)";
    assert_eq!(ok(&google, &here(line)).await, "");
    let fields = "status.executionCount,status.latestCreatedExecution.name";
    let line = format!("run jobs describe work --format value({fields})");
    assert_eq!(ok(&google, &here(&line)).await, format!("1\t{name}"));
    let filter = format!("labels.\"run.googleapis.com/execution_name\"=\"{name}\"");
    let words = ["logging", "read", &filter, "--format=value(textPayload)"];
    let read = crate::cli::run(&google, "gcloud", &words).await;
    let read = String::from_utf8(read.stdout).unwrap();
    let lines: Vec<&str> = read.lines().map(str::trim).collect();
    assert_eq!(lines, ["from true red", "from true red"]);
    assert_no_violations(&google);
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn an_execution_fails_or_is_cancelled() {
    let google = google().await;
    let failing = here("run jobs execute work --args=fail,false --wait");
    let said = refused(&google, &failing).await;
    assert!(said.contains("The execution failed."), "{said}");
    let line = "run jobs execute work --async --format value(metadata.name)";
    google.program("loader:1", &["bash", "-c", "exec sleep infinity"]);
    let name = ok(&google, &here(line)).await;
    let line = format!("run jobs executions cancel {name}");
    ok(&google, &here(&line)).await;
    let fields = "status.cancelledCount,status.conditions[0].status";
    let line = here(&format!(
        "run jobs executions describe {name} --format value({fields})"
    ));
    let mut described = ok(&google, &line).await;
    while described != "1\tFalse" {
        assert!(described.ends_with("Unknown"), "{described}");
        described = ok(&google, &line).await;
    }
    let said = refused(&google, &here("run jobs execute nothing")).await;
    assert!(said.contains("was not found"), "{said}");
    assert_no_violations(&google);
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn a_service_is_described_changed_and_deleted() {
    let google = google().await;
    let listed = ok(&google, "run services list --format value(metadata.name)").await;
    assert_eq!(listed, "api");
    let described = here("run services describe api --format json");
    let described: serde_json::Value =
        serde_json::from_str(&ok(&google, &described).await).unwrap();
    let annotations = &described["metadata"]["annotations"];
    assert_eq!(annotations["run.googleapis.com/scalingMode"], "manual");
    assert_eq!(annotations["run.googleapis.com/manualInstanceCount"], "3");
    let first = described["status"]["latestReadyRevisionName"]
        .as_str()
        .unwrap();
    let container = &described["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["env"][0]["valueFrom"]["secretKeyRef"]["name"],
        "api"
    );

    let before = google.service(REGION, "api").unwrap();
    ok(
        &google,
        &here("run services update api --update-env-vars COLOUR=red"),
    )
    .await;
    let after = google.service(REGION, "api").unwrap();
    // What was not asked for is as it was.
    for field in ["scaling", "labels", "traffic", "ingress", "policy"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    let containers = &after["template"]["containers"];
    let (old, new) = (&before["template"]["containers"][0], &containers[0]);
    assert_eq!(old["env"][0], new["env"][0]);
    assert_eq!(new["env"][1], json!({"name": "COLOUR", "value": "red"}));
    assert_eq!(old["resources"], new["resources"]);
    let revisions = "run revisions list --service api --format value(metadata.name)";
    let revisions = ok(&google, &here(revisions)).await;
    assert_eq!(revisions.lines().count(), 2, "{revisions}");
    assert!(revisions.contains(first), "{revisions}");

    google.fail_revisions(REGION, "api", Some("The container did not start."));
    let said = refused(
        &google,
        &here("run services update api --update-env-vars A=b"),
    )
    .await;
    assert!(said.contains("The container did not start."), "{said}");
    google.fail_revisions(REGION, "api", None);
    let line = format!("run services update-traffic api --to-revisions {first}=100");
    ok(&google, &here(&line)).await;
    let traffic = &google.service(REGION, "api").unwrap()["traffic"];
    assert_eq!(traffic[0]["revision"], first);
    ok(&google, &here("run services delete api")).await;
    assert_eq!(google.service(REGION, "api"), None);
    assert_no_violations(&google);
}
