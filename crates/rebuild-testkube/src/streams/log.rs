//! Logs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use super::{container, find, of_container};
use crate::node::{Log, LogLine};
use crate::server::{Body, Line, Query, Target};
use crate::state::State;
use crate::status::{ApiError, Result};

/// A log as it is read: what of it, and how far.
struct Reading {
    state: Arc<State>,
    log: Arc<Log>,
    changed: watch::Receiver<(usize, bool)>,
    next: usize,
    ready: VecDeque<LogLine>,
    follow: bool,
    timestamps: bool,
    /// How many more bytes are wanted.
    left: usize,
}

/// Answers with the log of a container.
pub(crate) fn log(
    state: &Arc<State>,
    line: &Arc<Line>,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>> {
    let (object, pod) = find(state, target)?;
    let name = container(&object, query)?;
    let previous = query.flag("previous");
    let run = pod.and_then(|pod| {
        of_container(&pod, &name, |run| {
            let log = if previous {
                run.previous.clone()
            } else {
                Some(run.log.clone())
            };
            (log, run.program.is_some(), run.state.clone())
        })
    });
    let (log, started, run_state) = run.unwrap_or((None, false, Value::Null));
    let pod_name = target.name.as_deref().unwrap_or_default();
    if !started {
        let reason = run_state["waiting"]["reason"]
            .as_str()
            .unwrap_or("ContainerCreating");
        let message =
            format!("container \"{name}\" in pod \"{pod_name}\" is waiting to start: {reason}");
        return Err(ApiError::bad_request(message));
    }
    let log = log.ok_or_else(|| {
        ApiError::bad_request(format!(
            "previous terminated container \"{name}\" in pod \"{pod_name}\" not found"
        ))
    })?;
    let reading = Reading::new(state, log, query)?;
    line.set_streaming();
    let frames = stream::unfold(reading, |mut reading| async move {
        let bytes = reading.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(bytes)), reading))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Ok(response)
}

impl Reading {
    fn new(state: &Arc<State>, log: Arc<Log>, query: &Query) -> Result<Self> {
        let changed = log.subscribe();
        let (lines, _) = log.from(0);
        let since = since(query)?;
        let mut ready: VecDeque<LogLine> = lines
            .iter()
            .filter(|line| line.time >= since)
            .cloned()
            .collect();
        let number = |name| query.number(name).and_then(|it| usize::try_from(it).ok());
        if let Some(tail) = number("tailLines") {
            ready.drain(..ready.len().saturating_sub(tail));
        }
        Ok(Self {
            state: state.clone(),
            changed,
            next: lines.len(),
            log,
            ready,
            follow: query.flag("follow"),
            timestamps: query.flag("timestamps"),
            left: number("limitBytes").unwrap_or(usize::MAX),
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.left == 0 {
                return None;
            }
            if let Some(line) = self.ready.pop_front() {
                return Some(self.shown(line));
            }
            if !self.follow {
                return None;
            }
            self.changed.borrow_and_update();
            let (lines, open) = self.log.from(self.next);
            self.next += lines.len();
            if !lines.is_empty() {
                self.ready.extend(lines);
            } else if !open {
                return None;
            } else {
                tokio::select! {
                    changed = self.changed.changed() => changed.ok()?,
                    () = self.state.stop.cancelled() => return None,
                }
            }
        }
    }

    fn shown(&mut self, line: LogLine) -> Bytes {
        let mut bytes = Vec::new();
        if self.timestamps {
            bytes.extend(format!("{:.9} ", line.time).bytes());
        }
        bytes.extend(line.bytes);
        bytes.truncate(self.left);
        self.left -= bytes.len();
        bytes.into()
    }
}

fn since(query: &Query) -> Result<Timestamp> {
    if let Some(seconds) = query.number("sinceSeconds") {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
        let since = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds));
        return Ok(since.unwrap_or(Timestamp::MIN));
    }
    match query.get("sinceTime") {
        "" => Ok(Timestamp::MIN),
        time => time
            .parse()
            .map_err(|_| ApiError::bad_request(format!("invalid sinceTime: {time}"))),
    }
}
