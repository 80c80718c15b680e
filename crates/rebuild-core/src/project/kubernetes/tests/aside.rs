//! What others do while a server goes out of the way, and while it comes back.

use kube::api::{Patch, PatchParams};
use rebuild_testkube::{Cluster, Fault, FaultHandle, Request, Strike};
use serde_json::{Value, json};

use super::replace::{HOW, filled, rollback, rows, run, volume, volume_state};
use super::*;

/// Keeps an object from going until a test takes it off.
const HOLD: &str = "example.com/hold";

async fn hold(world: &World, kind: &str, name: &str) {
    let object = world.get(kind, name).await.expect("it is there");
    let finalizers = object["metadata"]["finalizers"].as_array();
    let mut finalizers = finalizers.cloned().unwrap_or_default();
    finalizers.push(HOLD.into());
    let change = json!({ "metadata": { "finalizers": finalizers } });
    world.patch(kind, name, change).await;
}

/// Waits until somebody deletes an object.
async fn until_deleted(world: &World, kind: &str, name: &str) {
    let going = |it: &Value| !it["metadata"]["deletionTimestamp"].is_null();
    world.until(kind, name, going).await;
}

async fn let_go(world: &World, kind: &str, name: &str) {
    loop {
        let now = world.get(kind, name).await.expect("it is held");
        let finalizers = now["metadata"]["finalizers"].as_array();
        let mut left = finalizers.cloned().unwrap_or_default();
        left.retain(|it| it != HOLD);
        let version = &now["metadata"]["resourceVersion"];
        let change = json!({ "metadata": { "finalizers": left, "resourceVersion": version } });
        let (api, params) = (world.api(kind), PatchParams::default());
        match api.patch(name, &params, &Patch::Merge(&change)).await {
            // The cluster has taken one of its own off meanwhile.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            patched => return drop(patched.expect("it is let go")),
        }
    }
}

/// Each is waited for: what comes after it is not touched before it is gone.
#[tokio::test]
async fn the_objects_of_a_server_go_in_order_and_each_is_waited_for() {
    let world = filled().await;
    world
        .apply(
            "{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {template: {spec: {
               restartPolicy: Never, containers: [
                 {name: main, image: 'postgres:16', command: ['true']}]}}}}",
        )
        .await;
    let order = [
        ("job", "migrate"),
        ("statefulset", "db"),
        ("service", "db"),
        ("claim", "data-db-0"),
    ];
    for (kind, name) in order {
        hold(&world, kind, name).await;
    }
    let release = async {
        for (at, (kind, name)) in order.into_iter().enumerate() {
            until_deleted(&world, kind, name).await;
            for (kind, name) in &order[at + 1..] {
                let later = world.get(kind, name).await.expect("it is there");
                let touched = &later["metadata"]["deletionTimestamp"];
                assert!(touched.is_null(), "{kind}/{name} goes already");
            }
            let_go(&world, kind, name).await;
        }
    };
    let (report, ()) = tokio::join!(run(&world, "", HOW), release);
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    assert_eq!(rows(&world).await, "100");
    if let Some(cluster) = world.inside("which requests there were") {
        // Each goes once it was let go, and not a moment earlier.
        let requests = cluster.requests();
        let plural = |kind: &str| match kind {
            "claim" => "persistentvolumeclaims".to_owned(),
            kind => format!("{kind}s"),
        };
        let first = |method: &str, kind: &str, name: &str| {
            let path = format!("/{}/{name}", plural(kind));
            let is_it = |r: &Request| r.method == method && r.path.ends_with(&path);
            requests.iter().position(is_it).expect("it was asked for")
        };
        let last = |kind: &str, name: &str| {
            let path = format!("/{}/{name}", plural(kind));
            let by_test = |r: &Request| r.method == "PATCH" && r.path.ends_with(&path);
            let deleted = first("DELETE", kind, name);
            let after = requests[deleted..].iter().position(by_test);
            deleted + after.expect("it was let go")
        };
        for pair in order.windows(2) {
            let ((kind, name), (next, its_name)) = (pair[0], pair[1]);
            let next = first("DELETE", next, its_name);
            assert!(last(kind, name) < next, "{kind}/{name} was not waited for");
        }
    }
    world.end().await;
}

/// The volume of a claim that goes is kept for as long as its policy says so.
#[tokio::test]
async fn a_volume_that_is_set_to_delete_again_meanwhile_is_kept_all_the_same() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    hold(&world, "service", "db").await;
    let meddle = async {
        until_deleted(&world, "service", "db").await;
        assert_eq!(volume_state(&world, &old_volume).await.1, "Retain");
        let change = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
        world.patch("volume", &old_volume, change).await;
        let_go(&world, "service", "db").await;
    };
    let (report, ()) = tokio::join!(run(&world, "", HOW), meddle);
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    let kept = ("Released".to_owned(), "Retain".to_owned());
    assert_eq!(volume_state(&world, &old_volume).await, kept);
    let back = rollback(&world, &report.run, false).await;
    assert_eq!(back.ending, Ending::RolledBack, "{back:?}");
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

/// Holds up requests until [`Cluster::lift_faults`].
fn hold_up(cluster: &Cluster, method: &str, path: &str) -> FaultHandle {
    let answer = Strike::Answer {
        code: 503,
        retry_after: None,
    };
    cluster.fault(Fault {
        times: u32::MAX,
        ..Fault::once(method, path, answer)
    })
}

/// Makes the claim as a controller would that has it in its own list.
fn make_claim(cluster: &Cluster, world: &World) {
    let claim = format!(
        "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data-db-0,
           namespace: {}}}, spec: {{accessModes: [ReadWriteOnce],
           resources: {{requests: {{storage: 1Gi}}}}}}}}",
        world.namespace
    );
    cluster.put(&claim).expect("a claim");
}

async fn until_struck(fault: &FaultHandle) {
    let struck = async {
        while fault.struck() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let limit = std::time::Duration::from_secs(120);
    tokio::time::timeout(limit, struck)
        .await
        .expect("it comes to that");
}

#[tokio::test]
async fn a_claim_that_a_controller_makes_again_is_never_taken_for_the_old_one() {
    let world = filled().await;
    let Some(cluster) = world.inside("a controller that comes in between") else {
        return world.end().await;
    };
    let old_volume = volume(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");

    // It comes before the old volume is kept for a claim of that name, and gets another one.
    let held = hold_up(
        cluster,
        "PATCH",
        &format!("/persistentvolumes/{old_volume}"),
    );
    let meddle = async {
        until_struck(&held).await;
        make_claim(cluster, &world);
        let bound = |it: &Value| it["status"]["phase"] == "Bound";
        world.until("claim", "data-db-0", bound).await;
        cluster.lift_faults();
    };
    let (back, ()) = tokio::join!(rollback(&world, &report.run, true), meddle);
    assert_eq!(back.ending, Ending::Stuck, "{back:?}");
    let why = back.error.as_deref().unwrap_or_default();
    let expected = format!("claim \"data-db-0\" is there again and not on volume {old_volume}");
    assert!(why.contains(&expected), "{why}");
    assert_eq!(volume_state(&world, &old_volume).await.1, "Retain");
    assert_eq!(world.get("statefulset", "db").await, None);

    // It comes after that, and what is kept for that name is its.
    let claims = world.api("claim");
    let gone = claims.delete("data-db-0", &Default::default()).await;
    gone.expect("it goes");
    let held = hold_up(cluster, "POST", "/persistentvolumeclaims");
    let meddle = async {
        until_struck(&held).await;
        make_claim(cluster, &world);
        cluster.lift_faults();
    };
    let (back, ()) = tokio::join!(rollback(&world, &report.run, true), meddle);
    let told = world.told.text();
    assert_eq!(back.ending, Ending::RolledBack, "{back:?} {told}");
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}
