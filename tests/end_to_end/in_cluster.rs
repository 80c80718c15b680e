//! A run in a pod, which speaks to the API server as the pod's service account.
//!
//! The kubelet mounts the account's token at a fixed place, so the pod needs a view of the files of its own:
//! `scripts/test` runs this where the machine lets it have one.

use std::ffi::OsString;
use std::time::Duration;

use rebuild_testkube::{Cluster, Program};
use serde_json::json;

use crate::world::{ASIDE, Target, World};

/// What a busy machine needs at most for a run.
const PATIENCE: Duration = Duration::from_secs(120);

const SPEC: &str = r#"
[kubernetes]
context = "in-cluster"
namespace = "default"

[[after]]
name = "announce"
kubernetes = { job = "announce.yaml" }
"#;

const ANNOUNCE: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: { name: announce }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: announce, image: "announce:test" }]
"#;

/// As the kubelet does it: the account's files at their place, and nothing else of the machine's below `/run`.
const IN_A_POD: &str = r#"
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io
cp -R "$0" /run/secrets/kubernetes.io/serviceaccount
cd "$1" && shift && exec "$@" >> pods.log 2>&1
"#;

/// A cluster in which the image `rebuild:test` is the program in the target's folder.
async fn cluster(target: &Target<'_>) -> Cluster {
    let cluster = Cluster::start().await.expect("a cluster");
    let account = target.folder.join("account");
    cluster
        .write_service_account(&account, "default")
        .expect("a service account");
    let host = url::Url::parse(cluster.url()).expect("a URL");
    let port = host.port().expect("a port").to_string();
    let (folder, variables) = (target.folder.clone(), target.variables().to_vec());
    cluster.image("rebuild:test", move |container| {
        let mut argv: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
        if !rustix::process::geteuid().is_root() {
            argv.push("--map-root-user".into());
        }
        argv.extend(["sh", "-euc", IN_A_POD].map(OsString::from));
        argv.extend([account.clone().into(), folder.clone().into()]);
        argv.push(env!("CARGO_BIN_EXE_rebuild").into());
        argv.extend(container.args.iter().map(Into::into));
        let program = Program::new(argv)
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", &port);
        let variables = variables.iter();
        variables.fold(program, |program, (name, value)| program.env(name, value))
    });
    cluster.image("announce:test", |_| {
        Program::new(["sh", "-c", "echo the database is new"])
    });
    cluster
}

#[tokio::test]
#[ignore = "needs a view of the files of its own"]
async fn a_run_in_a_pod_speaks_as_its_service_account() {
    let world = World::start().await;
    let target = world.target("in_cluster", ASIDE).await;
    target.add_to_spec(SPEC);
    std::fs::write(target.folder.join("announce.yaml"), ANNOUNCE).expect("a manifest");
    let oid = target.oid().await;
    let cluster = cluster(&target).await;
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "nightly", "namespace": "default" },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "rebuild", "image": "rebuild:test", "args": ["run", "--or-resume"],
            }],
        }}},
    });
    cluster.put(&job.to_string()).expect("a Job");
    let conditions = |cluster: &Cluster| {
        let job = cluster.get("Job", "default", "nightly").expect("the Job");
        job["status"]["conditions"].to_string()
    };
    let ended = cluster.until(|cluster| conditions(cluster) != "null");
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.expect("a run ends in time");
    let ended = conditions(&cluster);
    let log = std::fs::read_to_string(target.folder.join("pods.log")).expect("its log");
    assert!(ended.contains("Complete"), "{ended}\n{log}");
    assert_ne!(target.oid().await, oid, "{log}");
    assert!(log.contains("the database is new"), "{log}");
    // It locked and looked by way of the API server, by the account's token alone.
    let asked = cluster.requests();
    let lease = asked.iter().any(|r| r.path.contains("/leases"));
    assert!(lease, "{log}");
}
