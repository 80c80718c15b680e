//! StatefulSets: pods with numbers, and the claims that stay with them.
//! See <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::workload::{self, has_ended, is_ready, pods_of, revision_of};
use crate::object::{
    self, controller_reference, is_deleting, items, map, name, namespace, number, text, uid,
};
use crate::resources::{CLAIMS, CONTROLLER_REVISIONS, PODS, STATEFUL_SETS};
use crate::selector::Selector;
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions, Options};

const REVISION: &str = "controller-revision-hash";

/// Gives each set its pods and claims, a step at a time.
pub(super) fn reconcile(store: &mut Store) {
    for set in store.snapshot(&STATEFUL_SETS, None) {
        if !is_deleting(&set) {
            adopt(store, &set);
            own_claims(store, &set);
            let revision = record_revision(store, &set);
            step(store, &set, &revision);
            report(store, &set, &revision);
        }
    }
}

/// Takes over pods that belong to nobody: those of a set that was deleted without them.
fn adopt(store: &mut Store, set: &Value) {
    let selector = Selector::of_object(&set["spec"]["selector"]);
    for pod in store.snapshot(&PODS, Some(namespace(set))) {
        let free = object::controller(&pod).is_none() && !is_deleting(&pod);
        if free && ordinal(set, &pod).is_some() && selector.matches(&pod) {
            write::modify(store, &Key::of(&PODS, &pod), |pod| {
                pod["metadata"]["ownerReferences"] = json!([controller_reference(set)]);
            });
        }
    }
}

/// Keeps the template under the name of its revision.
fn record_revision(store: &mut Store, set: &Value) -> String {
    let revision = format!("{}-{}", name(set), revision_of(&set["spec"]["template"]));
    let key = Key::new(&CONTROLLER_REVISIONS, namespace(set), &revision);
    if store.get(&key).is_none() {
        let all = store.snapshot(&CONTROLLER_REVISIONS, Some(namespace(set)));
        let own = all.iter().filter(|it| object::is_controlled_by(it, set));
        let newest = own
            .filter_map(|it| number(it, "/revision"))
            .max()
            .unwrap_or(0);
        let object = json!({
            "metadata": {
                "name": revision, "labels": set["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [controller_reference(set)],
            },
            "data": {"spec": {"template": set["spec"]["template"]}}, "revision": newest + 1,
        });
        let _ = write::create(
            store,
            key.resource,
            namespace(set),
            object,
            &Options::default(),
        );
    }
    revision
}

fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let rest = name(pod).strip_prefix(name(set))?.strip_prefix('-')?;
    rest.parse().ok()
}

/// Does the next thing that is to be done.
fn step(store: &mut Store, set: &Value, revision: &str) {
    let replicas = number(set, "/spec/replicas").unwrap_or(1);
    let first = number(set, "/spec/ordinals/start").unwrap_or(0);
    let parallel = text(set, "/spec/podManagementPolicy") == "Parallel";
    let pods = pods_of(store, set);
    let pod_of = |wanted: i64| pods.iter().find(|pod| ordinal(set, pod) == Some(wanted));
    for at in first..first + replicas {
        match pod_of(at) {
            None => {
                create(store, set, at, revision);
                if !parallel {
                    return;
                }
            }
            // One that has ended is replaced under the same name.
            Some(pod) if has_ended(pod) => return workload::delete(store, pod),
            Some(pod) if !parallel && !is_ready(pod) => return,
            Some(_) => {}
        }
    }
    let mut surplus: Vec<&Arc<Value>> = pods
        .iter()
        .filter(|pod| ordinal(set, pod).is_some_and(|at| !(first..first + replicas).contains(&at)))
        .collect();
    surplus.sort_by_key(|pod| std::cmp::Reverse(ordinal(set, pod)));
    for pod in surplus.iter().take(if parallel { usize::MAX } else { 1 }) {
        workload::delete(store, pod);
    }
    if surplus.is_empty() {
        drop_claims(store, set, first + replicas);
        update(store, set, revision, &pods);
    }
}

/// Replaces pods of an older revision, the highest number first.
fn update(store: &mut Store, set: &Value, revision: &str, pods: &[Arc<Value>]) {
    let strategy = &set["spec"]["updateStrategy"];
    if text(strategy, "/type") == "OnDelete" {
        return;
    }
    let partition = number(strategy, "/rollingUpdate/partition").unwrap_or(0);
    let mut pods: Vec<_> = pods
        .iter()
        .filter(|pod| ordinal(set, pod) >= Some(partition))
        .collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(ordinal(set, pod)));
    for pod in pods {
        if pod["metadata"]["labels"][REVISION] != revision {
            return workload::delete(store, pod);
        }
        if !is_ready(pod) {
            return;
        }
    }
}

/// The name of the claim of one pod from a template.
fn claim_name(set: &Value, template: &Value, at: i64) -> String {
    format!("{}-{}-{at}", name(template), name(set))
}

fn create(store: &mut Store, set: &Value, at: i64, revision: &str) {
    let templates = items(set, "/spec/volumeClaimTemplates");
    for template in templates {
        let claim = claim_name(set, template, at);
        let key = Key::new(&CLAIMS, namespace(set), &claim);
        match store.get(&key) {
            // A new pod does not come before its old claim has gone.
            Some(claim) if is_deleting(claim) || is_stale(set, claim) => return,
            Some(_) => continue,
            None => {}
        }
        let mut object = template.clone();
        map(&mut object).remove("status");
        object["metadata"]["name"] = json!(claim);
        object["metadata"]["namespace"] = json!(namespace(set));
        for (key, value) in set["spec"]["selector"]["matchLabels"]
            .as_object()
            .into_iter()
            .flatten()
        {
            object["metadata"]["labels"][key] = value.clone();
        }
        let _ = write::create(store, &CLAIMS, namespace(set), object, &Options::default());
    }
    let mut pod = workload::pod_from(set, &set["spec"]["template"]);
    let own = format!("{}-{at}", name(set));
    let labels = &mut pod["metadata"]["labels"];
    labels[REVISION] = json!(revision);
    labels["statefulset.kubernetes.io/pod-name"] = json!(own);
    labels["apps.kubernetes.io/pod-index"] = json!(at.to_string());
    pod["metadata"]["name"] = json!(own);
    pod["spec"]["hostname"] = json!(own);
    pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    let mut volumes = items(&pod, "/spec/volumes").to_vec();
    volumes.retain(|volume| {
        templates
            .iter()
            .all(|template| name(template) != volume["name"])
    });
    for template in templates {
        let claim = claim_name(set, template, at);
        volumes.push(json!({
            "name": name(template), "persistentVolumeClaim": {"claimName": claim},
        }));
    }
    pod["spec"]["volumes"] = json!(volumes);
    workload::create(store, set, pod);
}

/// Owns the claims of its pods, where they are to go with it, and is none of their owners otherwise.
/// See <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention>.
fn own_claims(store: &mut Store, set: &Value) {
    let policy = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
    let goes_along = text(set, policy) == "Delete";
    for claim in store.snapshot(&CLAIMS, Some(namespace(set))) {
        let of_set = items(set, "/spec/volumeClaimTemplates")
            .iter()
            .any(|it| number_of(set, it, &claim).is_some());
        if !of_set || is_stale(set, &claim) {
            continue;
        }
        let mut owners = items(&claim, "/metadata/ownerReferences").to_vec();
        owners.retain(|owner| text(owner, "/uid") != uid(set));
        if goes_along {
            owners.push(json!({
                "apiVersion": set["apiVersion"], "kind": set["kind"], "name": name(set),
                "uid": uid(set),
            }));
        }
        write::modify(store, &Key::of(&CLAIMS, &claim), |claim| {
            if owners.is_empty() {
                map(&mut claim["metadata"]).remove("ownerReferences");
            } else {
                claim["metadata"]["ownerReferences"] = json!(owners);
            }
        });
    }
}

/// True for a claim of an earlier set of that name: no pod gets it, for it is about to go.
fn is_stale(set: &Value, claim: &Value) -> bool {
    let mut owners = items(claim, "/metadata/ownerReferences").iter();
    owners.any(|owner| {
        owner["kind"] == set["kind"]
            && text(owner, "/name") == name(set)
            && owner["uid"] != uid(set)
    })
}

/// The number of the pod whose claim it is, if it is one from the template.
fn number_of(set: &Value, template: &Value, claim: &Value) -> Option<i64> {
    let prefix = format!("{}-{}-", name(template), name(set));
    name(claim).strip_prefix(&prefix)?.parse().ok()
}

/// Deletes the claims of numbers that are no longer there, where that is the policy.
fn drop_claims(store: &mut Store, set: &Value, end: i64) {
    if text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") != "Delete" {
        return;
    }
    for template in items(set, "/spec/volumeClaimTemplates") {
        for claim in store.snapshot(&CLAIMS, Some(namespace(set))) {
            let at = number_of(set, template, &claim);
            if at.is_some_and(|at| at >= end) && !is_deleting(&claim) {
                let key = Key::of(&CLAIMS, &claim);
                let _ = write::delete(store, &key, &DeleteOptions::default());
            }
        }
    }
}

fn report(store: &mut Store, set: &Value, revision: &str) {
    let pods = pods_of(store, set);
    let replicas = number(set, "/spec/replicas").unwrap_or(1);
    let count = |wanted: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| wanted(pod)).count();
    let is_of = |pod: &Value, revision: &str| pod["metadata"]["labels"][REVISION] == revision;
    let ready = count(&is_ready);
    let updated = count(&|pod| is_of(pod, revision));
    let mut current = match text(set, "/status/currentRevision") {
        "" => revision.to_owned(),
        known => known.to_owned(),
    };
    let all = usize::try_from(replicas).unwrap_or(0);
    if updated == all && ready == all && pods.len() == all {
        current = revision.to_owned();
    }
    write::modify(store, &Key::of(&STATEFUL_SETS, set), |set| {
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"], "replicas": pods.len(),
            "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
            "currentReplicas": count(&|pod| is_of(pod, &current)),
            "currentRevision": current, "updateRevision": revision, "collisionCount": 0,
        });
    });
}
