//! BigQuery's data transfers: scheduled queries whose runs do what a test says.
//! <https://cloud.google.com/bigquery/docs/reference/datatransfer/rest>

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::google::Google;
use crate::state::{State, lock};

/// What a run of a scheduled query says of itself.
#[derive(Debug, Clone, Default)]
pub struct TransferOutcome {
    /// Why it failed.
    pub error: Option<String>,
    /// Messages, each with a severity: `INFO`, `WARNING` or `ERROR`.
    pub messages: Vec<(String, String)>,
}

impl TransferOutcome {
    /// It has failed with this.
    pub fn failed(error: &str) -> Self {
        Self {
            error: Some(error.to_owned()),
            messages: Vec::new(),
        }
    }

    /// The same with one more message.
    #[must_use]
    pub fn saying(mut self, severity: &str, message: &str) -> Self {
        self.messages
            .push((severity.to_owned(), message.to_owned()));
        self
    }
}

type Work = Arc<dyn Fn() -> TransferOutcome + Send + Sync>;

/// All scheduled queries.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<Vec<Config>>);

struct Config {
    value: Value,
    work: Work,
    /// The oldest first.
    runs: Vec<Kept>,
}

struct Kept {
    value: Value,
    messages: Vec<Value>,
}

pub(crate) fn register(state: &Arc<State>) -> Arc<Transfers> {
    let transfers = Arc::new(Transfers::default());
    let registry = &state.registry;
    let configs = "bigquerydatatransfer.projects.locations.transferConfigs";
    registry.on(&format!("{configs}.list"), &transfers, list);
    registry.on(&format!("{configs}.get"), &transfers, get);
    registry.on(&format!("{configs}.startManualRuns"), &transfers, start);
    registry.on(&format!("{configs}.runs.list"), &transfers, runs);
    registry.on(&format!("{configs}.runs.get"), &transfers, run);
    registry.on(
        &format!("{configs}.runs.transferLogs.list"),
        &transfers,
        logs,
    );
    transfers
}

impl Google {
    /// Makes a scheduled query, each of whose runs does what `work` does. Its full name is the answer.
    pub fn schedule_query(
        &self,
        location: &str,
        display_name: &str,
        work: impl Fn() -> TransferOutcome + Send + Sync + 'static,
    ) -> String {
        let parent = format!("projects/{}/locations/{location}", self.project());
        let name = format!("{parent}/transferConfigs/{}", Uuid::new_v4());
        let value = json!({
            "name": name, "displayName": display_name, "dataSourceId": "scheduled_query",
            "schedule": "every 24 hours", "state": "SUCCEEDED", "disabled": false,
            "updateTime": clock::format(Timestamp::now()),
        });
        lock(&self.services.transfers.0).push(Config {
            value,
            work: Arc::new(work),
            runs: Vec::new(),
        });
        name
    }

    /// The runs of a scheduled query, the oldest first, as the API shows them.
    pub fn transfer_runs(&self, config: &str) -> Vec<Value> {
        let all = lock(&self.services.transfers.0);
        let config = all.iter().find(|c| c.value["name"] == config);
        let runs = config.into_iter().flat_map(|config| &config.runs);
        runs.map(|run| run.value.clone()).collect()
    }
}

impl Transfers {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Config) -> Result<T>) -> Result<T> {
        let config = name.split("/runs/").next().unwrap_or(name);
        let mut all = lock(&self.0);
        let found = all.iter_mut().find(|c| c.value["name"] == config);
        match found {
            Some(found) => act(found),
            None => Err(ApiError::new(
                404,
                format!("Requested entity was not found: {name}"),
            )),
        }
    }
}

fn of<'a>(config: &'a mut Config, name: &str) -> Result<&'a mut Kept> {
    let found = config.runs.iter_mut().find(|run| run.value["name"] == name);
    found.ok_or_else(|| ApiError::new(404, format!("Requested entity was not found: {name}")))
}

async fn list(transfers: Arc<Transfers>, call: Call) -> Result {
    let parent = format!("{}/transferConfigs/", call.param("parent"));
    let wanted: Vec<&str> = (call.query.iter())
        .filter(|(key, _)| key == "dataSourceIds")
        .map(|(_, value)| &**value)
        .collect();
    let all = lock(&transfers.0);
    let found = all.iter().map(|config| &config.value).filter(|value| {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let of_kind = wanted.is_empty() || wanted.contains(&text("dataSourceId"));
        text("name").starts_with(&parent) && of_kind
    });
    let found: Vec<&Value> = found.collect();
    Ok(json!({"transferConfigs": found}).into())
}

async fn get(transfers: Arc<Transfers>, call: Call) -> Result {
    let value = transfers.with(call.param("name"), |config| Ok(config.value.clone()))?;
    Ok(value.into())
}

async fn start(transfers: Arc<Transfers>, call: Call) -> Result {
    let name = call.param("parent");
    let requested = call.text("/requestedRunTime");
    let time: Timestamp = requested
        .parse()
        .map_err(|_| ApiError::new(400, "requestedRunTime is not a time"))?;
    if time > Timestamp::now() {
        let said = "requestedRunTime must be in the past.";
        return Err(ApiError::new(400, said));
    }
    let now = clock::format(Timestamp::now());
    let value = json!({
        "name": format!("{name}/runs/{}", Uuid::new_v4()), "runTime": requested,
        "scheduleTime": now, "updateTime": now, "dataSourceId": "scheduled_query",
        "state": "PENDING",
    });
    transfers.with(name, |config| {
        config.runs.push(Kept {
            value: value.clone(),
            messages: Vec::new(),
        });
        Ok(())
    })?;
    Ok(json!({"runs": [value]}).into())
}

async fn runs(transfers: Arc<Transfers>, call: Call) -> Result {
    let runs: Vec<Value> = transfers.with(call.param("parent"), |config| {
        let newest = config.runs.iter().rev();
        Ok(newest.map(|run| run.value.clone()).collect())
    })?;
    Ok(json!({"transferRuns": runs}).into())
}

/// Each look brings a run further: it begins, and then it ends.
async fn run(transfers: Arc<Transfers>, call: Call) -> Result {
    let name = call.param("name");
    let (state, work) = transfers.with(name, |config| {
        let work = config.work.clone();
        Ok((of(config, name)?.value["state"].clone(), work))
    })?;
    let now = clock::format(Timestamp::now());
    // The test's own code runs while nothing is locked.
    let ended = (state == "RUNNING").then(|| work());
    let value = transfers.with(name, |config| {
        let run = of(config, name)?;
        if state == "PENDING" {
            run.value["state"] = "RUNNING".into();
            run.value["startTime"] = now.clone().into();
        }
        if let Some(ended) = ended {
            run.value["endTime"] = now.clone().into();
            run.value["state"] = match &ended.error {
                None => "SUCCEEDED",
                Some(error) => {
                    run.value["errorStatus"] = json!({"code": 3, "message": error});
                    "FAILED"
                }
            }
            .into();
            let messages = ended.messages.iter();
            let messages = messages.map(|(severity, text)| {
                json!({"messageTime": now, "severity": severity, "messageText": text})
            });
            run.messages.extend(messages);
        }
        Ok(run.value.clone())
    })?;
    Ok(value.into())
}

async fn logs(transfers: Arc<Transfers>, call: Call) -> Result {
    let name = call.param("parent");
    let messages = transfers.with(name, |config| Ok(of(config, name)?.messages.clone()))?;
    Ok(json!({"transferMessages": messages}).into())
}
