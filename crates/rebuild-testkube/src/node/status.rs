//! The status of a pod, from what its containers do.

use serde_json::{Value, json};

use super::pod::Run;
use crate::clock;
use crate::object::{map, set_condition, text};

/// Writes the status of a pod. One that is being deleted starts nothing again.
pub(super) fn compose(pod: &mut Value, runs: &[Run], ending: bool) {
    let (init, main): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.is_init);
    let evicted = text(pod, "/status/reason") == "Evicted";
    let policy = text(pod, "/spec/restartPolicy").to_owned();
    let initialised = init.iter().all(|run| run.exit_code() == Some(0));
    let ready = initialised && !evicted && main.iter().all(|run| run.ready);
    let phase = phase(&init, &main, &policy, ending);

    set_condition(pod, "PodReadyToStartContainers", true, "", "");
    set_condition(pod, "Initialized", initialised, "", "");
    set_ready(pod, ready);
    let done = phase == "Succeeded";
    if !ready && done {
        for condition in ["Ready", "ContainersReady"] {
            set_condition(pod, condition, false, "PodCompleted", "");
        }
    }
    let status = map(&mut pod["status"]);
    if !evicted {
        status.insert("phase".into(), json!(phase));
    }
    status
        .entry("startTime")
        .or_insert_with(|| json!(clock::now()));
    status.insert("hostIP".into(), json!("127.0.0.1"));
    status.insert("podIP".into(), json!("127.0.0.1"));
    status.insert("podIPs".into(), json!([{"ip": "127.0.0.1"}]));
    let statuses = |runs: &[&Run]| -> Value { runs.iter().map(|run| container(run)).collect() };
    status.insert("containerStatuses".into(), statuses(&main));
    if !init.is_empty() {
        status.insert("initContainerStatuses".into(), statuses(&init));
    }
}

/// Sets the two conditions that say whether a pod is ready.
pub(super) fn set_ready(pod: &mut Value, ready: bool) {
    let reason = if ready { "" } else { "ContainersNotReady" };
    for condition in ["ContainersReady", "Ready"] {
        set_condition(pod, condition, ready, reason, "");
    }
}

fn phase(init: &[&Run], main: &[&Run], policy: &str, ending: bool) -> &'static str {
    let failed = |run: &&Run| run.exit_code().is_some_and(|code| code != 0);
    let ended = |run: &&Run| run.exit_code().is_some();
    if init.iter().any(|run| run.exit_code() != Some(0)) {
        let over = init.iter().any(failed) && (policy == "Never" || ending);
        return if over { "Failed" } else { "Pending" };
    }
    let over = |run: &&Run| {
        // A container that will be started again has not ended for good.
        ended(run) && (ending || policy == "Never" || (policy == "OnFailure" && !failed(run)))
    };
    if main.iter().all(over) {
        let failed = main.iter().any(failed);
        return if failed { "Failed" } else { "Succeeded" };
    }
    let fresh = |run: &&Run| run.restarts == 0 && run.state.get("waiting").is_some();
    if main.iter().all(fresh) {
        "Pending"
    } else {
        "Running"
    }
}

fn container(run: &Run) -> Value {
    let image = &run.spec["image"];
    let mut status = json!({
        "name": run.name(), "image": image, "imageID": image, "ready": run.ready,
        "started": run.state.get("running").is_some(), "restartCount": run.restarts,
        "state": run.state, "lastState": {},
    });
    if !run.last.is_null() {
        status["lastState"] = run.last.clone();
    }
    status
}
