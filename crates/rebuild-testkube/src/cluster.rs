//! The cluster as a test holds it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::controllers;
use crate::fault::{Fault, FaultHandle, Faults};
use crate::node::{self, Container, Program};
use crate::object;
use crate::resources::{self, NODES, PODS};
use crate::server;
use crate::state::{Request, State};
use crate::store::Key;
use crate::write::{self, DeleteOptions, Options};

/// What a cluster has.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The group `snapshot.storage.k8s.io`.
    pub snapshots: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { snapshots: true }
    }
}

/// A running cluster: an API server on a port of 127.0.0.1, controllers, and one node.
///
/// It has the namespaces `default` and `kube-system`, the node `node-1`, the StorageClass
/// `standard` (the default one, reclaim policy Delete), and for snapshots the class `standard`.
/// When it is dropped its programs are killed and its files removed.
pub struct Cluster {
    state: Arc<State>,
    url: String,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Starts a cluster on the current runtime.
    ///
    /// # Errors
    /// There is no free port, or the folder for its files cannot be made.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(ClusterOptions::default()).await
    }

    /// Starts a cluster that has what the options say.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(options: ClusterOptions) -> io::Result<Self> {
        let state = Arc::new(State::new(options.snapshots)?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let kubeconfig = state.home.path().join("kubeconfig");
        state.access.write_kubeconfig(&kubeconfig, &url)?;
        let cluster = Self {
            state,
            url,
            kubeconfig,
        };
        cluster.furnish()?;
        tokio::spawn(server::serve(cluster.state.clone(), listener));
        tokio::spawn(controllers::run(cluster.state.clone()));
        tokio::spawn(node::run(cluster.state.clone()));
        Ok(cluster)
    }

    /// What every cluster has from its start.
    fn furnish(&self) -> io::Result<()> {
        self.put(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n\
             apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n---\n\
             apiVersion: v1\nkind: Node\nmetadata:\n  name: node-1\n  labels:\n    \
             kubernetes.io/hostname: node-1\n    kubernetes.io/os: linux\n---\n\
             apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata:\n  name: standard\n  \
             annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}\n\
             provisioner: testkube.local/folder\nallowVolumeExpansion: true\n",
        )?;
        write::modify(
            &mut self.state.store(),
            &Key::new(&NODES, "", "node-1"),
            |node| {
                object::set_condition(node, "Ready", true, "KubeletReady", "");
                node["status"]["allocatable"] = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
            },
        );
        if self.state.snapshots {
            self.put(
                "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\nmetadata:\n  \
                 name: standard\n  annotations: \
                 {snapshot.storage.kubernetes.io/is-default-class: \"true\"}\n\
                 driver: testkube.local/folder\ndeletionPolicy: Delete\n",
            )?;
        }
        Ok(())
    }

    /// Where the API server is: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig with the one context `test`, readable by its owner only.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes what a pod of the namespace finds in `/var/run/secrets/kubernetes.io/serviceaccount`, into the
    /// new folder `folder`.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn write_service_account(&self, folder: &Path, namespace: &str) -> io::Result<()> {
        self.state.access.write_service_account(folder, namespace)
    }

    /// An object as it is now. The kind is as in manifests, such as `Pod`; the namespace of what
    /// has none is ignored.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = resources::by_name(kind)?;
        let key = Key::new(resource, namespace, name);
        self.state
            .store()
            .get(&key)
            .map(|object| (**object).clone())
    }

    /// Waits until `done` finds the objects as they should be. It looks again after each change.
    pub async fn until(&self, done: impl Fn(&Self) -> bool) {
        let mut changed = self.state.store().subscribe();
        loop {
            changed.borrow_and_update();
            if done(self) {
                return;
            }
            // The store is there for as long as the cluster is.
            let _ = changed.changed().await;
        }
    }

    /// The objects of a kind in a namespace as they are now, by name.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let Some(resource) = resources::by_name(kind) else {
            return Vec::new();
        };
        let namespace = resource.namespaced.then_some(namespace);
        let objects = self.state.store().snapshot(resource, namespace);
        objects.iter().map(|object| (**object).clone()).collect()
    }

    /// Creates what a YAML text of one or more documents describes, or puts it in the place of what
    /// is there, past authorisation, faults and the list of requests. What names no namespace goes
    /// to `default`.
    ///
    /// # Errors
    /// It is no YAML, a kind is not known, or the server would refuse an object.
    pub fn put(&self, yaml: &str) -> io::Result<()> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).map_err(io::Error::other)?;
        for mut object in objects.into_iter().filter(Value::is_object) {
            let (version, kind) = (&object["apiVersion"], &object["kind"]);
            let resource = version.as_str().zip(kind.as_str());
            let resource = resource
                .and_then(|(version, kind)| resources::by_kind(version, kind))
                .ok_or_else(|| io::Error::other(format!("unknown kind: {version} {kind}")))?;
            let namespace = match object::namespace(&object) {
                "" => "default".to_owned(),
                namespace => namespace.to_owned(),
            };
            let key = Key::new(resource, &namespace, object::name(&object));
            let options = Options::default();
            let mut store = self.state.store();
            let known = store.get(&key).cloned();
            let written = if let Some(known) = known {
                let version = &known["metadata"]["resourceVersion"];
                object["metadata"]["resourceVersion"] = version.clone();
                write::replace(&mut store, &key, object, None, &options)
            } else {
                write::create(&mut store, resource, &namespace, object, &options)
            };
            written.map_err(|error| io::Error::other(error.to_value().to_string()))?;
        }
        Ok(())
    }

    /// Every request so far, in the order they came in.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests().clone()
    }

    /// Says what the containers of an image are: what to run for each of them.
    pub fn image(
        &self,
        image: &str,
        program: impl Fn(&Container) -> Program + Send + Sync + 'static,
    ) {
        self.state.node.add_image(image, Arc::new(program));
    }

    /// Deletes an object as a user does, past authorisation, faults and the list of requests.
    ///
    /// # Errors
    /// There is none.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> io::Result<()> {
        let resource = resources::by_name(kind);
        let resource = resource.ok_or_else(|| io::Error::other(format!("no kind {kind}")))?;
        let key = Key::new(resource, namespace, name);
        let deleted = write::delete(&mut self.state.store(), &key, &DeleteOptions::default());
        deleted
            .map(|_| ())
            .map_err(|e| io::Error::other(format!("{e:?}")))
    }

    /// Fails a pod as the node does when it runs out of something: reason `Evicted`.
    /// It does nothing if there is no such pod.
    pub fn evict(&self, namespace: &str, pod: &str) {
        node::evict(&self.state, &Key::new(&PODS, namespace, pod));
    }

    /// Lets a fault strike the requests to come.
    pub fn fault(&self, fault: Fault) -> FaultHandle {
        self.state.faults().add(fault)
    }

    /// Takes back every fault that has not struck as often as it was to.
    pub fn lift_faults(&self) {
        *self.state.faults() = Faults::default();
    }

    /// Denies a verb (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`) on a resource such as `pods` or `pods/exec`; `*` means every one.
    pub fn deny(&self, verb: &str, resource: &str) {
        self.state.deny(verb, resource);
    }

    /// Takes back what [`Cluster::deny`] with the same arguments did.
    pub fn allow(&self, verb: &str, resource: &str) {
        self.state.allow(verb, resource);
    }

    /// From now on, a merge patch of a resource such as `persistentvolumes` that changes the field at a JSON pointer gives
    /// it this value, as a mutating admission webhook can do.
    pub fn insist(&self, resource: &str, pointer: &str, value: Value) {
        self.state.insist(resource, pointer, value);
    }

    /// Closes every connection that carries an exec, a port-forward, a log or a watch.
    pub fn cut_streams(&self) {
        self.state.cut_streams();
    }

    /// Forgets what happened so far: watches and continued lists that start at a version given out
    /// before are answered 410 Expired.
    pub fn forget_versions(&self) {
        self.state.store().forget();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.state.stop.cancel();
        self.state.node.kill_all();
    }
}
