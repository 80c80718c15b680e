//! Backups, restores, copies and comparisons whose rows many workers carry: the pods of an Indexed Job in a cluster
//! of this process, which are the program itself, and tasks that the test starts.

mod between;
mod orphans;

use std::path::Path;
use std::time::Duration;

use rebuild_testkube::{Cluster, Container, Program};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::world::{ASIDE, Run, Target, World};

/// What the container of the worker 1 does the first time. `$1` is a folder that is there from the
/// second time on, and the rest is the command.
const MISHAPS: [(&str, &str); 4] = [
    (
        "it is killed once it has begun",
        r#"mkfifo "$1/events"; shift
           "$@" --output json 2> "$OLDPWD/events" & pid=$!
           head -n 1 "$OLDPWD/events"; kill -9 $pid; echo the first is lost; exit 137"#,
    ),
    ("it hangs, and its pod is deleted", HANGS),
    ("it hangs, and its node gives it up", HANGS),
    (
        "it is lost after its work",
        r#"shift; "$@"; echo the first is lost; exit 1"#,
    ),
];

/// Says so in a named pipe of the folder, and hangs.
const HANGS: &str = "echo > hangs; exec sleep 1000";

/// A target and a cluster beside it, whose pods see the target's folder.
struct Stage<'a> {
    target: Target<'a>,
    cluster: Cluster,
}

impl<'a> Stage<'a> {
    /// Pods that do `first` the first time that one of them is worker 1.
    async fn new(world: &'a World, name: &str, first: &str) -> Self {
        let target = world.target(name, ASIDE).await;
        let cluster = Cluster::start().await.expect("a cluster");
        target.add_to_spec(&format!(
            "\n[kubernetes]\ncontext = \"test\"\nnamespace = \"default\"\nkubeconfig = {:?}\n\
             [kubernetes.workers]\njob = \"workers.yaml\"\ntimeout = \"60s\"\n",
            cluster.kubeconfig().display().to_string()
        ));
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "workers" },
            "spec": { "template": { "spec": {
                "terminationGracePeriodSeconds": 1,
                "restartPolicy": "Never",
                "containers": [{
                    "name": "rebuild", "image": "rebuild:test", "command": ["rebuild", "worker"],
                }],
            }}},
        });
        std::fs::write(target.folder.join("workers.yaml"), job.to_string()).expect("a manifest");
        let made = std::process::Command::new("mkfifo")
            .arg(target.folder.join("hangs"))
            .status();
        assert!(made.expect("mkfifo runs").success());
        let (folder, variables) = (target.folder.clone(), target.variables().to_vec());
        let first = first.to_owned();
        cluster.image("rebuild:test", move |container| {
            pod(container, &folder, &variables, &first)
        });
        Self { target, cluster }
    }

    /// The backup that three workers take.
    async fn backup(&self) -> Run {
        self.target
            .rebuild_json(&["backup", "--workers", "k8s:3"])
            .await
    }

    /// Waits until the worker 1 says that it hangs.
    async fn one_hangs(&self) {
        // Open for writing as well, it does not end while no one has opened it to write.
        let pipe = tokio::net::unix::pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(self.target.folder.join("hangs"));
        let mut pipe = pipe.expect("a pipe");
        let said = tokio::time::timeout(Duration::from_secs(60), pipe.read_u8()).await;
        said.expect("in time").expect("a byte");
    }

    /// Deletes the pod of the worker 1 once its program runs, or lets its node give it up.
    async fn end_the_one_that_hangs(&self, deleted: bool) {
        self.one_hangs().await;
        let pods = self.cluster.list("Pod", "default");
        let one = pods.iter().find(|pod| {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1"
        });
        let name = one.expect("a pod")["metadata"]["name"].as_str();
        let name = name.expect("a name");
        if deleted {
            let gone = self.cluster.delete("Pod", "default", name);
            gone.expect("deleted");
        } else {
            self.cluster.evict("default", name);
        }
    }

    /// Fails unless nothing of an attempt is left, in the store and in the cluster.
    async fn nothing_is_left(&self) {
        let listed = self
            .target
            .rebuild_json(&["backups", "list"])
            .await
            .expect(0);
        assert_eq!(listed.json(), json!([]));
        for folder in ["backups", "work"] {
            let folder = self.target.store().join(folder);
            assert!(!folder.exists(), "{}", folder.display());
        }
    }
}

/// The program as a container.
fn pod(
    container: &Container,
    folder: &Path,
    variables: &[(&'static str, String)],
    first: &str,
) -> Program {
    let script = r#"cd "$2"; if [ "$JOB_COMPLETION_INDEX" = 1 ] && mkdir "$2/tried" 2> /dev/null
        then first=$1 folder=$2; shift 2
             set -- "$folder/tried" "$@"; cd "$folder/tried"; cd "$folder"; eval "$first"
        fi; shift 2; exec "$@""#;
    let own = container.command.iter().chain(&container.args).skip(1);
    let mut argv: Vec<std::ffi::OsString> = vec![
        "bash".into(),
        "-c".into(),
        script.into(),
        "pod".into(),
        first.into(),
        folder.into(),
        env!("CARGO_BIN_EXE_rebuild").into(),
    ];
    argv.extend(own.map(Into::into));
    let program = Program::new(argv);
    variables
        .iter()
        .fold(program, |program, (name, value)| program.env(name, value))
}

/// What a backup holds of each table.
fn tables(shown: &Value) -> Vec<Value> {
    let tables = shown["tables"].as_array().expect("tables").iter();
    let short = |t: &Value| json!([t["table"], t["rows"], t["hash"], t["columns"]]);
    tables.map(short).collect()
}

/// The backup that `run` took is what one process takes, and can be restored.
async fn is_right(target: &Target<'_>, run: &Run) -> String {
    let taken = run.json();
    let id = taken[0]["id"].as_str().expect("an id").to_owned();
    let show = async |id: &str| {
        let shown = target
            .rebuild_json(&["backups", "show", id])
            .await
            .expect(0);
        tables(&shown.json())
    };
    let shared = show(&id).await;
    let alone = target.rebuild_json(&["backup"]).await.expect(0).json();
    assert_eq!(shared, show(alone[0]["id"].as_str().expect("an id")).await);
    assert!(shared.len() > 3);
    target.rebuild(&["backups", "check", &id]).await.expect(0);
    let copy = format!("{}_restored", target.name);
    let restored = target.rebuild(&["restore", &id, "--into", &copy]).await;
    restored.expect(0);
    id
}

#[tokio::test]
async fn a_backup_by_the_pods_of_a_job_is_right_whatever_happens_to_them() {
    let world = World::start().await;
    for (n, (what, script)) in MISHAPS.into_iter().enumerate() {
        let stage = Stage::new(&world, &format!("pods{n}"), script).await;
        let hangs = what.contains("hangs");
        let run = if hangs {
            let ending = stage.end_the_one_that_hangs(what.contains("deleted"));
            tokio::join!(stage.backup(), ending).0
        } else {
            stage.backup().await
        };
        let run = run.expect(0);
        let lost = hangs || run.stderr.contains("the first is lost");
        assert!(lost, "{what}: {}", run.stderr);
        assert!(stage.target.folder.join("tried").exists(), "{what}");
        let id = is_right(&stage.target, &run).await;
        let check = ["backups", "check", &id, "--workers", "k8s:2"];
        stage.target.rebuild(&check).await.expect(0);
        let copy = format!("{}_shared", stage.target.name);
        let restore = ["restore", &id, "--into", &copy, "--workers", "k8s:2"];
        stage.target.rebuild(&restore).await.expect(0);
        assert!(stage.cluster.list("Job", "default").is_empty(), "{what}");
        assert!(!stage.target.store().join("work").exists(), "{what}");
    }
}

#[tokio::test]
async fn workers_that_fail_for_good_are_no_backup() {
    let world = World::start().await;
    let stage = Stage::new(&world, "failing", "rmdir \"$1\"; echo no such luck; exit 7").await;
    let run = stage.backup().await.expect(7);
    for told in [
        "job/workers failed",
        "MaxFailedIndexesExceeded",
        "no such luck",
    ] {
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
    }
    stage.nothing_is_left().await;

    // What says that it is of no use to try again is not tried again.
    let stage = Stage::new(&world, "refusing", "echo tried >&2; exit 3").await;
    let run = stage.backup().await.expect(7);
    assert!(run.stderr.contains("PodFailurePolicy"), "{}", run.stderr);
    assert_eq!(
        run.stderr.matches("\"line\":\"tried\"").count(),
        1,
        "{}",
        run.stderr
    );
    stage.nothing_is_left().await;
}

#[tokio::test]
async fn a_backup_that_is_stopped_takes_its_job_with_it() {
    let world = World::start().await;
    let stage = Stage::new(&world, "stopped", HANGS).await;
    let args = ["backup", "--workers", "k8s:3"];
    let stopped = stage
        .target
        .signal_when(&args, stage.one_hangs(), Signal::TERM);
    let run = stopped.await;
    assert_ne!(run.code(), Some(0), "{}", run.stderr);
    assert!(stage.cluster.list("Job", "default").is_empty());
    assert!(stage.cluster.list("Pod", "default").is_empty());
    stage.nothing_is_left().await;
}

#[tokio::test]
async fn tasks_that_somebody_else_starts_find_their_work_by_its_name() {
    let world = World::start().await;
    let target = world.target("tasks", ASIDE).await;
    let coordinator = target.rebuild_json(&["backup", "--workers", "tasks:2", "--work", "nightly"]);
    let worker = async |index: &str| {
        let args = [
            "worker", "--work", "nightly", "--index", index, "--wait", "60s",
        ];
        target.rebuild(&args).await
    };
    let (run, first, second) = tokio::join!(coordinator, worker("0"), worker("1"));
    for worker in [first, second] {
        assert!(worker.expect(0).stdout.contains("of nightly done"));
    }
    let id = is_right(&target, &run.expect(0)).await;

    let restore = [
        "restore",
        &id,
        "--into",
        "tasks_shared",
        "--workers",
        "tasks:1",
        "--work",
        "weekly",
    ];
    let worker = [
        "worker", "--work", "weekly", "--index", "0", "--wait", "60s",
    ];
    let (restored, worker) = tokio::join!(target.rebuild(&restore), target.rebuild(&worker));
    restored.expect(0);
    worker.expect(0);

    // Who comes too late, or does not say who he is, is told so.
    let late = target
        .rebuild(&["worker", "--work", "nightly", "--index", "0"])
        .await;
    assert!(
        late.expect(3)
            .stderr
            .contains("there is no work nightly, or it is over")
    );
    let nobody = target.rebuild(&["worker", "--work", "nightly"]).await;
    assert!(nobody.expect(2).stderr.contains("JOB_COMPLETION_INDEX"));
    let nothing = target.rebuild(&["worker", "--index", "0"]).await;
    assert!(nothing.expect(2).stderr.contains("REBUILD_WORK"));
}
