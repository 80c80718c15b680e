//! Cloud Logging: what tasks print, and lists of it.
//! <https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list>

mod filter;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use self::filter::Filter;
use crate::call::{Call, Result};
use crate::state::{State, lock};

/// All entries, in the order they came in.
#[derive(Debug, Default)]
pub(crate) struct Logging(Mutex<Vec<Value>>);

/// Where a line comes from.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) job: String,
    pub(crate) execution: String,
    pub(crate) task: i64,
    pub(crate) attempt: i64,
    /// `stdout` or `stderr`.
    pub(crate) stream: String,
}

pub(crate) fn register(state: &Arc<State>) -> Arc<Logging> {
    let logging = Arc::new(Logging::default());
    let registry = &state.registry;
    registry.on("logging.entries.list", &logging, list);
    logging
}

impl Logging {
    /// Keeps a line that a task of a job printed; an object of JSON is kept as one
    /// (<https://cloud.google.com/run/docs/logging#structured-json>).
    pub(crate) fn line(&self, from: &LogLine, text: &str) {
        let now = Timestamp::now().to_string();
        let mut entry = json!({
            "insertId": Uuid::new_v4().simple().to_string(),
            "logName": format!("projects/{}/logs/run.googleapis.com%2F{}", from.project, from.stream),
            "resource": {"type": "cloud_run_job", "labels": {
                "project_id": from.project, "location": from.location, "job_name": from.job,
            }},
            "timestamp": now, "receiveTimestamp": now,
            "labels": {
                "run.googleapis.com/execution_name": from.execution,
                "run.googleapis.com/task_index": from.task.to_string(),
                "run.googleapis.com/task_attempt": from.attempt.to_string(),
            },
        });
        match serde_json::from_str::<Value>(text) {
            Ok(object @ Value::Object(_)) => entry["jsonPayload"] = object,
            _ => entry["textPayload"] = text.into(),
        }
        lock(&self.0).push(entry);
    }
}

async fn list(logging: Arc<Logging>, call: Call) -> Result {
    let filter = Filter::parse(call.text("/filter"))?;
    let names = call.body["resourceNames"].as_array();
    let projects: Vec<String> = names
        .into_iter()
        .flatten()
        .filter_map(|name| Some(format!("{}/logs/", name.as_str()?)))
        .collect();
    let mut found: Vec<Value> = lock(&logging.0)
        .iter()
        .filter(|entry| {
            let log = entry["logName"].as_str().unwrap_or_default();
            projects.iter().any(|project| log.starts_with(project)) && filter.matches(entry)
        })
        .cloned()
        .collect();
    found.sort_by_key(|entry| filter::time(&entry["timestamp"]));
    if call.text("/orderBy") == "timestamp desc" {
        found.reverse();
    }
    let size = call.body["pageSize"].as_u64().filter(|size| *size > 0);
    let size = usize::try_from(size.unwrap_or(50)).unwrap_or(50);
    let from: usize = call.text("/pageToken").parse().unwrap_or(0);
    let next = from + size;
    let token = if next < found.len() {
        next.to_string()
    } else {
        String::new()
    };
    let entries: Vec<Value> = found.into_iter().skip(from).take(size).collect();
    Ok(json!({"entries": entries, "nextPageToken": token}).into())
}
