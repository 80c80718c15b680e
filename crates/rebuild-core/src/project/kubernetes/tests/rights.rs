//! The rights that the chart gives are those that a run needs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rebuild_testkube::Request;
use serde_json::Value;

use super::whole::{JOB, SPEC, filled};
use super::*;

/// What may be done to what: verb, group, resource.
type Right = (String, String, String);

/// The rights of the roles in the chart with these values.
fn given(values: &str) -> BTreeSet<Right> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = Command::new(root.join("scripts/kubernetes-tools")).output();
    let tools = String::from_utf8(tools.expect("the tools").stdout).expect("a path");
    let chart = root.join("deploy/helm/rebuild");
    let rendered = Command::new(Path::new(tools.trim_end()).join("helm"))
        .arg("template")
        .arg("nightly")
        .arg(&chart)
        .args(["--show-only", "templates/rights.yaml"])
        .args(["--set", "spec=x,image.repository=x,rights.secrets={db}"])
        .args(["--set", values])
        .output()
        .expect("helm");
    assert!(rendered.status.success(), "{rendered:?}");
    let text = String::from_utf8(rendered.stdout).expect("text");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("manifests");
    let roles = objects.iter().filter(|o| o["rules"].is_array());
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|t| t.as_str().expect("text").to_owned())
            .collect()
    };
    let mut rights = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().expect("rules")) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    assert!(![&group, &resource, &verb].iter().any(|t| *t == "*"));
                    rights.insert((verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    rights
}

/// The right that a request needs
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>).
fn needed(request: &Request) -> Right {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match parts[..] {
        ["api", "v1", ref rest @ ..] => ("", rest),
        ["apis", group, _, ref rest @ ..] => (group, rest),
        _ => panic!("{request:?}"),
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub] => (format!("{resource}/{sub}"), true),
        _ => panic!("{request:?}"),
    };
    let watch = request.query.contains("watch=true");
    let verb = match (&*request.method, named) {
        ("GET", true) => "get",
        ("GET", false) if watch => "watch",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        _ => panic!("{request:?}"),
    };
    (verb.to_owned(), group.to_owned(), resource)
}

/// The rights that nothing asked for, once it is sure that none is missing.
fn unused(given: &BTreeSet<Right>, needed: &BTreeSet<Right>) -> Vec<String> {
    let missing: Vec<&Right> = needed.difference(given).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unused = given.difference(needed);
    unused
        .map(|(verb, _, resource)| format!("{verb} {resource}"))
        .collect()
}

#[tokio::test]
async fn the_chart_gives_the_rights_that_a_run_needs_and_no_others() {
    let world = filled().await;
    let Some(cluster) = world.inside("what is asked of the API server") else {
        return world.end().await;
    };
    let workloads =
        format!("{SPEC}\n[[workload]]\nname = \"queue\"\nkubernetes = \"statefulset/queue\"\n");
    world.apply(QUEUE).await;
    world.await_ready("statefulset", "queue", 1).await;
    let before = cluster.requests().len();
    // A Job that fails, too: its events are shown.
    world.write("count.yaml", &JOB.replace("public.tally", "public.missing"));
    let failed = world.run(&workloads).await;
    assert_eq!(failed.ending, Ending::RolledBack, "{failed:?}");
    world.write("count.yaml", JOB);
    let report = world.run(&workloads).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");

    let needed: BTreeSet<Right> = cluster.requests()[before..].iter().map(needed).collect();
    let given = given("rights.restarts=true,rights.volumes=true");
    let unused = unused(&given, &needed);
    // What such a run may have no occasion for: Kubernetes 1.35, the restart of a StatefulSet, a
    // Lease that is held for longer, a CronJob with a Job that runs, a Job that takes its time.
    let rare = [
        "create pods/portforward",
        "patch statefulsets",
        "update leases",
        "watch cronjobs",
        "watch jobs",
    ];
    let idle = |right: &&String| !rare.contains(&right.as_str());
    assert_eq!(unused.iter().filter(idle).count(), 0, "{unused:?}");
    world.end().await;
}

#[tokio::test]
async fn the_chart_gives_the_rights_to_replace_a_server() {
    let world = super::replace::filled().await;
    let Some(cluster) = world.inside("what is asked of the API server") else {
        return world.end().await;
    };
    let before = cluster.requests().len();
    let text = world.replacing("", super::replace::HOW);
    let project = world.open(&text).await.expect("a project");
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let back = project.rollback(&report.run, None, false).await;
    assert_eq!(back.expect("a way back").ending, Ending::RolledBack);
    let name = format!("app_new_{}", report.run.short());
    let gone = project.purge(&report.run, Some(&name), true).await;
    assert_eq!(gone.expect("purged"), Some(name));

    // What anybody may ask: which kinds there are, and what he himself may do.
    let asked = cluster.requests()[before..].to_vec();
    let known = |request: &&Request| {
        !request.path.contains("selfsubjectaccessreviews") && request.path.split('/').count() > 4
    };
    let needed: BTreeSet<Right> = asked.iter().filter(known).map(needed).collect();
    let given = given("rights.replace=true,rights.workloads=false,rights.jobs=false");
    let unused = unused(&given, &needed);
    // No Deployment and no Job is replaced here, the Lease is not held for long, what is waited for
    // may be there before it is watched, a provisioner made the volume, nothing has to be freed of
    // a finalizer, and nobody asks for the status.
    let others = [
        "create pods/portforward",
        "update leases",
        "delete persistentvolumes",
        "list persistentvolumes",
        "patch persistentvolumeclaims",
    ];
    let rare = |right: &String| {
        let (verb, kind) = right.split_once(' ').expect("a verb and a kind");
        ["deployments", "deployments/scale", "jobs"].contains(&kind)
            || verb == "watch"
            || others.contains(&right.as_str())
    };
    assert!(unused.iter().all(rare), "{unused:?}");
    world.end().await;
}

const QUEUE: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: queue }
spec:
  serviceName: queue
  selector: { matchLabels: { app: queue } }
  template:
    metadata: { labels: { app: queue } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: main, image: "postgres:16", command: [sleep, "1000000"] }]
"#;
