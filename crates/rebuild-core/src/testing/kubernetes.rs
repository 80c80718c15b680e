//! A namespace with a database, and programs that write to it: in a cluster inside this process,
//! or in the real one that `REBUILD_TEST_KUBECONFIG` names, where it is made and deleted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use rebuild_testkube::PostgresImage;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Environment;
use crate::engine::Report;
use crate::error::ErrorKind;
use crate::event::{Event, Events, Progress, Sink};
use crate::k8s::{Cluster, ClusterAddress};
use crate::plan::Plan;
use crate::postgres::{LocalCluster, Session};
use crate::project::Project;
use crate::testing::{CLIENT_BIN, cluster_options};

/// How long a server may take from its first word to its first answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The database, its Service and Secret, and what writes to it.
const MANIFESTS: &str = include_str!("kubernetes/world.yaml");

/// Everything that a project tells.
#[derive(Default)]
pub(crate) struct Told(Mutex<String>);

impl Sink for Told {
    fn event(&self, event: &Event) {
        let mut told = self.0.lock().expect("no one panics with it");
        told.push_str(&serde_json::to_string(event).expect("an event"));
        told.push('\n');
    }

    fn progress(&self, _: &Progress) {}
}

impl Told {
    /// Waits until something like this is told.
    pub(crate) async fn hears(&self, what: &str) {
        let heard = async {
            while !self.text().contains(what) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = Duration::from_secs(120);
        let heard = tokio::time::timeout(limit, heard).await;
        heard.unwrap_or_else(|_| panic!("nobody told of {what}: {}", self.text()));
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("no one panics with it").clone()
    }
}

pub(crate) struct World {
    /// The cluster, if it is one of this process.
    pub(crate) inside: Option<rebuild_testkube::Cluster>,
    kubeconfig: PathBuf,
    pub(crate) context: String,
    pub(crate) namespace: String,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
    /// Short, for the paths of sockets are.
    _sockets: TempDir,
    pub(crate) told: Arc<Told>,
}

impl World {
    /// A namespace of its own, with everything in it ready.
    pub(crate) async fn start() -> Self {
        Self::empty().await.furnished().await
    }

    /// The same in a namespace that has something already.
    pub(crate) async fn furnished(self) -> Self {
        self.apply(MANIFESTS).await;
        self.await_ready("statefulset", "db", 1).await;
        self.await_ready("deployment", "api", 2).await;
        self
    }

    /// A namespace with nothing in it.
    pub(crate) async fn empty() -> Self {
        let sockets = tempfile::Builder::new()
            .prefix("rbk")
            .tempdir_in("/tmp")
            .expect("a folder");
        let folder = TempDir::new().expect("a folder");
        let real = std::env::var_os("REBUILD_TEST_KUBECONFIG").filter(|file| !file.is_empty());
        let inside = match real {
            Some(_) => None,
            None => Some(inside(sockets.path()).await),
        };
        let kubeconfig = match (&inside, real) {
            (Some(inside), _) => inside.kubeconfig().to_owned(),
            (None, real) => PathBuf::from(real.expect("a kubeconfig")),
        };
        let read = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
        let context = read.current_context.clone().expect("a current context");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("a context")).expect("a client");
        let world = Self {
            inside,
            kubeconfig,
            context,
            namespace: format!("rebuild-test-{}", uuid::Uuid::now_v7().simple()),
            client,
            folder,
            _sockets: sockets,
            told: Arc::default(),
        };
        let namespace = &world.namespace;
        world
            .apply(&format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"
            ))
            .await;
        world
    }

    /// The cluster of this process, for what cannot be done to a real one. Where the tests run in
    /// a real one, those that need it say so and end.
    pub(crate) fn inside(&self, what: &str) -> Option<&rebuild_testkube::Cluster> {
        if self.inside.is_none() {
            eprintln!("not tried in a real cluster: {what}");
        }
        self.inside.as_ref()
    }

    /// How long a test waits for what never comes: time enough for what does come.
    pub(crate) fn in_vain(&self) -> &'static str {
        match self.inside {
            Some(_) => "5s",
            None => "120s",
        }
    }

    /// The namespace, as the backend sees it.
    pub(crate) async fn cluster(&self) -> Cluster {
        let address = ClusterAddress {
            kubeconfig: Some(self.kubeconfig.clone()),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        };
        let cluster = Cluster::open(&address, &Environment::default()).await;
        cluster.expect("a cluster")
    }

    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version, name) = match kind {
            "namespace" => ("", "v1", "Namespace"),
            "secret" => ("", "v1", "Secret"),
            "service" => ("", "v1", "Service"),
            "pod" => ("", "v1", "Pod"),
            "volume" | "persistentvolume" => ("", "v1", "PersistentVolume"),
            "claim" | "persistentvolumeclaim" => ("", "v1", "PersistentVolumeClaim"),
            "volumesnapshot" => ("snapshot.storage.k8s.io", "v1", "VolumeSnapshot"),
            "configmap" => ("", "v1", "ConfigMap"),
            "deployment" => ("apps", "v1", "Deployment"),
            "statefulset" => ("apps", "v1", "StatefulSet"),
            "cronjob" => ("batch", "v1", "CronJob"),
            "job" => ("batch", "v1", "Job"),
            "lease" => ("coordination.k8s.io", "v1", "Lease"),
            other => panic!("no test uses {other}"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, name));
        match kind {
            "namespace" | "volume" | "persistentvolume" => {
                Api::all_with(self.client.clone(), &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    pub(crate) async fn apply(&self, yaml: &str) {
        let objects: Vec<DynamicObject> = serde_saphyr::from_multiple(yaml).expect("manifests");
        let params = PatchParams::apply("rebuild-test").force();
        for object in objects {
            let kind = object.types.as_ref().expect("a kind").kind.to_lowercase();
            let api = self.api(&kind);
            let applied = api
                .patch(&object.name_any(), &params, &Patch::Apply(&object))
                .await;
            applied.unwrap_or_else(|e| panic!("{kind} {}: {e}", object.name_any()));
        }
    }

    /// An object, or nothing if there is none.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let found = self.api(kind).get_opt(name).await.expect("an answer")?;
        Some(serde_json::to_value(found).expect("JSON"))
    }

    /// The names of all objects of a kind.
    pub(crate) async fn names(&self, kind: &str) -> Vec<String> {
        let all = self.api(kind).list(&ListParams::default()).await;
        let mut names: Vec<String> = all.expect("a list").iter().map(|o| o.name_any()).collect();
        names.sort();
        names
    }

    pub(crate) async fn await_ready(&self, kind: &str, name: &str, count: u64) {
        let ready = async {
            loop {
                let now = self.get(kind, name).await.expect("it is there");
                if now["status"]["readyReplicas"] == count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let limit = Duration::from_secs(180);
        if tokio::time::timeout(limit, ready).await.is_err() {
            panic!(
                "{kind}/{name}: {:#}",
                self.get(kind, name).await.expect("it")
            );
        }
    }

    /// A spec that says `more`.
    pub(crate) fn spec_text(&self, more: &str) -> String {
        let tools = std::env::var(CLIENT_BIN).map(|dir| format!("backup.tools = {dir:?}\n"));
        format!(
            "version = 1\nstore.url = \"store\"\nquiesce.end_sessions = true\n{}{more}\n\
             [kubernetes]\ncontext = {:?}\nnamespace = {:?}\nkubeconfig = {:?}\n\
             [target]\nurl = \"postgresql:///app\"\n\
             [target.kubernetes]\nservice = \"db\"\n\
             secret = {{ name = \"db\", user_key = \"user\" }}\n",
            tools.unwrap_or_default(),
            self.context,
            self.namespace,
            self.kubeconfig.display().to_string(),
        )
    }

    /// A spec that replaces the whole server, and says `more` of the run and `how` of that.
    pub(crate) fn replacing(&self, more: &str, how: &str) -> String {
        let text = self.spec_text(more);
        let text = text.replace("[target]\n", "[target]\nstrategy = \"in-place\"\n");
        format!("{text}[target.kubernetes.replace]\n{how}\n")
    }

    /// Everything in the world.
    pub(crate) fn manifests() -> &'static str {
        MANIFESTS
    }

    /// The manifest of the server and its Service alone.
    pub(crate) fn server_manifest() -> String {
        let documents: Vec<&str> = MANIFESTS.split("---\n").collect();
        let wanted = documents
            .iter()
            .filter(|text| text.contains("kind: StatefulSet") || text.contains("kind: Service\n"));
        wanted.copied().collect::<Vec<_>>().join("---\n")
    }

    /// The project of a whole spec.
    pub(crate) async fn open(&self, text: &str) -> crate::Result<Project> {
        self.open_with(text, self.told.clone()).await
    }

    /// The project of a whole spec, which tells `sink` everything.
    pub(crate) async fn open_with(
        &self,
        text: &str,
        sink: Arc<dyn Sink>,
    ) -> crate::Result<Project> {
        let folder = self.folder.path();
        let spec = crate::spec::parse(text, "rebuild.toml", folder, &|_| None).expect("a spec");
        let events = Events::new(None, vec![sink]);
        // What is waited for on the stack of a test adds up there.
        let environment = Default::default();
        Box::pin(Project::open(
            spec,
            &environment,
            events,
            Default::default(),
        ))
        .await
    }

    pub(crate) async fn try_project(&self, more: &str) -> crate::Result<Project> {
        self.open(&self.spec_text(more)).await
    }

    /// The project of a spec that says `more`.
    pub(crate) async fn project(&self, more: &str) -> Project {
        self.try_project(more).await.expect("a project")
    }

    pub(crate) async fn run(&self, more: &str) -> Report {
        let report = self.project(more).await.run(None, None).await;
        report.expect("a run")
    }

    pub(crate) async fn plan(&self, more: &str) -> Plan {
        let plan = self.project(more).await.plan(true).await;
        plan.expect("a plan")
    }

    /// Changes an object as `kubectl patch --type merge` does.
    pub(crate) async fn patch(&self, kind: &str, name: &str, change: Value) {
        let (api, params) = (self.api(kind), PatchParams::default());
        let patched = api.patch(name, &params, &Patch::Merge(&change)).await;
        patched.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
    }

    /// Waits until `done` finds an object as it should be, and gives it.
    pub(crate) async fn until(
        &self,
        kind: &str,
        name: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.get(kind, name).await.unwrap_or_default();
                if done(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        assert!(waited.is_ok(), "{kind}/{name}: {last:#}");
        last
    }

    /// Runs SQL in the database, through a forward of its own.
    pub(crate) async fn sql(&self, statements: &str) -> String {
        let asked = async { sql(&self.project("").await, statements).await };
        Box::pin(asked).await
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a file");
    }

    /// Takes the namespace away, with the volumes that were kept. A cluster of this process goes by itself.
    pub(crate) async fn end(self) {
        if self.inside.is_none() {
            self.give_up_volumes().await;
            let (api, params) = (self.api("namespace"), DeleteParams::default());
            let gone = api.delete(&self.namespace, &params).await;
            gone.expect("the namespace is deleted");
        }
    }
}

impl World {
    /// Lets the volumes go whose claims are, or were, in the namespace: a provisioner takes its own away.
    async fn give_up_volumes(&self) {
        let api = self.api("volume");
        let all = api.list(&ListParams::default()).await;
        for volume in all.expect("a list") {
            if volume.data["spec"]["claimRef"]["namespace"] != *self.namespace {
                continue;
            }
            let name = volume.name_any();
            let change = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
            let patch = Patch::Merge(&change);
            let let_go = api.patch(&name, &PatchParams::default(), &patch).await;
            let provisioned = "pv.kubernetes.io/provisioned-by";
            let gone = match let_go {
                Ok(volume) if volume.annotations().contains_key(provisioned) => continue,
                Ok(_) => api.delete(&name, &DeleteParams::default()).await,
                Err(e) => Err(e),
            };
            match gone {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                gone => drop(gone.expect("the volume is deleted")),
            }
        }
    }
}

/// A session in the target. A server that listens may be recovering still.
async fn session_of(project: &Project) -> Session {
    let began = Instant::now();
    loop {
        match Session::open(project.endpoint(), "test").await {
            Ok(session) => return session,
            Err(e) if e.kind() == ErrorKind::Unreachable && began.elapsed() < ANSWERS_WITHIN => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(e) => panic!("a session: {e:?}"),
        }
    }
}

/// Runs SQL in the target of `project`, and gives what it answers.
pub(crate) async fn sql(project: &Project, statements: &str) -> String {
    let session = session_of(project).await;
    let answer = session.simple_query(statements).await.expect(statements);
    let rows = answer.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
        _ => None,
    });
    let text = rows.collect::<Vec<_>>().join(" ");
    session.close().await;
    text
}

/// A cluster of this process whose images are programs of this machine.
async fn inside(sockets: &Path) -> rebuild_testkube::Cluster {
    let cluster = rebuild_testkube::Cluster::start().await.expect("a cluster");
    let bin = LocalCluster::programs(&cluster_options()).await;
    let bin = bin.expect("server programs");
    let clients = std::env::var_os(CLIENT_BIN).map_or_else(|| bin.clone(), PathBuf::from);
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), clients.display());
    let image = PostgresImage::new(path, sockets).expect("a folder of ours");
    let image = image.service("db", "db-0");
    cluster.image("postgres:16", move |container| image.program(container));
    cluster
}
