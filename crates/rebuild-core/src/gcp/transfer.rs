//! Scheduled queries of BigQuery, run now.

use std::collections::HashSet;

use google_cloud_bigquery_datatransfer_v1::client::DataTransferService;
use google_cloud_bigquery_datatransfer_v1::model::start_manual_transfer_runs_request::Time;
use google_cloud_bigquery_datatransfer_v1::model::transfer_message::MessageSeverity;
use google_cloud_bigquery_datatransfer_v1::model::{TransferConfig, TransferRun, TransferState};
use google_cloud_wkt::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::{Ctx, EventKind};
use crate::google::{Google, GoogleApi, Seen, no_client};

const API: GoogleApi = GoogleApi::Transfer;

/// How many objects one answer holds, and how many answers are read.
const PAGE: i32 = 100;
const PAGES: usize = 20;

/// How many of the last messages an error holds.
const KEPT_MESSAGES: usize = 10;

/// Scheduled queries in a place.
#[derive(Clone, Debug)]
pub(super) struct Transfers {
    google: Google,
    client: DataTransferService,
    location: String,
}

/// How a run of a query ended.
pub(super) enum Ended {
    Succeeded,
    /// It failed or was cancelled: what is said of it, with the last messages.
    Failed(String),
}

impl Transfers {
    pub(super) async fn open(google: &Google, location: &str) -> Result<Self> {
        let builder = google.configure(API, DataTransferService::builder());
        Ok(Self {
            google: google.clone(),
            client: builder.build().await.map_err(|e| no_client(API, &e))?,
            location: location.to_owned(),
        })
    }

    /// The full name of the query that is called `named`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(super) async fn config(&self, ctx: &Ctx, named: &str) -> Result<String> {
        if named.starts_with("projects/") {
            return Ok(named.to_owned());
        }
        let all = self.configs(ctx).await?;
        let found: Vec<&TransferConfig> = all.iter().filter(|c| c.display_name == named).collect();
        match found[..] {
            [one] => Ok(one.name.clone()),
            [] => {
                let there: Vec<String> = all.iter().map(|c| clean(&c.display_name)).collect();
                let message = format!("there is no scheduled query {named:?} in {}", self.location);
                let error = Error::new(ErrorKind::Server, message);
                Err(match there.is_empty() {
                    true => error,
                    false => error.hint(format!("there are: {}", there.join(", "))),
                })
            }
            _ => Err(Error::new(
                ErrorKind::Server,
                format!("{} scheduled queries are called {named:?}", found.len()),
            )
            .hint("name the one that is meant by its full name, projects/…/transferConfigs/…")),
        }
    }

    async fn configs(&self, ctx: &Ctx) -> Result<Vec<TransferConfig>> {
        let project = self.google.project();
        let parent = format!("projects/{project}/locations/{}", self.location);
        let what = format!("could not list the scheduled queries in {}", self.location);
        let (mut all, mut page) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let request = || {
                let request = self.client.list_transfer_configs().set_parent(&parent);
                let request = request.set_data_source_ids(["scheduled_query"]);
                request.set_page_size(PAGE).set_page_token(&page).send()
            };
            let listed = self.google.ask(ctx, API, &what, request).await?;
            all.extend(listed.transfer_configs);
            page = listed.next_page_token;
            if page.is_empty() {
                break;
            }
        }
        Ok(all)
    }

    /// The runs of a query for one of these times, in seconds, in their order.
    pub(super) async fn runs(
        &self,
        ctx: &Ctx,
        config: &str,
        times: &[i64],
    ) -> Result<Vec<(i64, TransferRun)>> {
        let what = format!("could not list the runs of {config}");
        let (mut all, mut page) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let request = || {
                let request = self.client.list_transfer_runs().set_parent(config);
                request.set_page_size(PAGE).set_page_token(&page).send()
            };
            let listed = self.google.ask(ctx, API, &what, request).await?;
            all.extend(listed.transfer_runs);
            page = listed.next_page_token;
            if page.is_empty() {
                break;
            }
        }
        let found = times.iter().filter_map(|time| {
            let second = |run: &TransferRun| run.run_time.as_ref().map(Timestamp::seconds);
            let run = all.iter().find(|run| second(run) == Some(*time))?;
            Some((*time, run.clone()))
        });
        Ok(found.collect())
    }

    /// Runs a query for `time`. The name of the run is the answer.
    pub(super) async fn start(&self, ctx: &Ctx, config: &str, time: i64) -> Result<String> {
        let what = format!("could not start {config}");
        let look = || async {
            let runs = self.runs(ctx, config, &[time]).await?;
            Ok(runs.into_iter().next().map(|(_, run)| run.name))
        };
        let request = || async {
            let requested = Time::RequestedRunTime(Box::new(Timestamp::clamp(time, 0)));
            let request = self.client.start_manual_transfer_runs().set_parent(config);
            let begun = request.set_time(requested).send().await?;
            Ok(begun
                .runs
                .into_iter()
                .next()
                .map(|r| r.name)
                .unwrap_or_default())
        };
        let begun = self.google.ask_once(ctx, API, &what, look, request).await?;
        if !begun.is_empty() {
            return Ok(begun);
        }
        let found = look().await?;
        found.ok_or_else(|| {
            let why = "the answer names no run, and none is listed";
            Error::new(ErrorKind::Server, what).caused_by(Error::new(ErrorKind::Server, why))
        })
    }

    /// Waits for the end of a run; its messages are passed on as those of `shown`.
    pub(super) async fn follow(
        &self,
        ctx: &Ctx,
        shown: &str,
        run: &str,
        deadline: Instant,
    ) -> Result<Ended> {
        let messages = Mutex::new(Messages::default());
        let what = format!("backfill of {shown}");
        let limit = deadline.saturating_duration_since(Instant::now());
        let reading = format!("could not read the run {run}");
        let ended = self.google.wait(ctx, &what, limit, || async {
            let request = || self.client.get_transfer_run().set_name(run).send();
            let now = self.google.ask(ctx, API, &reading, request).await?;
            let ended = match now.state {
                TransferState::Succeeded => Ended::Succeeded,
                TransferState::Failed => Ended::Failed(said(&now, "failed")),
                TransferState::Cancelled => Ended::Failed(said(&now, "was cancelled")),
                _ => {
                    self.tell(ctx, shown, run, &messages).await;
                    return Ok(Seen::NotYet(String::new()));
                }
            };
            Ok(Seen::Done(ended))
        });
        let ended = ended.await.map_err(|e| match e.kind() {
            ErrorKind::Deadline | ErrorKind::Interrupted => {
                e.hint("the run goes on in BigQuery: the API has no way to end it")
            }
            _ => e,
        })?;
        self.tell(ctx, shown, run, &messages).await;
        Ok(match ended {
            Ended::Succeeded => Ended::Succeeded,
            Ended::Failed(why) => {
                let said = messages.into_inner().last.join("\n");
                Ended::Failed(if said.is_empty() {
                    why
                } else {
                    format!("{why}; its messages:\n{said}")
                })
            }
        })
    }

    /// Passes new messages of a run on. They are a help, so none is no failure.
    async fn tell(&self, ctx: &Ctx, shown: &str, run: &str, messages: &Mutex<Messages>) {
        let mut page = String::new();
        for _ in 0..PAGES {
            let request = || {
                let request = self.client.list_transfer_logs().set_parent(run);
                request.set_page_size(PAGE).set_page_token(&page).send()
            };
            let listed = match self.google.asked_now(request).await {
                Ok(listed) => listed,
                Err(e) => {
                    let error = self.google.refusal(API, "reading its messages", &e);
                    tracing::debug!(run, error = error.chain(), "no messages");
                    return;
                }
            };
            let mut messages = messages.lock().await;
            for message in listed.transfer_messages {
                let time = message.message_time.map(|t| (t.seconds(), t.nanos()));
                let text = clean(&message.message_text);
                messages.take(ctx, shown, time, &message.severity, text);
            }
            page = listed.next_page_token;
            if page.is_empty() {
                return;
            }
        }
    }
}

/// What a run says of how it ended.
fn said(run: &TransferRun, how: &str) -> String {
    match &run.error_status {
        Some(status) if !status.message.is_empty() => {
            format!("{how}: {}", clean(&status.message))
        }
        _ => how.to_owned(),
    }
}

/// The messages of a run.
#[derive(Default)]
struct Messages {
    seen: HashSet<(Option<(i64, i32)>, String)>,
    last: Vec<String>,
}

impl Messages {
    fn take(
        &mut self,
        ctx: &Ctx,
        shown: &str,
        time: Option<(i64, i32)>,
        severity: &MessageSeverity,
        text: String,
    ) {
        if !self.seen.insert((time, text.clone())) {
            return;
        }
        for line in text.lines() {
            ctx.events.send(EventKind::Output {
                program: shown.to_owned(),
                line: line.to_owned(),
            });
        }
        if matches!(severity, MessageSeverity::Warning | MessageSeverity::Error) {
            self.last.push(text);
            let more = self.last.len().saturating_sub(KEPT_MESSAGES);
            self.last.drain(..more);
        }
    }
}
