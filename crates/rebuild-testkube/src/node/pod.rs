//! A pod as the node knows it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::process::kill;
use super::{Container, Log, Program, status};
use crate::object::{items, text, uid};
use crate::resources::PODS;
use crate::state::{State, lock};
use crate::store::Key;
use crate::write;

/// One container of a pod.
#[derive(Default)]
pub(crate) struct Run {
    /// Its part of the manifest.
    pub(crate) spec: Value,
    pub(crate) is_init: bool,
    pub(crate) restarts: u32,
    /// As in `containerStatuses`: one of `waiting`, `running`, `terminated`.
    pub(crate) state: Value,
    pub(crate) last: Value,
    pub(crate) ready: bool,
    pub(crate) log: Arc<Log>,
    pub(crate) previous: Option<Arc<Log>>,
    /// What it runs as, once that is known.
    pub(crate) program: Option<(Program, Container)>,
    /// The process group of its program while that runs.
    pub(crate) group: Option<u32>,
}

impl Run {
    pub(crate) fn name(&self) -> &str {
        text(&self.spec, "/name")
    }

    /// The code it ended with, if it has ended.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.state["terminated"]["exitCode"].as_i64()
    }
}

/// A pod that runs here or has run.
pub(crate) struct Pod {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) object: Value,
    pub(crate) home: PathBuf,
    /// When the programs are killed, once the pod is to end.
    ending: watch::Sender<Option<Instant>>,
    pub(crate) runs: Mutex<Vec<Run>>,
}

impl Pod {
    pub(crate) fn new(object: &Value, home: &Path) -> Self {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let run = |spec: &Value, is_init: bool| Run {
            spec: spec.clone(),
            is_init,
            state: creating.clone(),
            ..Run::default()
        };
        let init = items(object, "/spec/initContainers").iter();
        let main = items(object, "/spec/containers").iter();
        let runs = init
            .map(|it| run(it, true))
            .chain(main.map(|it| run(it, false)));
        Self {
            key: Key::of(&PODS, object),
            uid: uid(object).to_owned(),
            object: object.clone(),
            home: home.join(uid(object)),
            ending: watch::Sender::new(None),
            runs: Mutex::new(runs.collect()),
        }
    }

    /// Asks its programs to end, and kills them at the deadline. An earlier deadline holds.
    pub(crate) fn end(&self, deadline: Instant) {
        self.ending.send_if_modified(|ending| {
            let sooner = ending.is_none_or(|known| deadline < known);
            if sooner {
                *ending = Some(deadline);
            }
            sooner
        });
    }

    /// When it is killed, if it is to end.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.ending.borrow()
    }

    /// Waits until it is to end.
    pub(crate) async fn ending(&self) {
        let mut ending = self.ending.subscribe();
        // The sender lives as long as the pod.
        let _ = ending.wait_for(Option::is_some).await;
    }

    /// Waits until its deadline has come, which can be moved nearer.
    pub(crate) async fn overdue(&self) {
        let mut ending = self.ending.subscribe();
        loop {
            let deadline = *ending.borrow_and_update();
            let Some(deadline) = deadline else {
                let _ = ending.changed().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                _ = ending.changed() => {}
            }
        }
    }

    /// Waits for a time; false if it is to end before that.
    pub(crate) async fn rest(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.ending() => false,
        }
    }

    /// Changes what is known of a container, and writes the pod's status.
    pub(crate) fn update(&self, state: &State, index: usize, change: impl FnOnce(&mut Run)) {
        let mut runs = lock(&self.runs);
        change(&mut runs[index]);
        self.publish(state, &runs);
    }

    /// Says that nothing of it runs, or will run.
    pub(crate) fn finish(&self, state: &State) {
        let mut runs = lock(&self.runs);
        for run in runs.iter_mut() {
            run.log.close();
            // One that was resting, or never began, has ended as well.
            if self.deadline().is_some() && run.exit_code().is_none() {
                run.state = match run.last.is_null() {
                    true => {
                        json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}})
                    }
                    false => run.last.clone(),
                };
            }
        }
        self.publish(state, &runs);
    }

    fn publish(&self, state: &State, runs: &[Run]) {
        let mut store = state.store();
        write::modify(&mut store, &self.key, |object| {
            if uid(object) == self.uid {
                status::compose(object, runs, self.deadline().is_some());
            }
        });
    }

    /// Kills all its programs now.
    pub(crate) fn kill(&self) {
        for run in lock(&self.runs).iter() {
            if let Some(group) = run.group {
                kill(group);
            }
        }
    }
}
