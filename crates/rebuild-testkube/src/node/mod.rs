//! The node: where pods run.

mod environment;
mod lifecycle;
mod logs;
mod pod;
mod process;
mod program;
mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

pub(crate) use self::logs::{Line as LogLine, Log};
pub(crate) use self::pod::{Pod, Run};
pub(crate) use self::process::{KilledOnDrop, command, exit_code, kill};
pub use self::program::{Address, Container, Program, Ready};
use crate::object::{is_deleting, number, text, uid};
use crate::resources::PODS;
use crate::state::{State, lock};
use crate::store::Key;
use crate::write::{self, DeleteOptions};

/// The name of the one node.
pub(crate) const NAME: &str = "node-1";

type Image = Arc<dyn Fn(&Container) -> Program + Send + Sync>;

/// What the node has: images, and the pods that it runs by their uids.
pub(crate) struct Node {
    home: PathBuf,
    images: Mutex<BTreeMap<String, Image>>,
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
}

impl Node {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            home: home.join("pods"),
            images: Mutex::default(),
            pods: Mutex::default(),
        }
    }

    pub(crate) fn add_image(&self, name: &str, image: Image) {
        lock(&self.images).insert(name.to_owned(), image);
    }

    fn image(&self, name: &str) -> Option<Image> {
        lock(&self.images).get(name).cloned()
    }

    /// What runs, or has run, for the pod with this uid.
    pub(crate) fn pod(&self, uid: &str) -> Option<Arc<Pod>> {
        lock(&self.pods).get(uid).cloned()
    }

    /// Kills every program at once.
    pub(crate) fn kill_all(&self) {
        for pod in lock(&self.pods).values() {
            pod.kill();
        }
    }
}

/// Runs what is scheduled here until the cluster ends.
pub(crate) async fn run(state: Arc<State>) {
    let mut changed = state.store().subscribe();
    while !state.stop.is_cancelled() {
        changed.borrow_and_update();
        compare(&state);
        tokio::select! {
            _ = changed.changed() => {}
            () = state.stop.cancelled() => {}
        }
    }
}

/// Starts pods that are new, and ends those that are deleted.
fn compare(state: &Arc<State>) {
    let objects = state.store().snapshot(&PODS, None);
    let mut gone = lock(&state.node.pods).clone();
    for object in objects {
        let known = gone.remove(uid(&object));
        let ended = matches!(text(&object, "/status/phase"), "Succeeded" | "Failed");
        if text(&object, "/spec/nodeName") != NAME {
            continue;
        }
        let grace = number(&object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
        let grace = Duration::from_secs(grace.unsigned_abs());
        match known {
            Some(pod) if is_deleting(&object) => pod.end(Instant::now() + grace),
            None if is_deleting(&object) => remove(state, &Key::of(&PODS, &object), uid(&object)),
            None if !ended => {
                let pod = Arc::new(Pod::new(&object, &state.node.home));
                lock(&state.node.pods).insert(pod.uid.clone(), pod.clone());
                tokio::spawn(lifecycle::run(state.clone(), pod));
            }
            _ => {}
        }
    }
    for (uid, pod) in gone {
        // Removed by force: its programs do not outlive it.
        pod.end(Instant::now());
        lock(&state.node.pods).remove(&uid);
    }
}

/// Lets a pod go that was only waiting for its programs to end.
fn remove(state: &State, key: &Key, of: &str) {
    let options = DeleteOptions {
        grace: Some(0),
        uid: of.to_owned(),
        ..DeleteOptions::default()
    };
    let mut store = state.store();
    if store.get(key).is_some_and(|object| is_deleting(object)) {
        // It may be another pod of the same name by now.
        let _ = write::delete(&mut store, key, &options);
    }
}

/// Fails a pod with the reason `Evicted`.
pub(crate) fn evict(state: &State, key: &Key) {
    let mut store = state.store();
    let Some(object) = store.get(key).cloned() else {
        return;
    };
    let message = "The node was low on resource: ephemeral-storage.";
    write::modify(&mut store, key, |object| {
        status::set_ready(object, false);
        object["status"]["phase"] = json!("Failed");
        object["status"]["reason"] = json!("Evicted");
        object["status"]["message"] = json!(message);
        let condition = ("DisruptionTarget", "TerminationByKubelet");
        crate::object::set_condition(object, condition.0, true, condition.1, message);
    });
    crate::events::record(&mut store, &object, "Warning", "Evicted", message);
    drop(store);
    if let Some(pod) = state.node.pod(uid(&object)) {
        pod.end(Instant::now() + Duration::from_secs(1));
    }
}
