//! Operations that fail, or do not end.

use rebuild_testgoogle::{Failure, FaultHandle, OperationFault};

use super::*;

const WHY: &str = "Quota exceeded for total allowable CPU.";

/// Lets the next operation of a method fail without an effect.
fn fail(stage: &Stage, method: &str) -> FaultHandle {
    let why = OperationFault::Fail(Failure::new("8", WHY));
    strike(stage, method, why)
}

fn strike(stage: &Stage, method: &str, fault: OperationFault) -> FaultHandle {
    let method = format!("run.projects.locations.services.{method}");
    stage.server.fault_operation(&method, fault)
}

fn assert_failed(ended: crate::Result<()>, what: &str) {
    let error = ended.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    assert_eq!(error.chain(), format!("{what}: failed: {WHY}"));
    let advice = error.advice().expect("advice");
    assert!(
        advice.contains("gcloud run services describe api --region europe-west1"),
        "{advice}"
    );
}

#[tokio::test]
async fn a_restart_whose_operation_fails_is_none() {
    let stage = Stage::new().await;
    deploy(&stage);
    let was = service(&stage);
    fail(&stage, "patch");
    let task = restart(&stage, false);
    let ended = task.run(&stage.ctx, &db()).await;
    assert_failed(ended, "deploying service api again");
    assert_eq!(version(&service(&stage)), version(&was));
    // Whoever goes on with the run does it again.
    task.run(&stage.ctx, &db()).await.expect("restarted");
    let now = service(&stage);
    assert_ne!(now["latestReadyRevision"], was["latestReadyRevision"]);
}

#[tokio::test]
async fn a_service_whose_operations_fail_is_neither_stopped_nor_started() {
    let stage = Stage::new().await;
    deploy(&stage);
    let workload = workload(&stage, false);
    let was = service(&stage);
    let before = workload.look(&stage.ctx).await.expect("seen");
    fail(&stage, "patch");
    let ended = workload.stop(&stage.ctx, &before).await;
    assert_failed(ended, "scaling service api");
    assert_eq!(version(&service(&stage)), version(&was));
    workload.stop(&stage.ctx, &before).await.expect("stopped");
    fail(&stage, "patch");
    let ended = workload.start(&stage.ctx, &before).await;
    assert_failed(ended, "scaling service api");
    assert_eq!(service(&stage)["scaling"]["manualInstanceCount"], 0);
    workload.start(&stage.ctx, &before).await.expect("started");
    assert_eq!(service(&stage)["scaling"], was["scaling"]);
}

#[tokio::test]
async fn a_service_whose_operations_fail_is_neither_deleted_nor_deployed() {
    let stage = Stage::new().await;
    deploy(&stage);
    let workload = workload(&stage, true);
    let was = service(&stage);
    let before = workload.look(&stage.ctx).await.expect("seen");
    fail(&stage, "delete");
    let ended = workload.stop(&stage.ctx, &before).await;
    assert_failed(ended, "deleting service api");
    assert_eq!(version(&service(&stage)), version(&was));
    workload.stop(&stage.ctx, &before).await.expect("deleted");
    fail(&stage, "create");
    let ended = workload.start(&stage.ctx, &before).await;
    assert_failed(ended, "deploying service api");
    assert!(stage.server.service(REGION, "api").is_none());
    workload.start(&stage.ctx, &before).await.expect("deployed");
}

#[tokio::test]
async fn an_operation_that_does_not_end_is_left_at_the_deadline() {
    for delete in [false, true] {
        let stage = Stage::new().await;
        deploy(&stage);
        let mut workload = workload(&stage, delete);
        workload.limit = Duration::from_secs(1);
        let before = workload.look(&stage.ctx).await.expect("seen");
        let method = if delete { "delete" } else { "patch" };
        strike(&stage, method, OperationFault::Never);
        let ended = workload.stop(&stage.ctx, &before).await;
        let error = ended.expect_err("it does not end");
        assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
        let advice = error.advice().expect("advice");
        for part in ["goes on by itself", "gcloud run services describe api"] {
            assert!(advice.contains(part), "{part}: {advice}");
        }
    }
}

#[tokio::test]
async fn a_service_that_is_still_without_instances_has_not_started() {
    let stage = Stage::new().await;
    deploy(&stage);
    let mut workload = workload(&stage, false);
    let before = workload.look(&stage.ctx).await.expect("seen");
    workload.stop(&stage.ctx, &before).await.expect("stopped");
    // It says that it has done what it has not.
    stage
        .server
        .on("run.projects.locations.services.patch", |_| async {
            let name = "projects/test-project/locations/europe-west1/operations/1";
            Ok(json!({"name": name, "done": true}).into())
        });
    workload.limit = Duration::from_secs(1);
    let ended = workload.start(&stage.ctx, &before).await;
    let error = ended.expect_err("no instances");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(
        error.to_string().contains("it is scaled as it was before"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_service_that_stays_reconciling_does_not_get_ready() {
    let stage = Stage::new().await;
    deploy(&stage);
    let mut going = service(&stage);
    going["reconciling"] = true.into();
    let get = "run.projects.locations.services.get";
    stage.server.on(get, move |_| {
        let going = going.clone();
        async move { Ok(going.into()) }
    });
    let mut task = restart(&stage, false);
    task.limit = Duration::from_secs(1);
    let ended = task.run(&stage.ctx, &db()).await;
    let error = ended.expect_err("not ready");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(
        error.to_string().contains("service api took longer than"),
        "{error:?}"
    );
}
