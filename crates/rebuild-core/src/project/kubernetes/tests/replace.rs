//! A whole server is replaced with its volumes, and comes back.

use rebuild_testkube::{Fault, Strike};
use serde_json::Value;

use super::*;
use crate::model::RunId;

/// What goes, and what comes.
pub(super) const HOW: &str = r#"
objects = ["job/migrate", "sts/db", "svc/db"]
manifests = ["server.yaml"]
timeout = "60s"
"#;

/// A namespace with a hundred rows in the database, and the manifest of a new server.
pub(super) async fn filled() -> World {
    filled_in(World::empty().await).await
}

/// The same in a namespace that has something already.
pub(super) async fn filled_in(world: World) -> World {
    let world = world.furnished().await;
    world.write("server.yaml", &World::server_manifest());
    world
        .sql(
            "create table public.item (id int primary key);
             insert into public.item select generate_series(1, 100)",
        )
        .await;
    world
}

/// The volume of the server's claim.
pub(super) async fn volume(world: &World) -> String {
    let claim = world.get("claim", "data-db-0").await.expect("a claim");
    claim["spec"]["volumeName"]
        .as_str()
        .expect("bound")
        .to_owned()
}

pub(super) async fn volume_state(world: &World, name: &str) -> (String, String) {
    let volume = world.get("volume", name).await.expect("a volume");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&volume["status"]["phase"]),
        text(&volume["spec"]["persistentVolumeReclaimPolicy"]),
    )
}

pub(super) async fn server(world: &World) -> String {
    world
        .sql("select system_identifier::text from pg_control_system()")
        .await
}

pub(super) async fn rows(world: &World) -> String {
    world.sql("select count(*)::text from public.item").await
}

pub(super) async fn run(world: &World, more: &str, how: &str) -> crate::engine::Report {
    // What is waited for on the stack of a test adds up there.
    let ran = async {
        let project = world.open(&world.replacing(more, how)).await;
        project.expect("a project").run(None, None).await
    };
    Box::pin(ran).await.expect("a run")
}

pub(super) async fn rollback(
    world: &World,
    run: &RunId,
    accept_writes: bool,
) -> crate::engine::Report {
    let back = async {
        let project = world.open(&world.replacing("", HOW)).await;
        project
            .expect("a project")
            .rollback(run, None, accept_writes)
            .await
    };
    Box::pin(back).await.expect("a way back")
}

#[tokio::test]
async fn a_server_gets_new_volumes_and_comes_back_on_the_old_ones() {
    let world = filled().await;
    let (old_volume, old_server) = (volume(&world).await, server(&world).await);

    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let plan = project.plan(true).await.expect("a plan");
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    for line in [
        format!(
            "move the server aside: keep volume {old_volume}, then delete job/migrate, \
             statefulset/db, service/db, claim/data-db-0"
        ),
        "apply service/db, statefulset/db, wait for the server".to_owned(),
        format!("volume {old_volume} (1Gi, reclaim policy Delete) is set to Retain"),
        "service/db is made anew and may get another address".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }

    let report = run(&world, "", HOW).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    let left = report.left.join("; ");
    assert!(
        left.contains(&format!(
            "the old server is kept on volume {old_volume}; `rebuild rollback"
        )),
        "{left}"
    );
    assert_eq!(rows(&world).await, "100");
    let (new_volume, new_server) = (volume(&world).await, server(&world).await);
    assert_ne!(new_volume, old_volume);
    assert_ne!(new_server, old_server);
    let kept = ("Released".to_owned(), "Retain".to_owned());
    assert_eq!(volume_state(&world, &old_volume).await, kept);
    let set = world
        .get("statefulset", "db")
        .await
        .expect("the new server");
    let marks = set["metadata"]["annotations"].to_string();
    assert!(!marks.contains("made-by"), "in service: {marks}");
    assert_eq!(world.names("lease").await, [""; 0]);

    world.sql("insert into public.item values (101)").await;
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let refused = project.rollback(&report.run, None, false).await;
    let refused = refused.expect_err("rows would go out of service");
    assert!(refused.to_string().contains("public.item"), "{refused}");

    // A server that is broken is what one goes back for.
    let scaled = serde_json::json!({ "spec": { "replicas": 0 } });
    let (api, params) = (world.api("statefulset"), kube::api::PatchParams::default());
    let stopped = api
        .patch("db", &params, &kube::api::Patch::Merge(&scaled))
        .await;
    stopped.expect("it is stopped");
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let refused = project.rollback(&report.run, None, false).await;
    let refused = refused.expect_err("nobody can tell");
    assert!(
        refused
            .advice()
            .is_some_and(|hint| hint.contains("--accept-writes")),
        "{refused:?}"
    );
    let back = rollback(&world, &report.run, true).await;
    let told = world.told.text();
    assert_eq!(back.ending, Ending::RolledBack, "{back:?} {told}");
    assert_eq!(server(&world).await, old_server);
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    let used = ("Bound".to_owned(), "Delete".to_owned());
    assert_eq!(volume_state(&world, &old_volume).await, used);
    // What was in service is kept: its rows are nowhere else.
    assert_eq!(volume_state(&world, &new_volume).await, kept);
    assert_eq!(world.names("lease").await, [""; 0]);

    let left = back.left.join("; ");
    assert!(
        left.contains("the new server was in service, and its volumes are kept"),
        "{left}"
    );
    // It goes by its typed name alone, for no backup holds it.
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let refused = project.purge(&report.run, None, true).await;
    assert!(refused.expect_err("no name").is_refusal());
    let name = format!("app_new_{}", report.run.short());
    let gone = project.purge(&report.run, Some(&name), true).await;
    assert_eq!(gone.expect("purged"), Some(name));
    assert_eq!(world.get("volume", &new_volume).await, None);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

#[tokio::test]
async fn the_old_volumes_go_when_they_are_purged_and_not_before() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let kept = project.purge(&report.run, None, false).await;
    let kept = kept.expect_err("the retention runs");
    assert!(kept.to_string().contains("is kept until"), "{kept}");
    let gone = project
        .purge(&report.run, None, true)
        .await
        .expect("purged");
    assert_eq!(gone, Some(format!("app_old_{}", report.run.short())));
    assert_eq!(world.get("volume", &old_volume).await, None);
    let again = project.purge(&report.run, None, true).await;
    again.expect("what is gone is no error");
    assert_eq!(rows(&world).await, "100");
    let refused = project.rollback(&report.run, None, true).await;
    let refused = refused.expect_err("there is nothing to go back to");
    assert!(refused.to_string().contains("was purged"), "{refused}");
    world.end().await;
}

#[tokio::test]
async fn a_new_server_that_does_not_come_takes_the_run_back() {
    let world = filled().await;
    let (old_volume, old_server) = (volume(&world).await, server(&world).await);
    // Its pods mount a claim as well that was there before, and that no run may take away.
    world.apply(&claim("shared")).await;
    let shared = world.get("claim", "shared").await.expect("a claim");
    let broken = World::server_manifest()
        .replace("postgres:16", "postgres:99")
        .replace(
            "volumeMounts: [",
            "volumeMounts: [{ name: shared, mountPath: /shared }, ",
        )
        .replace(
            "      containers:",
            "      volumes: [{ name: shared, persistentVolumeClaim: { claimName: shared } }]\n      containers:",
        );
    world.write("server.yaml", &broken);
    let report = run(&world, "", &HOW.replace("60s", world.in_vain())).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::RolledBack, "{report:?} {told}");
    let error = report.error.as_deref().unwrap_or_default();
    assert!(
        error.contains("the rollout of statefulset/db took longer") && error.contains("Pull"),
        "{error}"
    );
    assert_eq!(server(&world).await, old_server);
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    let used = ("Bound".to_owned(), "Delete".to_owned());
    assert_eq!(volume_state(&world, &old_volume).await, used);
    assert_eq!(world.names("claim").await, ["data-db-0", "shared"]);
    let still = world.get("claim", "shared").await.expect("it is there");
    assert_eq!(still["metadata"]["uid"], shared["metadata"]["uid"]);
    assert_eq!(
        still["metadata"]["deletionTimestamp"],
        serde_json::Value::Null
    );
    assert_eq!(world.names("lease").await, [""; 0]);
    world.end().await;
}

/// The manifest of a claim.
pub(super) fn claim(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}}},
           spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}"
    )
}

#[tokio::test]
async fn a_claim_that_does_not_go_is_told_with_its_cause_and_freed_only_if_the_spec_says_so() {
    let world = filled().await;
    let old_volume = volume(&world).await;
    let hold = serde_json::json!({ "metadata": {
        "finalizers": ["kubernetes.io/pvc-protection", "example.com/snapshots"],
    }});
    let (api, params) = (world.api("claim"), kube::api::PatchParams::default());
    let patch = kube::api::Patch::Merge(&hold);
    let held = api.patch("data-db-0", &params, &patch).await;
    held.expect("a finalizer");

    let limit = world.in_vain();
    let short = HOW.replace("60s", limit);
    let report = run(&world, "", &short).await;
    // The claim is going and cannot be taken back: only what holds it can let it go.
    assert_eq!(report.ending, Ending::Stuck, "{report:?}");
    let error = report.error.as_deref().unwrap_or_default();
    assert!(
        error.contains(&format!(
            "deleting persistentvolumeclaim/data-db-0 took longer than {limit}"
        )) && error.contains("it waits for finalizer example.com/snapshots"),
        "{error}"
    );
    let (_, policy) = volume_state(&world, &old_volume).await;
    assert_eq!(policy, "Retain");

    let free = format!("{short}remove_finalizers = [\"example.com/snapshots\"]");
    let project = world
        .open(&world.replacing("", &free))
        .await
        .expect("a project");
    let back = project
        .rollback(&report.run, None, false)
        .await
        .expect("a way back");
    let told = world.told.text();
    assert_eq!(back.ending, Ending::RolledBack, "{back:?} {told}");
    assert!(
        told.contains("taking off [\\\"example.com/snapshots\\\"]"),
        "{told}"
    );
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}

#[tokio::test]
async fn what_passes_by_itself_does_not_hold_up_a_replacement() {
    let world = filled().await;
    let Some(cluster) = world.inside("faults of the API server") else {
        return world.end().await;
    };
    let (old_volume, old_server) = (volume(&world).await, server(&world).await);
    let answer = |code: u16| Strike::Answer {
        code,
        retry_after: None,
    };
    let faults = |list: &[(&str, &str, Strike)]| -> Vec<_> {
        let each = list.iter().cloned();
        each.map(|(method, path, strike)| {
            let name = format!("{method} {path}: {strike:?}");
            (name, cluster.fault(Fault::once(method, path, strike)))
        })
        .collect()
    };
    let there = faults(&[
        ("PATCH", "/persistentvolumes/", Strike::CloseAfter),
        ("GET", "/persistentvolumes/", answer(429)),
        ("PATCH", "/statefulsets/db/scale", Strike::CloseAfter),
        ("DELETE", "/statefulsets/db", Strike::CloseAfter),
        ("DELETE", "/services/db", answer(500)),
        (
            "DELETE",
            "/persistentvolumeclaims/data-db-0",
            Strike::CloseAfter,
        ),
        ("GET", "watch=true", Strike::Expire),
        ("GET", "watch=true", Strike::CutStream { bytes: 1500 }),
        ("PATCH", "fieldManager=rebuild", answer(503)),
        ("PATCH", "/services/db?", Strike::CloseAfter),
        ("PATCH", "/statefulsets/db?", Strike::CloseAfter),
    ]);
    let report = run(&world, "", HOW).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    for (name, fault) in there {
        assert_eq!(fault.struck(), 1, "{name}");
    }
    assert_eq!(rows(&world).await, "100");

    let back = faults(&[
        ("PATCH", "/persistentvolumes/", Strike::CloseAfter),
        ("POST", "/persistentvolumeclaims", Strike::CloseAfter),
        ("POST", "/statefulsets", Strike::CloseAfter),
        ("POST", "/services", answer(429)),
        (
            "DELETE",
            "/persistentvolumeclaims/data-db-0",
            Strike::CloseBefore,
        ),
    ]);
    let report = rollback(&world, &report.run, false).await;
    let told = world.told.text();
    assert_eq!(report.ending, Ending::RolledBack, "{report:?} {told}");
    for (name, fault) in back {
        assert_eq!(fault.struck(), 1, "{name}");
    }
    assert_eq!(server(&world).await, old_server);
    assert_eq!(volume(&world).await, old_volume);
    assert_eq!(rows(&world).await, "100");
}

#[tokio::test]
async fn what_somebody_else_has_set_is_not_overwritten() {
    let world = filled().await;
    let old_server = server(&world).await;
    let tuning = |memory: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: tuning}}, \
             data: {{memory: \"{memory}\"}}}}"
        )
    };
    world.apply(&tuning("1GB")).await;
    let manifest = format!("{}\n---\n{}", tuning("2GB"), World::server_manifest());
    world.write("server.yaml", &manifest);
    let project = world
        .open(&world.replacing("", HOW))
        .await
        .expect("a project");
    let losses = project.plan(true).await.expect("a plan").losses.join("; ");
    assert!(
        losses.contains("configmap/tuning is changed by the manifests"),
        "{losses}"
    );
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.as_deref().unwrap_or_default();
    assert!(
        error.contains("configmap/tuning") && error.contains("conflict"),
        "{error}"
    );
    assert_eq!(server(&world).await, old_server);
    assert_eq!(rows(&world).await, "100");
    let kept = world.get("configmap", "tuning").await.expect("it is there");
    assert_eq!(kept["data"]["memory"], "1GB");
    world.end().await;
}

#[tokio::test]
async fn a_volume_that_something_sets_back_stops_the_run_before_anything_goes() {
    let world = filled().await;
    let Some(cluster) = world.inside("an admission webhook") else {
        return world.end().await;
    };
    let old_server = server(&world).await;
    let policy = "/spec/persistentVolumeReclaimPolicy";
    cluster.insist("persistentvolumes", policy, "Delete".into());
    let report = run(&world, "", HOW).await;
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    let error = report.error.as_deref().unwrap_or_default();
    assert!(error.contains("something else sets it"), "{error}");
    let requests = cluster.requests();
    let deleted = requests.iter().find(|request| {
        let lasting = ["statefulsets", "persistentvolumeclaims", "services"];
        request.method == "DELETE" && lasting.iter().any(|kind| request.path.contains(kind))
    });
    assert_eq!(deleted, None);
    assert_eq!(server(&world).await, old_server);
    assert_eq!(rows(&world).await, "100");
    world.end().await;
}
