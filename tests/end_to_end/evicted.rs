//! A run in a cluster: its pod is evicted, and the one that comes after goes on with the same run.

use std::time::Duration;

use rebuild_testkube::{Cluster, Program};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::world::{ASIDE, State, Target, World};

/// What a busy machine needs at most to come to the next step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps that hang the first time, and say so in a named pipe: one before the new database is in service, one after.
const HANGS: &str = r#"
[migrate]
argv = ["sh", "-c", 'mkdir "$0" 2> /dev/null || exit 0; echo > hangs; exec sleep 1000', "before"]

[[after]]
name = "hang"
command = ["sh", "-c", 'mkdir "$0" 2> /dev/null || exit 0; echo > hangs; exec sleep 1000', "behind"]
"#;

/// The Job as the chart makes it.
fn job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "nightly", "namespace": "default" },
        "spec": {
            "backoffLimit": 0,
            "podFailurePolicy": { "rules": [{
                "action": "Ignore",
                "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
            }]},
            "template": { "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "rebuild", "image": "rebuild:test", "args": ["run", "--or-resume"],
                }],
            }},
        },
    })
}

/// A cluster whose pods are the program in the target's folder.
async fn cluster(target: &Target<'_>) -> Cluster {
    let cluster = Cluster::start().await.expect("a cluster");
    let (folder, variables) = (target.folder.clone(), target.variables().to_vec());
    cluster.image("rebuild:test", move |container| {
        let mut argv: Vec<std::ffi::OsString> = vec![
            "sh".into(),
            "-c".into(),
            r#"cd "$0" && exec "$@" >> pods.log 2>&1"#.into(),
            folder.clone().into(),
            env!("CARGO_BIN_EXE_rebuild").into(),
        ];
        argv.extend(container.args.iter().map(Into::into));
        let program = Program::new(argv);
        variables
            .iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    });
    cluster
}

/// The pods of the Job in this phase.
fn pods(cluster: &Cluster, phase: &str) -> Vec<String> {
    let pods = cluster.list("Pod", "default");
    let pods = pods.iter().filter(|pod| pod["status"]["phase"] == phase);
    pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn until(cluster: &Cluster, what: &str, done: impl Fn(&Cluster) -> bool) {
    let waited = tokio::time::timeout(PATIENCE, cluster.until(done)).await;
    waited.unwrap_or_else(|_| panic!("{what} takes too long"));
}

#[tokio::test]
async fn a_run_whose_pods_are_evicted_is_ended_by_the_next_one() {
    let world = World::start().await;
    let target = world.target("evicted", ASIDE).await;
    target.add_to_spec(HANGS);
    let made = std::process::Command::new("mkfifo")
        .arg(target.folder.join("hangs"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    let hangs = pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(target.folder.join("hangs"));
    let mut hangs = hangs.expect("a pipe");
    let (old, oid) = (State::of(&target).await, target.oid().await);

    let cluster = cluster(&target).await;
    cluster.put(&job().to_string()).expect("a Job");
    for (evicted, in_service) in [(1, false), (2, true)] {
        let said = tokio::time::timeout(PATIENCE, hangs.read_u8()).await;
        let log = || std::fs::read_to_string(target.folder.join("pods.log"));
        let said = said.unwrap_or_else(|_| panic!("it does not come to the step: {:?}", log()));
        said.expect("a byte");
        assert_eq!(target.oid().await != oid, in_service);
        let running = pods(&cluster, "Running");
        let [pod] = &running[..] else {
            panic!("{running:?}");
        };
        cluster.evict("default", pod);
        let failed = |cluster: &Cluster| pods(cluster, "Failed").len() == evicted;
        until(&cluster, "the eviction", failed).await;
    }
    let succeeded = |cluster: &Cluster| !pods(cluster, "Succeeded").is_empty();
    until(&cluster, "the Job", succeeded).await;

    let listed = target.rebuild_json(&["runs", "list"]).await.expect(0);
    let runs = listed.json();
    let runs = runs.as_array().expect("runs");
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0]["ending"], "done", "{runs:?}");
    assert_ne!(target.oid().await, oid);
    // It has the rows, and the old one is kept.
    assert_eq!(world.databases().await.len(), 2);
    let run = runs[0]["id"].as_str().expect("an id");
    target.rebuild(&["rollback", run]).await.expect(0);
    assert_eq!(target.oid().await, oid);
    State::of(&target).await.expect(&old, "after the rollback");
}
