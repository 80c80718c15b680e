//! A database in a StatefulSet, whose server and volume make room for new ones, or which makes room for another
//! database through a port-forward.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuild_core::Environment;
use rebuild_core::model::Endpoint;
use rebuild_core::postgres::LocalCluster;
use rebuild_core::testing::cluster_options;
use rebuild_testkube::{Fault, PostgresImage, Strike};
use serde_json::Value;
use tempfile::TempDir;

use super::faults::case;
use super::{DATABASE, Lab, PATIENCE, Picture, Service, aside, new_desk, open};
use crate::faults::{Case, Extent};
use crate::trial::{Ended, Struck, Way};
use crate::world::{Desk, fill};

/// The server with its Service and Secret, and a Deployment that writes to it.
const MANIFESTS: &str = include_str!("../../../rebuild-core/src/testing/kubernetes/world.yaml");

/// Where they are.
const NAMESPACE: &str = "default";

/// The password in the Secret, as URLs have it.
const PASSWORD: &str = "zq7%20%22secret%27";

/// The user that the image's server runs as, if the trials run as root.
const SERVER_USER: u32 = 65534;

/// A cluster with such a database, whose server is replaced.
pub type Kubernetes = Cluster<false>;

/// The same, with a server that stays.
pub type KubernetesAside = Cluster<true>;

/// A cluster with such a database, of which a new one takes the place in the same server, or in another one.
pub struct Cluster<const ASIDE: bool> {
    cluster: rebuild_testkube::Cluster,
    sockets: TempDir,
    tools: PathBuf,
    /// The volume of the old server.
    volume: String,
    desk: Desk,
    _folder: TempDir,
}

impl<const ASIDE: bool> Cluster<ASIDE> {
    /// Waits until so many pods of a workload are ready.
    async fn await_ready(&self, kind: &str, name: &str, count: u64) {
        let ready = async {
            while self.object(kind, name)["status"]["readyReplicas"] != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        assert!(ready.is_ok(), "{name}: {:#}", self.object(kind, name));
    }

    fn object(&self, kind: &str, name: &str) -> Value {
        self.cluster.get(kind, NAMESPACE, name).unwrap_or_default()
    }

    /// The volume of the server that is in service.
    fn volume(&self) -> String {
        let claim = self.object("PersistentVolumeClaim", "data-db-0");
        let volume = claim["spec"]["volumeName"].as_str();
        volume.expect("a claim that is bound").to_owned()
    }

    /// A run that was killed before its journal had a record may leave a Lease, which runs out.
    fn expect_leases_run_out(&self, ended: Ended) {
        let leases = self.cluster.list("Lease", NAMESPACE);
        let most = usize::from(ended == Ended::Untouched);
        assert!(leases.len() <= most, "{ended:?}: {leases:#?}");
        for lease in leases {
            let spec = &lease["spec"];
            let runs_out = spec["leaseDurationSeconds"].is_u64() && spec["renewTime"].is_string();
            assert!(runs_out, "a Lease for ever: {lease:#}");
        }
    }

    /// The old volume is kept, and only it besides that of the server in service.
    fn expect_volumes(&self, ended: Ended) {
        let volumes = self.cluster.list("PersistentVolume", "");
        let of = |name: &str| {
            let volume = volumes.iter().find(|v| v["metadata"]["name"] == name);
            let volume = volume.expect("the volume");
            let policy = &volume["spec"]["persistentVolumeReclaimPolicy"];
            (volume["status"]["phase"].clone(), policy.clone())
        };
        let (old, wanted) = match ended {
            Ended::New => (of(&self.volume), ("Released".into(), "Retain".into())),
            Ended::Old | Ended::Untouched => (of(&self.volume), ("Bound".into(), "Delete".into())),
        };
        assert_eq!(old, wanted, "the old volume, {ended:?}");
        assert_eq!(self.volume() == self.volume, ended != Ended::New);
        assert!(volumes.len() <= 2, "{ended:?}: {volumes:#?}");
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let all = self.cluster.list(kind, NAMESPACE);
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        all.iter().map(name).collect()
    }
}

/// The manifests of the server and its Service alone.
fn server_manifests() -> String {
    let documents = MANIFESTS.split("---\n");
    let wanted =
        |text: &&str| text.contains("kind: StatefulSet") || text.contains("kind: Service\n");
    documents.filter(wanted).collect::<Vec<_>>().join("---\n")
}

/// What replaces the server, and looks whether its workload rolled out.
const REPLACE: &str = r#"
[target.kubernetes.replace]
objects = ["sts/db", "svc/db"]
manifests = ["server.yaml"]
timeout = "60s"

[[verify]]
kind = "rollout"
workload = "statefulset/db"
"#;

fn spec(kubeconfig: &Path, tools: &Path, aside: bool) -> String {
    let (strategy, more) = if aside {
        ("aside", "")
    } else {
        ("in-place", REPLACE)
    };
    format!(
        r#"version = 1
store.url = "store"
backup.tools = {tools:?}
quiesce.end_sessions = true

[kubernetes]
context = "test"
namespace = "{NAMESPACE}"
kubeconfig = {kubeconfig:?}

[target]
url = "postgresql:///{DATABASE}"
environment = "test"
strategy = "{strategy}"

[target.kubernetes]
service = "db"
secret = {{ name = "db", user_key = "user" }}

[[workload]]
name = "api"
kubernetes = "deployment/api"

[schema]
source = "files"
files = ["schema/*.sql"]
order = "numbered"

[[verify]]
kind = "content"
{more}"#
    )
}

async fn cluster(tools: &Path, sockets: &Path) -> rebuild_testkube::Cluster {
    let cluster = rebuild_testkube::Cluster::start().await.expect("a cluster");
    let bin = LocalCluster::programs(&cluster_options()).await;
    let bin = bin.expect("server programs");
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), tools.display());
    let image = PostgresImage::new(path, sockets).expect("a folder of ours");
    let image = image.service("db", "db-0");
    cluster.image("postgres:16", move |container| image.program(container));
    cluster.put(MANIFESTS).expect("the manifests");
    cluster
}

impl<const ASIDE: bool> Service for Cluster<ASIDE> {
    const FAMILIES: [&'static str; 4] = match ASIDE {
        false => [
            "Kubernetes: killed at each record of the journal",
            "Kubernetes: killed at a random time",
            "Kubernetes: the API server is in trouble at each request",
            "Kubernetes: the pod is evicted or deleted at each step",
        ],
        true => [
            "Kubernetes, aside: killed at each record of the journal",
            "Kubernetes, aside: killed at a random time",
            "Kubernetes, aside: the API server is in trouble at each request",
            "Kubernetes, aside: the pod is evicted or deleted at each step",
        ],
    };

    const TROUBLES: &'static [&'static str] = &[
        "answers 500",
        "answers 429",
        "answers 409",
        "answers 503 four times",
        "is told and does not answer",
        "hangs up",
        "has forgotten the version",
        "cuts what it carries",
    ];

    // A pod that is deleted may not have the time to stop its server.
    const SKIPPED: i64 = 32;

    async fn start() -> Self {
        let sockets = tempfile::Builder::new().prefix("rbc").tempdir_in("/tmp");
        let sockets = sockets.expect("a folder");
        let (folder, desk, tools) = new_desk().await;
        let cluster = cluster(&tools, sockets.path()).await;
        let at = folder.path().join("server.yaml");
        std::fs::write(at, server_manifests()).expect("the manifests");
        let spec = spec(cluster.kubeconfig(), &tools, ASIDE);
        std::fs::write(desk.spec_file(), spec).expect("the spec");
        let mut world = Self {
            cluster,
            sockets,
            tools,
            volume: String::new(),
            desk,
            _folder: folder,
        };
        world.await_ready("StatefulSet", "db", 1).await;
        world.await_ready("Deployment", "api", 2).await;
        world.volume = world.volume();
        let session = open(&world.endpoint(DATABASE).await).await;
        fill(&session).await;
        session.close().await;
        world
    }

    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    async fn endpoint(&self, database: &str) -> Endpoint {
        self.await_ready("StatefulSet", "db", 1).await;
        let folder = self.sockets.path().join("db-0");
        let folder = folder.to_string_lossy().replace('/', "%2F");
        let root = rustix::process::geteuid().is_root();
        let peer = match root {
            true => format!("?requirepeer={SERVER_USER}"),
            false => String::new(),
        };
        let url = format!("postgresql://postgres:{PASSWORD}@{folder}/{database}{peer}");
        let endpoint = Environment::default().endpoint(&url, false);
        endpoint.expect("an endpoint")
    }

    fn tools(&self) -> PathBuf {
        self.tools.clone()
    }

    async fn expect_copy(&self, old: &Picture) {
        if ASIDE {
            return aside::expect_rows(self, old).await;
        }
        let volume = self.cluster.get("PersistentVolume", "", &self.volume);
        let volume = volume.expect("the old server's volume");
        let folder = volume["spec"]["hostPath"]["path"]
            .as_str()
            .expect("a folder");
        let cluster = Path::new(folder).join("pgdata/global/pg_control");
        assert!(cluster.is_file(), "ROWS LOST on the old server's volume");
    }

    async fn expect_nothing_left(&self, ended: Ended) {
        self.await_ready("Deployment", "api", 2).await;
        self.expect_leases_run_out(ended);
        assert_eq!(self.names("StatefulSet"), ["db"], "{ended:?}");
        assert_eq!(self.names("PersistentVolumeClaim"), ["data-db-0"]);
        let set = self.object("StatefulSet", "db");
        let marks = set["metadata"]["annotations"].to_string();
        assert!(!marks.contains("made-by"), "{ended:?}: {marks}");
        if ASIDE {
            assert_eq!(self.volume(), self.volume, "the volume of the server");
            aside::expect_nothing_left(self, ended).await;
        } else {
            self.expect_volumes(ended);
        }
    }

    fn requests(&self) -> usize {
        self.cluster.requests().len()
    }

    fn trouble(&self, which: &str, after: usize) -> Box<dyn Fn() -> bool> {
        let answer = |code, retry_after| Strike::Answer { code, retry_after };
        let (times, strike) = match which {
            "answers 500" => (1, answer(500, None)),
            "answers 429" => (1, answer(429, Some(1))),
            "answers 409" => (1, answer(409, None)),
            "answers 503 four times" => (4, answer(503, None)),
            "is told and does not answer" => (1, Strike::CloseAfter),
            "hangs up" => (1, Strike::CloseBefore),
            "has forgotten the version" => (1, Strike::Expire),
            "cuts what it carries" => (1, Strike::CutStream { bytes: 3000 }),
            other => panic!("{other} is none of its troubles"),
        };
        let handle = self.cluster.fault(Fault {
            method: String::new(),
            path: String::new(),
            skip: u32::try_from(after).expect("a number of requests"),
            times,
            strike,
        });
        Box::new(move || handle.struck() > 0)
    }

    fn calm(&self) {
        self.cluster.lift_faults();
    }

    fn own(lab: &Lab<Self>, extent: Extent) -> Vec<Case<Lab<Self>>> {
        let place = |what: &str, step: &str| {
            let wanted = |p: &crate::world::Point| p.event == what && p.step == step;
            lab.points.iter().position(wanted)
        };
        // While the server is replaced there is no pod.
        let none = if ASIDE {
            0..0
        } else {
            let gone = place("step-started", "retire").expect("the old server goes");
            gone..place("step-finished", "provision").expect("the new one comes")
        };
        let points = lab.points.iter().enumerate();
        let points = points.filter(|(at, _)| !none.contains(at));
        let deeds = ["evicted", "deleted"];
        let all = points.flat_map(|(_, point)| deeds.map(|deed| (point.clone(), deed)));
        let cases = extent.of(all).into_iter().enumerate();
        let cases = cases.map(|(n, (point, deed))| {
            let what = format!("{deed} at {} {}", point.event, point.step);
            let fault = async move |_: &Lab<Self>, world: &mut Self, _| {
                let (cluster, desk) = (&world.cluster, &world.desk);
                let mut struck = false;
                let strike = async || {
                    struck = cluster.get("Pod", NAMESPACE, "db-0").is_some();
                    match deed {
                        "evicted" => cluster.evict(NAMESPACE, "db-0"),
                        _ => cluster.delete("Pod", NAMESPACE, "db-0").expect("a pod"),
                    }
                };
                let run = desk.paused_at(&["run"], &point, strike).await;
                Struck { run, struck }
            };
            case(Self::FAMILIES[3], what, Way::by_turns(n), fault)
        });
        cases.collect()
    }
}
