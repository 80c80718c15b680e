//! Deployments and ReplicaSets.
//! See <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::workload::{self, has_ended, is_ready, pods_of, revision_of, share};
use crate::clock;
use crate::object::{
    self, condition, controller_reference, is_deleting, map, name, namespace, number,
    set_condition, text,
};
use crate::resources::{DEPLOYMENTS, REPLICA_SETS};
use crate::store::{Key, Store};
use crate::write::{self, Options};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// Moves each Deployment towards its template, and gives each ReplicaSet its pods.
pub(super) fn reconcile(store: &mut Store) {
    for deployment in store.snapshot(&DEPLOYMENTS, None) {
        if !is_deleting(&deployment) {
            roll(store, &deployment);
        }
    }
    for set in store.snapshot(&REPLICA_SETS, None) {
        if !is_deleting(&set) {
            fill(store, &set);
        }
    }
}

/// The ReplicaSets of a Deployment: that of its present template, and the others.
fn sets_of(store: &Store, deployment: &Value) -> (Option<Arc<Value>>, Vec<Arc<Value>>) {
    let hash = revision_of(&deployment["spec"]["template"]);
    let mut sets = store.snapshot(&REPLICA_SETS, Some(namespace(deployment)));
    sets.retain(|set| object::is_controlled_by(set, deployment));
    let (mut new, old): (Vec<_>, Vec<_>) = sets
        .into_iter()
        .partition(|set| set["metadata"]["labels"][HASH] == *hash);
    (new.pop(), old)
}

fn roll(store: &mut Store, deployment: &Value) {
    let (new, old) = sets_of(store, deployment);
    if !object::flag(deployment, "/spec/paused") {
        match new {
            None => create_set(store, deployment, &old),
            Some(new) => move_replicas(store, deployment, &new, &old),
        }
    }
    report(store, deployment);
}

fn revision(set: &Value) -> i64 {
    let revision = set["metadata"]["annotations"][REVISION].as_str();
    revision.and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn create_set(store: &mut Store, deployment: &Value, old: &[Arc<Value>]) {
    let hash = revision_of(&deployment["spec"]["template"]);
    let next = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    let object = json!({
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "labels": template["metadata"]["labels"],
            "annotations": {REVISION: next.to_string()},
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    let home = namespace(deployment);
    // Refused only while its namespace goes.
    let _ = write::create(store, &REPLICA_SETS, home, object, &Options::default());
}

fn replicas(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(0)
}

fn scale(store: &mut Store, set: &Value, to: i64) {
    write::modify(store, &Key::of(&REPLICA_SETS, set), |set| {
        set["spec"]["replicas"] = json!(to.max(0));
    });
}

/// Takes replicas from old sets and gives them to the new one, as the strategy allows.
fn move_replicas(store: &mut Store, deployment: &Value, new: &Arc<Value>, old: &[Arc<Value>]) {
    let newest = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    if revision(new) <= newest {
        // A template that was there before is the newest again.
        write::modify(store, &Key::of(&REPLICA_SETS, new), |set| {
            set["metadata"]["annotations"][REVISION] = json!((newest + 1).to_string());
        });
    }
    let wanted = replicas(deployment);
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        let mut left = false;
        for set in old {
            left |= !pods_of(store, set).is_empty();
            scale(store, set, 0);
        }
        if !left {
            scale(store, new, wanted);
        }
        return;
    }
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let surge = share(&rolling["maxSurge"], wanted, true);
    let mut missing = share(&rolling["maxUnavailable"], wanted, false);
    if surge == 0 && missing == 0 {
        missing = 1;
    }
    let of_old: i64 = old.iter().map(|set| replicas(set)).sum();
    let room = (wanted + surge - of_old).clamp(0, wanted);
    let target = if replicas(new) > wanted {
        wanted
    } else {
        room.max(replicas(new))
    };
    scale(store, new, target);
    let ready = |set: &Arc<Value>| number(set, "/status/readyReplicas").unwrap_or(0);
    let mut spare = old.iter().map(ready).sum::<i64>() + ready(new) - (wanted - missing);
    for set in old.iter().filter(|set| replicas(set) > 0) {
        // Pods that do not work are no loss.
        let broken = (replicas(set) - ready(set)).max(0);
        let less = (broken + spare.max(0)).min(replicas(set));
        spare -= less - broken.min(less);
        scale(store, set, replicas(set) - less);
    }
}

fn report(store: &mut Store, deployment: &Value) {
    let (new, old) = sets_of(store, deployment);
    let sets: Vec<&Arc<Value>> = new.iter().chain(&old).collect();
    let sum = |field: &str| -> i64 {
        let numbers = sets.iter().filter_map(|set| number(set, field));
        numbers.sum()
    };
    let total = sum("/status/replicas");
    let ready = sum("/status/readyReplicas");
    let updated = new
        .iter()
        .filter_map(|set| number(set, "/status/replicas"))
        .sum::<i64>();
    let wanted = replicas(deployment);
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let least = wanted - share(&rolling["maxUnavailable"], wanted, false);
    write::modify(store, &Key::of(&DEPLOYMENTS, deployment), |deployment| {
        if let Some(new) = &new {
            deployment["metadata"]["annotations"][REVISION] =
                new["metadata"]["annotations"][REVISION].clone();
        }
        let before = deployment["status"].clone();
        let generation = deployment["metadata"]["generation"].clone();
        let status = map(&mut deployment["status"]);
        for (field, value) in [
            ("replicas", total),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", (wanted - ready).max(0)),
        ] {
            status.insert(field.into(), json!(value));
        }
        status.insert("observedGeneration".into(), generation);
        let moved = [
            "updatedReplicas",
            "readyReplicas",
            "replicas",
            "observedGeneration",
        ]
        .iter()
        .any(|field| before.get(*field) != deployment["status"].get(*field));
        let done = updated == wanted && ready == wanted && total == wanted;
        conditions(deployment, done, moved, ready >= least);
    });
}

fn conditions(deployment: &mut Value, done: bool, moved: bool, available: bool) {
    let (reason, message) = if available {
        (
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    set_condition(deployment, "Available", available, reason, message);
    let own = name(deployment).to_owned();
    let known = condition(deployment, "Progressing")
        .cloned()
        .unwrap_or_default();
    let since = text(&known, "/lastUpdateTime").to_owned();
    let deadline = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    let complete = known["reason"] == "NewReplicaSetAvailable";
    let late = clock::seconds_since(&since).is_some_and(|seconds| seconds > deadline);
    let (status, reason, message, update) = if done {
        let message = format!("ReplicaSet for \"{own}\" has successfully progressed.");
        (true, "NewReplicaSetAvailable", message, !complete)
    } else if moved || since.is_empty() {
        (
            true,
            "ReplicaSetUpdated",
            format!("ReplicaSet for \"{own}\" is progressing."),
            true,
        )
    } else if late && !complete {
        let message = format!("ReplicaSet for \"{own}\" has timed out progressing.");
        (false, "ProgressDeadlineExceeded", message, false)
    } else {
        return;
    };
    set_condition(deployment, "Progressing", status, reason, &message);
    let conditions = deployment["status"]["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        if condition["type"] == "Progressing" {
            condition["lastUpdateTime"] = json!(if update { clock::now() } else { since.clone() });
        }
    }
}

/// Gives a ReplicaSet as many pods as it wants. Those that have ended, for example by an eviction, stay where they
/// are, and do not count.
fn fill(store: &mut Store, set: &Value) {
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    let mut pods = pods_of(store, set);
    pods.retain(|pod| !is_deleting(pod) && !has_ended(pod));
    for _ in pods.len()..wanted {
        let mut pod = workload::pod_from(set, &set["spec"]["template"]);
        pod["metadata"]["generateName"] = json!(format!("{}-", name(set)));
        workload::create(store, set, pod);
    }
    // Those that are not ready go first.
    pods.sort_by_key(|pod| is_ready(pod));
    for pod in pods.iter().take(pods.len().saturating_sub(wanted)) {
        workload::delete(store, pod);
    }
    let mut pods = pods_of(store, set);
    pods.retain(|pod| !is_deleting(pod) && !has_ended(pod));
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    write::modify(store, &Key::of(&REPLICA_SETS, set), |set| {
        set["status"] = json!({
            "replicas": pods.len(), "fullyLabeledReplicas": pods.len(), "readyReplicas": ready,
            "availableReplicas": ready, "observedGeneration": set["metadata"]["generation"],
        });
    });
}
