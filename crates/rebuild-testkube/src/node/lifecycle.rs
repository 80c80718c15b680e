//! The life of a pod: mounts, then its init containers one by one, then the others together.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::process::Child;

use super::pod::Run;
use super::{Container, Log, Pod, Program, environment, process, remove};
use crate::object::text;
use crate::state::{State, lock};
use crate::{clock, events};

type Folders = BTreeMap<String, PathBuf>;

/// How long the node waits before it tries again what could not be done.
const AGAIN: Duration = Duration::from_millis(200);
/// A container that keeps crashing rests at most so long: real ones rest for minutes.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Runs a pod to its end.
pub(super) async fn run(state: Arc<State>, pod: Arc<Pod>) {
    if let Some(folders) = mount(&state, &pod).await {
        let kinds: Vec<bool> = lock(&pod.runs).iter().map(|run| run.is_init).collect();
        let all = |init: bool| (0..kinds.len()).filter(move |index| kinds[*index] == init);
        let mut initialised = true;
        for index in all.clone()(true) {
            initialised = initialised && container(&state, &pod, index, &folders).await == Some(0);
        }
        if initialised {
            join_all(all(false).map(|index| container(&state, &pod, index, &folders))).await;
        }
    }
    pod.finish(&state);
    // If it is deleted, it only waited for its programs.
    remove(&state, &pod.key, &pod.uid);
}

/// Makes the folders of its volumes, as soon as all that they come from is there.
async fn mount(state: &State, pod: &Pod) -> Option<Folders> {
    while pod.deadline().is_none() {
        let mounted = environment::volumes(&state.store(), &pod.object, &pod.home);
        match mounted {
            Ok(folders) => return Some(folders),
            Err(why) => {
                events::record(
                    &mut state.store(),
                    &pod.object,
                    "Warning",
                    "FailedMount",
                    &why,
                );
            }
        }
        pod.rest(AGAIN).await;
    }
    None
}

/// Runs a container as often as its pod's policy says. Gives the code it ended with for good, and
/// nothing if it never ran.
async fn container(state: &Arc<State>, pod: &Pod, index: usize, folders: &Folders) -> Option<i32> {
    loop {
        let (program, container) = prepare(state, pod, index, folders).await?;
        let code = once(state, pod, index, &program, &container).await;
        let policy = text(&pod.object, "/spec/restartPolicy");
        let is_init = lock(&pod.runs)[index].is_init;
        let again = match policy {
            "Never" => false,
            "OnFailure" => code != 0,
            _ => code != 0 || !is_init,
        };
        if !again || pod.deadline().is_some() {
            return Some(code);
        }
        if !back_off(state, pod, index).await {
            return Some(code);
        }
    }
}

/// Waits until its image and all that its environment refers to are there.
async fn prepare(
    state: &Arc<State>,
    pod: &Pod,
    index: usize,
    folders: &Folders,
) -> Option<(Program, Container)> {
    let spec = lock(&pod.runs)[index].spec.clone();
    let image = text(&spec, "/image");
    let mut reason = "ErrImagePull";
    while pod.deadline().is_none() {
        let variables = environment::variables(&state.store(), &pod.object, &spec);
        let (waiting, why) = match (state.node.image(image), variables) {
            (Some(make), Ok(variables)) => {
                let container = process::container(&pod.object, &spec, variables, folders);
                let program = make(&container);
                if let Err(error) = own_mounts(&program, &container) {
                    ("CreateContainerError", error.to_string())
                } else {
                    return Some((program, container));
                }
            }
            (None, _) => {
                let why = format!("failed to pull and unpack image \"{image}\": not found");
                let pull = format!("Failed to pull image \"{image}\": {why}");
                if reason == "ErrImagePull" {
                    events::record(&mut state.store(), &pod.object, "Warning", "Failed", &pull);
                    (reason, why)
                } else {
                    let message = format!("Back-off pulling image \"{image}\"");
                    let mut store = state.store();
                    events::record(&mut store, &pod.object, "Normal", "BackOff", &message);
                    (reason, message)
                }
            }
            (_, Err(missing)) => {
                let mut store = state.store();
                events::record(
                    &mut store,
                    &pod.object,
                    "Warning",
                    "Failed",
                    &format!("Error: {missing}"),
                );
                ("CreateContainerConfigError", missing)
            }
        };
        pod.update(state, index, |run| {
            run.state = json!({"waiting": {"reason": waiting, "message": why}});
        });
        pod.rest(AGAIN).await;
        reason = "ImagePullBackOff";
    }
    None
}

/// Gives mounted folders to the user that the program runs as.
fn own_mounts(program: &Program, container: &Container) -> std::io::Result<()> {
    for folder in container.mounts.values() {
        // A `subPath` need not be there.
        if !folder.exists() {
            std::fs::create_dir_all(folder)?;
        }
        if let Some((uid, gid)) = program.user
            && rustix::process::geteuid().is_root()
            && folder.is_dir()
        {
            give(folder, uid, gid)?;
        }
    }
    Ok(())
}

/// Gives a folder and the files in it, but nothing deeper, to a user: data that another program of
/// the same user has written is the user's already.
fn give(folder: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    chown(folder, Some(uid), Some(gid))?;
    for entry in std::fs::read_dir(folder)? {
        chown(entry?.path(), Some(uid), Some(gid))?;
    }
    Ok(())
}

/// Runs a container's program once, and gives the code that it ended with.
async fn once(
    state: &Arc<State>,
    pod: &Pod,
    index: usize,
    program: &Program,
    container: &Container,
) -> i32 {
    let log = Arc::new(Log::default());
    let started = clock::now();
    let mut child = match process::command(program, container, &program.argv).spawn() {
        Ok(child) => child,
        Err(error) => {
            pod.update(state, index, |run| {
                run.state = ended(128, "StartError", &started);
                run.state["terminated"]["message"] = json!(error.to_string());
            });
            return 128;
        }
    };
    let group = child.id();
    pod.update(state, index, |run| {
        if run.restarts > 0 || !run.last.is_null() {
            run.previous = Some(std::mem::replace(&mut run.log, log.clone()));
        } else {
            run.log = log.clone();
        }
        run.program = Some((program.clone(), container.clone()));
        run.group = group;
        run.state = json!({"running": {"startedAt": started}});
    });
    let output = follow(&mut child, log.clone());
    let status = {
        let ready = async {
            process::until_ready(program, container).await;
            if pod.deadline().is_none() {
                pod.update(state, index, |run| run.ready = !run.is_init);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            status = wait(pod, &mut child) => status,
            () = ready => None,
        }
    };
    // Whatever it started ends with it.
    if let Some(group) = group {
        process::kill(group);
    }
    // What it printed is read to the end, unless something that left its group holds the pipe open.
    let _ = tokio::time::timeout(Duration::from_secs(1), output).await;
    let code = status.map_or(255, process::exit_code);
    let reason = if code == 0 { "Completed" } else { "Error" };
    pod.update(state, index, |run| {
        run.ready = false;
        run.group = None;
        run.state = ended(code, reason, &started);
    });
    // Who has read it to its end finds the code there.
    log.close();
    code
}

fn ended(code: i32, reason: &str, started: &str) -> Value {
    json!({"terminated": {
        "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": clock::now(),
    }})
}

/// Reads what a program prints, in the background.
fn follow(child: &mut Child, log: Arc<Log>) -> tokio::task::JoinHandle<()> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    tokio::spawn(async move {
        let out = async {
            if let Some(out) = out {
                log.take(out, false).await;
            }
        };
        let err = async {
            if let Some(err) = err {
                log.take(err, true).await;
            }
        };
        tokio::join!(out, err);
    })
}

/// Waits for a program; when its pod is to end, it is asked to, and killed at the deadline.
async fn wait(pod: &Pod, child: &mut Child) -> Option<ExitStatus> {
    let id = child.id();
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = pod.ending() => {}
    }
    if let Some(id) = id {
        process::terminate(id);
    }
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = pod.overdue() => {}
    }
    if let Some(id) = id {
        process::kill(id);
    }
    child.wait().await.ok()
}

/// Rests before the next start; false if the pod is to end meanwhile.
async fn back_off(state: &Arc<State>, pod: &Pod, index: usize) -> bool {
    let mut rest = Duration::ZERO;
    pod.update(state, index, |run: &mut Run| {
        run.last = std::mem::take(&mut run.state);
        let crashed = run.restarts > 0;
        run.restarts += 1;
        rest = AGAIN.saturating_mul(run.restarts).min(LONGEST_REST);
        let name = run.name();
        run.state = if crashed {
            let message = format!("back-off restarting failed container={name}");
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        } else {
            json!({"waiting": {"reason": "ContainerCreating"}})
        };
    });
    let name = text(&lock(&pod.runs)[index].spec, "/name").to_owned();
    let message = format!(
        "Back-off restarting failed container {name} in pod {}",
        pod.key.name
    );
    events::record(
        &mut state.store(),
        &pod.object,
        "Warning",
        "BackOff",
        &message,
    );
    pod.rest(rest).await
}
