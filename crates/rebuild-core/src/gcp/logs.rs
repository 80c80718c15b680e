//! What an execution writes to Cloud Logging, line by line, as it comes in.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use google_cloud_logging_v2::client::LoggingServiceV2;
use google_cloud_logging_v2::model::log_entry::Payload;
use google_cloud_logging_v2::model::{ListLogEntriesResponse, LogEntry};
use jiff::Timestamp;
use tokio::time::Instant;

use super::cloud_run::short;
use crate::command::Redaction;
use crate::error::{ErrorKind, Result};
use crate::event::{Ctx, EventKind};
use crate::google::{Google, GoogleApi, no_client};

/// How often one reads. The API allows sixty reads in a minute to a whole project
/// (<https://cloud.google.com/logging/quotas#api-limits>).
const READ_EVERY: Duration = Duration::from_secs(3);

/// Entries may come in with times that are older than others' that were read already.
const LATE_BY: Duration = Duration::from_secs(15);

/// How many entries one answer holds, and how many answers one read takes.
const PAGE: i32 = 1000;
const PAGES: usize = 5;

/// How long after the end of an execution the last lines take at least, and at most.
const SETTLES_IN: Duration = Duration::from_secs(2);
const DRAIN_WITHIN: Duration = Duration::from_secs(15);

/// How many of the last lines are kept for an error.
const KEPT_LINES: usize = 20;

/// Follows the log of one execution. It is a help: where it cannot be read, that is said, and nothing
/// fails.
pub(super) struct Logs {
    google: Google,
    client: LoggingServiceV2,
    redaction: Redaction,
    filter: String,
    /// The time of the newest entry.
    newest: Option<Timestamp>,
    /// The entries that may be read again, with their times.
    seen: HashMap<(String, String), Timestamp>,
    /// True if there was more than one read takes.
    behind: bool,
    read_at: Option<Instant>,
    /// True if it may not be read at all.
    closed: bool,
    last: VecDeque<String>,
}

impl Logs {
    /// The log of `execution`, of which nothing is read yet.
    ///
    /// # Errors
    /// There is no client.
    pub(super) async fn open(
        google: &Google,
        region: &str,
        job: &str,
        execution: &str,
        redaction: Redaction,
    ) -> Result<Self> {
        let api = GoogleApi::Logging;
        let builder = google.configure(api, LoggingServiceV2::builder());
        let client = builder.build().await.map_err(|e| no_client(api, &e))?;
        // https://cloud.google.com/run/docs/logging#view-job-logs
        let filter = format!(
            "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"{job}\" AND \
             resource.labels.location=\"{region}\" AND \
             labels.\"run.googleapis.com/execution_name\"=\"{}\"",
            short(execution)
        );
        Ok(Self {
            google: google.clone(),
            client,
            redaction,
            filter,
            newest: None,
            seen: HashMap::new(),
            behind: false,
            read_at: None,
            closed: false,
            last: VecDeque::new(),
        })
    }

    /// Passes on what is new, if it is time to look.
    pub(super) async fn follow(&mut self, ctx: &Ctx) {
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
            self.read(ctx).await;
        }
    }

    /// Passes on the last lines of what has ended, and gives them.
    pub(super) async fn drain(mut self, ctx: &Ctx) -> String {
        let ended = Instant::now();
        while !self.closed && ended.elapsed() < DRAIN_WITHIN {
            let new = self.read(ctx).await;
            if !self.behind && new == 0 && ended.elapsed() >= SETTLES_IN {
                break;
            }
            if !self.behind {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Vec::from(self.last).join("\n")
    }

    /// The last lines so far, of what goes on.
    pub(super) async fn tail(mut self, ctx: &Ctx) -> String {
        self.read(ctx).await;
        Vec::from(self.last).join("\n")
    }

    /// Reads on, and says how many entries were new.
    async fn read(&mut self, ctx: &Ctx) -> usize {
        if self.closed {
            return 0;
        }
        self.read_at = Some(Instant::now());
        let filter = self.unread();
        let (mut page, mut new) = (String::new(), 0);
        self.behind = false;
        for left in (0..PAGES).rev() {
            let Some(answer) = self.page(ctx, &filter, &page).await else {
                return new;
            };
            new += answer.entries.iter().filter(|e| self.take(ctx, e)).count();
            page = answer.next_page_token;
            if page.is_empty() {
                break;
            }
            self.behind = left == 0;
        }
        self.forget();
        new
    }

    /// The filter for what may be new.
    fn unread(&self) -> String {
        let Some(newest) = self.newest else {
            return self.filter.clone();
        };
        // Where there is too much to read it all again, what comes late is left out.
        let late = if self.behind { Duration::ZERO } else { LATE_BY };
        let from = newest.checked_sub(late).unwrap_or(newest);
        format!("{} AND timestamp>=\"{from}\"", self.filter)
    }

    async fn page(
        &mut self,
        ctx: &Ctx,
        filter: &str,
        page: &str,
    ) -> Option<ListLogEntriesResponse> {
        let request = || {
            let project = format!("projects/{}", self.google.project());
            let request = self.client.list_log_entries().set_resource_names([project]);
            let request = request.set_filter(filter).set_order_by("timestamp asc");
            request.set_page_size(PAGE).set_page_token(page).send()
        };
        match self.google.asked_now(request).await {
            Ok(answer) => Some(answer),
            Err(e) => {
                let what = "the log of the execution cannot be read";
                let error = self.google.refusal(GoogleApi::Logging, what, &e);
                if error.kind() == ErrorKind::Server {
                    let advice = error.advice().map(|hint| format!(" ({hint})"));
                    let advice = advice.unwrap_or_default();
                    ctx.events.warn(format!("{}{advice}", error.chain()));
                    self.closed = true;
                } else {
                    tracing::debug!(error = error.chain(), "reading the log again");
                }
                None
            }
        }
    }

    /// Passes an entry on; false if that was done already.
    fn take(&mut self, ctx: &Ctx, entry: &LogEntry) -> bool {
        let time = entry.timestamp.as_ref().and_then(time);
        let time = time.or(self.newest).unwrap_or(Timestamp::UNIX_EPOCH);
        let key = (entry.log_name.clone(), entry.insert_id.clone());
        if self.seen.insert(key, time).is_some() {
            return false;
        }
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        let label = |name: &str| entry.labels.get(&format!("run.googleapis.com/{name}"));
        let task = label("task_index").map_or(String::new(), |n| format!("/{n}"));
        let execution = label("execution_name").map_or("", String::as_str);
        for line in text(entry).lines() {
            let line = self.redaction.line(line);
            let program = format!("{execution}{task}");
            if self.last.len() == KEPT_LINES {
                self.last.pop_front();
            }
            self.last.push_back(format!("{program}: {line}"));
            ctx.events.send(EventKind::Output { program, line });
        }
        true
    }

    /// Forgets entries that are not read again.
    fn forget(&mut self) {
        let oldest = self.newest.and_then(|n| n.checked_sub(2 * LATE_BY).ok());
        if let Some(oldest) = oldest {
            self.seen.retain(|_, time| *time >= oldest);
        }
    }
}

/// An entry's time.
fn time(time: &google_cloud_wkt::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds(), time.nanos()).ok()
}

/// What an entry says: text, or the message of an object. What Google itself writes about the execution
/// is in its conditions, too.
fn text(entry: &LogEntry) -> String {
    match &entry.payload {
        Some(Payload::TextPayload(text)) => text.clone(),
        Some(Payload::JsonPayload(object)) => {
            match object.get("message").and_then(|m| m.as_str()) {
                Some(message) => message.to_owned(),
                None => serde_json::Value::Object((**object).clone()).to_string(),
            }
        }
        _ => String::new(),
    }
}
