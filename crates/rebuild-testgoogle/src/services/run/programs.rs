//! The programs that stand for containers.

use std::collections::BTreeMap;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::process::Command;

use super::Run;
use super::executions::Execution;
use super::names::short;
use crate::state::lock;

/// A program that is killed with all that it started when this goes.
pub(super) struct KilledOnDrop(pub(super) Option<u32>);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It may have ended in the meantime.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Run {
    /// The command of one attempt of a task; nothing if nothing stands for its image.
    pub(super) fn command(
        &self,
        execution: &Execution,
        task: i64,
        attempt: i64,
    ) -> Option<Command> {
        let value = execution.value();
        let container = &value["template"]["containers"][0];
        let image = container["image"].as_str().unwrap_or_default();
        let mut words = lock(&self.programs).get(image).cloned()?;
        for list in ["command", "args"] {
            let more = container[list].as_array().into_iter().flatten();
            words.extend(more.filter_map(|word| word.as_str().map(ToOwned::to_owned)));
        }
        let (first, rest) = words.split_first()?;
        let mut command = Command::new(first);
        command.args(rest).env_clear();
        for name in ["PATH", "LANG", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(variables(container));
        // https://cloud.google.com/run/docs/container-contract#jobs-env-vars
        command
            .env("CLOUD_RUN_JOB", value["job"].as_str().unwrap_or_default())
            .env("CLOUD_RUN_EXECUTION", short(&execution.name))
            .env("CLOUD_RUN_TASK_INDEX", task.to_string())
            .env("CLOUD_RUN_TASK_ATTEMPT", attempt.to_string())
            .env("CLOUD_RUN_TASK_COUNT", value["taskCount"].to_string())
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Some(command)
    }
}

fn variables(container: &Value) -> BTreeMap<&str, &str> {
    let env = container["env"].as_array().into_iter().flatten();
    env.filter_map(|one| Some((one["name"].as_str()?, one["value"].as_str()?)))
        .collect()
}
