use rebuild_testgoogle::{Fault, Strike};
use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::gcp::RunRestartTask;
use crate::gcp::stage::{REGION, Stage, db};
use crate::model::StepMark;
use crate::testing::conformance;
use crate::traits::Task;

mod operations;

fn deploy(stage: &Stage) {
    let fields = json!({
        "template": {
            "containers": [{"image": "api:7", "env": [{"name": "A", "value": "b"}]}],
            "scaling": {"minInstanceCount": 1, "maxInstanceCount": 9},
        },
        "scaling": {"scalingMode": "AUTOMATIC", "minInstanceCount": 2},
        "labels": {"team": "data"},
    });
    stage.server.deploy_service(REGION, "api", fields);
}

fn service(stage: &Stage) -> Value {
    stage.server.service(REGION, "api").expect("a service")
}

/// What is another as soon as somebody has changed it.
fn version(service: &Value) -> [Value; 2] {
    ["uid", "generation"].map(|field| service[field].clone())
}

fn workload(stage: &Stage, delete: bool) -> ServiceWorkload {
    ServiceWorkload {
        google: stage.google.clone(),
        region: REGION.to_owned(),
        name: "api".to_owned(),
        service: "api".to_owned(),
        delete,
        limit: Duration::from_secs(30),
    }
}

#[tokio::test]
async fn a_service_is_scaled_to_nothing_and_back() {
    let stage = Stage::new().await;
    deploy(&stage);
    let workload = workload(&stage, false);
    let before = workload.look(&stage.ctx).await.expect("seen");
    assert!(before.running);
    for _ in 0..2 {
        workload.stop(&stage.ctx, &before).await.expect("stopped");
    }
    let scaling = &service(&stage)["scaling"];
    assert_eq!(scaling["scalingMode"], "MANUAL", "{scaling}");
    assert_eq!(scaling["manualInstanceCount"], 0, "{scaling}");
    assert!(!workload.look(&stage.ctx).await.expect("seen").running);
    let struck = Fault::once("run.projects.locations.services.patch", Strike::CloseAfter);
    let struck = stage.server.fault(struck);
    for _ in 0..2 {
        workload.start(&stage.ctx, &before).await.expect("started");
    }
    assert_eq!(struck.struck(), 1);
    let now = service(&stage);
    assert_eq!(now["scaling"]["minInstanceCount"], 2, "{now}");
    assert_eq!(now["scaling"]["scalingMode"], "AUTOMATIC", "{now}");
    // Neither made a new revision.
    let revision = now["latestReadyRevision"].as_str().expect("a revision");
    assert!(revision.contains("/api-00001-"), "{revision}");
    let patches = stage.server.calls("run.projects.locations.services.patch");
    assert_eq!(patches.len(), 2);
}

async fn what_was_stopped_stays_so(delete: bool) {
    let stage = Stage::new().await;
    let workload = workload(&stage, delete);
    let absent = workload.look(&stage.ctx).await.expect("seen");
    assert!(!absent.running);
    workload.stop(&stage.ctx, &absent).await.expect("nothing");
    workload.start(&stage.ctx, &absent).await.expect("nothing");
    let fields = json!({
        "template": {"containers": [{"image": "api:7"}]},
        "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0},
    });
    stage.server.deploy_service(REGION, "api", fields);
    let was = service(&stage);
    let facts = stage.run().await;
    let facts = facts.service_facts(&stage.ctx, "api", delete).await;
    let facts = facts.expect("asked").expect("seen");
    assert!(!facts.deleted, "a plan says so: {facts:?}");
    let before = workload.look(&stage.ctx).await.expect("seen");
    assert!(!before.running);
    workload.stop(&stage.ctx, &before).await.expect("stopped");
    workload
        .start(&stage.ctx, &before)
        .await
        .expect("as before");
    assert_eq!(version(&service(&stage)), version(&was));
    for change in ["patch", "delete", "create"] {
        let method = format!("run.projects.locations.services.{change}");
        assert!(stage.server.calls(&method).is_empty(), "{change}");
    }
}

#[tokio::test]
async fn one_that_was_stopped_before_stays_so_and_one_that_is_missing_is_none() {
    what_was_stopped_stays_so(false).await;
    what_was_stopped_stays_so(true).await;
}

#[tokio::test]
async fn a_service_is_deleted_and_comes_back_as_it_was() {
    let stage = Stage::new().await;
    deploy(&stage);
    let run = stage.run().await;
    let invokers = google_cloud_iam_v1::model::Binding::new()
        .set_role("roles/run.invoker")
        .set_members(["allUsers"]);
    let workload = workload(&stage, true);
    let policy = Policy::new().set_version(1).set_bindings([invokers]);
    workload
        .set_policy(&stage.ctx, &run, &policy)
        .await
        .expect("set");
    let was = service(&stage);
    let before = workload.look(&stage.ctx).await.expect("seen");
    for _ in 0..2 {
        workload.stop(&stage.ctx, &before).await.expect("deleted");
    }
    assert!(stage.server.service(REGION, "api").is_none());
    let revision = |service: &Value| {
        let full = service["latestReadyRevision"].as_str().expect("a revision");
        short(full).to_owned()
    };
    // The journal keeps it as text.
    let text = serde_json::to_string(&before).expect("text");
    let before: WorkloadState = serde_json::from_str(&text).expect("a state");
    let struck = Fault::once("run.projects.locations.services.create", Strike::CloseAfter);
    stage.server.fault(struck);
    for _ in 0..2 {
        workload.start(&stage.ctx, &before).await.expect("back");
    }
    let now = service(&stage);
    assert_ne!(now["uid"], was["uid"]);
    let (new, old) = (revision(&now), revision(&was));
    for line in [
        format!(
            "service api, which serves with revision {old}, is deleted until it is deployed again"
        ),
        format!("service api serves with revision {new}"),
    ] {
        assert!(stage.lines().contains(&line), "{line}: {:?}", stage.lines());
    }
    for field in ["template", "scaling", "labels", "traffic"] {
        let (now, was) = (&now[field], &was[field]);
        let part = was.as_object().into_iter().flatten();
        for (key, value) in part {
            assert_eq!(&now[key], value, "{field}.{key}");
        }
    }
    let again = workload.policy(&stage.ctx, &run).await.expect("a policy");
    assert_eq!(again.bindings, policy.bindings);
    assert_eq!(
        stage
            .server
            .calls("run.projects.locations.services.create")
            .len(),
        1
    );
}

#[tokio::test]
async fn traffic_that_names_the_newest_revision_names_it_again() {
    let stage = Stage::new().await;
    let traffic = json!([{
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "api-blue", "percent": 100,
    }]);
    let fields = |newest: &str| {
        json!({
            "template": {"revision": newest, "containers": [{"image": "api:7"}]},
            "traffic": traffic,
        })
    };
    stage
        .server
        .deploy_service(REGION, "api", fields("api-blue"));
    let workload = workload(&stage, true);
    let before = workload.look(&stage.ctx).await.expect("seen");
    workload.stop(&stage.ctx, &before).await.expect("deleted");
    workload.start(&stage.ctx, &before).await.expect("back");
    let statuses = &service(&stage)["trafficStatuses"];
    assert_eq!(statuses[0]["revision"], "api-blue", "{statuses}");
    // Where it names an older one, that one would not come back.
    let mut service = Service::new()
        .set_name("projects/p/locations/l/services/api")
        .set_latest_created_revision("api-green")
        .set_latest_ready_revision("api-green");
    require_repeatable(&service).expect("all is newest");
    let older = google_cloud_run_v2::model::TrafficTarget::new()
        .set_type(TrafficTargetAllocationType::Revision)
        .set_revision("api-blue");
    service.traffic.push(older);
    let error = require_repeatable(&service).expect_err("an older one");
    assert!(
        error.is_refusal() && error.to_string().contains("api-blue"),
        "{error:?}"
    );
}

/// The service, and whether it could write.
struct Writer {
    stage: Stage,
    workload: ServiceWorkload,
}

impl Writer {
    async fn new(delete: bool) -> Self {
        let stage = Stage::new().await;
        deploy(&stage);
        let workload = workload(&stage, delete);
        Self { stage, workload }
    }
}

#[async_trait]
impl conformance::WorkloadStage for Writer {
    fn workload(&self) -> &dyn Workload {
        &self.workload
    }

    async fn writes(&self) -> bool {
        let service = self.stage.server.service(REGION, "api");
        service.is_some_and(|service| service["scaling"]["scalingMode"] != "MANUAL")
    }
}

#[tokio::test]
async fn both_ways_to_stop_hold_the_contract() {
    conformance::workload(async || Writer::new(false).await).await;
    conformance::workload(async || Writer::new(true).await).await;
}

fn restart(stage: &Stage, only_unhealthy: bool) -> RunRestartTask {
    RunRestartTask {
        google: stage.google.clone(),
        region: REGION.to_owned(),
        name: "restart".to_owned(),
        service: "api".to_owned(),
        mark: StepMark::once("after/restart"),
        only_unhealthy,
        limit: Duration::from_secs(30),
    }
}

#[tokio::test]
async fn a_restart_makes_a_revision_and_waits_for_it() {
    let stage = Stage::new().await;
    deploy(&stage);
    let was = service(&stage);
    let patch = "run.projects.locations.services.patch";
    stage.server.fault(Fault::once(patch, Strike::CloseAfter));
    for _ in 0..2 {
        restart(&stage, false)
            .run(&stage.ctx, &db())
            .await
            .expect("restarted");
    }
    let now = service(&stage);
    assert_ne!(now["latestReadyRevision"], was["latestReadyRevision"]);
    assert_eq!(now["reconciling"], false);
    assert_eq!(now["template"]["containers"], was["template"]["containers"]);
    // Twice in a run is once.
    assert_eq!(stage.server.calls(patch).len(), 1);
    restart(&stage, true)
        .run(&stage.ctx, &db())
        .await
        .expect("healthy");
    assert_eq!(stage.server.calls(patch).len(), 1);
}

#[tokio::test]
async fn a_revision_that_does_not_get_ready_is_told_of() {
    let stage = Stage::new().await;
    deploy(&stage);
    stage
        .server
        .fail_revisions(REGION, "api", Some("The container failed to start."));
    let ended = restart(&stage, false).run(&stage.ctx, &db()).await;
    let error = ended.expect_err("not ready");
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    assert!(error.chain().contains("failed to start"), "{error:?}");
    stage.server.fail_revisions(REGION, "api", None);
    let mut again = restart(&stage, true);
    again.mark = StepMark::once("after/again");
    again.run(&stage.ctx, &db()).await.expect("mended");
    stage
        .until_told("is not ready: The container failed to start.")
        .await;
}
