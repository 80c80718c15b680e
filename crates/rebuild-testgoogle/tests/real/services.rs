//! Services of Cloud Run, and the operations that change them.

use rebuild_testgoogle::{Failure, FaultHandle, Google, OperationFault};
use serde_json::{Value, json};

use crate::client::call;

const REGION: &str = "europe-west1";
const PARENT: &str = "/v2/projects/test-project/locations/europe-west1";
const SERVICES: &str = "run.projects.locations.services";

async fn google() -> Google {
    let google = Google::start().await.unwrap();
    let template = json!({"containers": [{"image": "api:7"}]});
    google.deploy_service(REGION, "api", json!({"template": template}));
    google
}

/// Asks for an operation until it is done, a few times at most.
async fn end(google: &Google, begun: &Value) -> Value {
    let name = begun["name"].as_str().unwrap();
    for _ in 0..5 {
        let (code, now) = call(google, "GET", &format!("/v2/{name}"), "").await;
        assert_eq!(code, 200, "{now}");
        if now["done"] == true {
            return now;
        }
    }
    json!("not done")
}

async fn patch(google: &Google, colour: &str) -> Value {
    let path = format!("{PARENT}/services/api?updateMask=labels");
    let body = json!({"labels": {"colour": colour}}).to_string();
    let (code, begun) = call(google, "PATCH", &path, &body).await;
    assert_eq!(code, 200, "{begun}");
    begun
}

fn colour(google: &Google) -> Value {
    google.service(REGION, "api").unwrap()["labels"]["colour"].clone()
}

fn strike(google: &Google, method: &str, fault: OperationFault) -> FaultHandle {
    google.fault_operation(&format!("{SERVICES}.{method}"), fault)
}

#[tokio::test]
async fn an_operation_ends_as_its_service_does() {
    let google = google().await;
    let begun = patch(&google, "red").await;
    assert_eq!(begun["done"], false, "{begun}");
    let ended = end(&google, &begun).await;
    assert_eq!(ended["response"]["labels"]["colour"], "red", "{ended}");
    google.fail_revisions(REGION, "api", Some("The container did not start."));
    let ended = end(&google, &patch(&google, "blue").await).await;
    assert_eq!(ended["error"]["message"], "The container did not start.");
    assert_eq!(ended["response"], Value::Null, "{ended}");
    let (code, begun) = call(&google, "DELETE", &format!("{PARENT}/services/api"), "").await;
    assert_eq!((code, &begun["done"]), (200, &json!(true)), "{begun}");
}

#[tokio::test]
async fn an_operation_on_a_service_meets_the_fault_that_was_set_for_it() {
    let google = google().await;
    let full = || Failure::new("8", "The quota is used up.");
    strike(&google, "patch", OperationFault::Fail(full()));
    let ended = end(&google, &patch(&google, "red").await).await;
    assert_eq!(
        ended["error"],
        json!({"code": 8, "message": "The quota is used up."})
    );
    assert_eq!(colour(&google), Value::Null);
    strike(&google, "patch", OperationFault::FailAfter(full()));
    let ended = end(&google, &patch(&google, "green").await).await;
    assert_eq!(ended["error"]["code"], 8, "{ended}");
    assert_eq!(colour(&google), "green");
    strike(&google, "patch", OperationFault::Never);
    let begun = patch(&google, "red").await;
    assert_eq!(end(&google, &begun).await, "not done");
    assert_eq!(colour(&google), "green");
    let held = strike(&google, "patch", OperationFault::Hold);
    let begun = patch(&google, "blue").await;
    assert_eq!(end(&google, &begun).await, "not done");
    assert_eq!(colour(&google), "green");
    held.release();
    while end(&google, &begun).await == "not done" {}
    assert_eq!(colour(&google), "blue");
    strike(&google, "delete", OperationFault::Fail(full()));
    let path = format!("{PARENT}/services/api");
    let (_, begun) = call(&google, "DELETE", &path, "").await;
    assert_eq!(begun["error"]["code"], 8, "{begun}");
    assert!(google.service(REGION, "api").is_some());
    strike(&google, "create", OperationFault::Fail(full()));
    let path = format!("{PARENT}/services?serviceId=web");
    let body = json!({"template": {"containers": [{"image": "web:1"}]}}).to_string();
    let (_, begun) = call(&google, "POST", &path, &body).await;
    assert_eq!(begun["error"]["code"], 8, "{begun}");
    assert!(google.service(REGION, "web").is_none());
}
