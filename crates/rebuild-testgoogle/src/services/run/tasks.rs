//! The tasks of an execution, each a program.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::Run;
use super::executions::{Execution, condition};
use super::names::{part, short};
use super::programs::KilledOnDrop;
use crate::clock;
use crate::services::LogLine;

/// How one task ended.
enum Ended {
    Succeeded,
    Failed(String),
    Cancelled,
}

/// Runs the tasks of an execution to their end, and says how it ended.
pub(super) async fn run(run: Arc<Run>, execution: Arc<Execution>) {
    execution.change(|value| {
        value["startTime"] = clock::format(Timestamp::now()).into();
        let reached = [
            ("ResourcesAvailable", "Provisioned imported containers."),
            ("Started", "Started deployed execution."),
        ];
        let reached = reached.map(|(it, said)| condition(it, "CONDITION_SUCCEEDED", said));
        if let Some(conditions) = value["conditions"].as_array_mut() {
            conditions.extend(reached);
        }
    });
    let value = execution.value();
    let count = value["taskCount"].as_i64().unwrap_or(1);
    let parallel = value["parallelism"].as_u64().unwrap_or(1).max(1);
    let tasks = stream::iter(0..count).map(|task| one(run.clone(), execution.clone(), task));
    let tasks = tasks.buffer_unordered(usize::try_from(parallel).unwrap_or(1));
    let all = tasks.collect::<Vec<Ended>>();
    let mut stopped = run.state.stop.subscribe();
    let ended = tokio::select! {
        ended = all => ended,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    let (state, message, reason) = verdict(&execution, &ended);
    execution.change(|value| {
        value["completionTime"] = clock::format(Timestamp::now()).into();
        value["reconciling"] = false.into();
        value["observedGeneration"] = "1".into();
        let mut completed = condition("Completed", state, &message);
        if let Some(reason) = reason {
            completed["executionReason"] = reason.into();
        }
        value["conditions"][0] = completed;
    });
}

fn verdict(execution: &Execution, ended: &[Ended]) -> (&'static str, String, Option<&'static str>) {
    let failure = ended.iter().find_map(|ended| match ended {
        Ended::Failed(why) => Some(why.clone()),
        _ => None,
    });
    let cancelled = execution.cancelled.borrow().clone();
    match (cancelled, failure) {
        (Some(by), _) => {
            let message = format!("Execution was cancelled by {by}.");
            ("CONDITION_FAILED", message, Some("CANCELLED"))
        }
        (None, Some(why)) => ("CONDITION_FAILED", why, Some("NON_ZERO_EXIT_CODE")),
        (None, None) => {
            let message = "Execution completed successfully.".to_owned();
            ("CONDITION_SUCCEEDED", message, None)
        }
    }
}

/// One task, with all of its attempts.
async fn one(run: Arc<Run>, execution: Arc<Execution>, task: i64) -> Ended {
    let mut cancelled = execution.cancelled.subscribe();
    let cancelled = async move {
        // The sender lives as long as the execution.
        let _ = cancelled.wait_for(Option::is_some).await;
    };
    let ended = tokio::select! {
        biased;
        () = cancelled => Ended::Cancelled,
        ended = attempts(&run, &execution, task) => ended,
    };
    let count = match &ended {
        Ended::Succeeded => "succeededCount",
        Ended::Failed(_) => "failedCount",
        Ended::Cancelled => "cancelledCount",
    };
    execution.count(count, 1);
    ended
}

async fn attempts(run: &Run, execution: &Execution, task: i64) -> Ended {
    let template = &execution.value()["template"];
    let retries = template["maxRetries"].as_i64().unwrap_or(3);
    let mut why = String::new();
    for attempt in 0..=retries {
        if attempt == 1 {
            execution.count("retriedCount", 1);
        }
        let running = Running::new(execution);
        let ended = attempt_of(run, execution, task, attempt, &timeout(template)).await;
        drop(running);
        match ended {
            Ok(()) => return Ended::Succeeded,
            Err(said) => why = said,
        }
    }
    let name = short(&execution.name);
    Ended::Failed(format!("Task {name}-task{task} failed with message: {why}"))
}

/// Counts a task as running for as long as it is there.
struct Running<'a>(&'a Execution);

impl<'a> Running<'a> {
    fn new(execution: &'a Execution) -> Self {
        execution.count("runningCount", 1);
        Self(execution)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.count("runningCount", -1);
    }
}

fn timeout(template: &Value) -> Duration {
    let text = template["timeout"].as_str().unwrap_or("600s");
    let seconds = text.trim_end_matches('s').parse().unwrap_or(600.0);
    Duration::from_secs_f64(seconds)
}

async fn attempt_of(
    run: &Run,
    execution: &Execution,
    task: i64,
    attempt: i64,
    limit: &Duration,
) -> Result<(), String> {
    let Some(mut command) = run.command(execution, task, attempt) else {
        return Err("The image was not found.".to_owned());
    };
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let _killed = KilledOnDrop(child.id());
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let line = |stream: &str| LogLine {
        project: part(&execution.name, "projects").to_owned(),
        location: part(&execution.name, "locations").to_owned(),
        job: part(&execution.name, "jobs").to_owned(),
        execution: short(&execution.name).to_owned(),
        task,
        attempt,
        stream: stream.to_owned(),
    };
    let work = async {
        let out = pass_on(run, line("stdout"), stdout);
        let errors = pass_on(run, line("stderr"), stderr);
        let (status, (), ()) = tokio::join!(child.wait(), out, errors);
        status
    };
    match tokio::time::timeout(*limit, work).await {
        Err(_) => Err("The configured timeout was reached.".to_owned()),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let code = status.code().unwrap_or(255);
            Err(format!(
                "The container exited with an error (exit code {code})."
            ))
        }
        Ok(Err(e)) => Err(e.to_string()),
    }
}

async fn pass_on(run: &Run, line: LogLine, stream: Option<impl AsyncRead + Unpin>) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        run.logging.line(&line, &text);
    }
}
