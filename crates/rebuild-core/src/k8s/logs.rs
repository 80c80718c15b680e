//! What pods print, line by line, as it is printed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{AsyncBufRead, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt};
use tokio::task::JoinSet;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::Cluster;
use super::pods::{containers, phase};
use crate::command::Redaction;
use crate::event::{EventKind, Events};

/// The longest line that is passed on, in bytes.
const LONGEST_LINE: usize = 8 * 1024;

/// How many of the last lines are kept for an error.
const KEPT_LINES: usize = 20;

/// How long after a broken log one asks for the rest.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long the last lines may take after the end.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Follows the logs of every container of some pods, also of those that come later.
pub(super) struct Logs {
    pods: Api<Pod>,
    events: Events,
    redaction: Redaction,
    /// Pods and containers that are followed, by the pod's uid.
    followed: Vec<(String, String)>,
    followers: JoinSet<()>,
    last: Last,
}

/// The last lines, over all containers.
#[derive(Clone, Default)]
pub(super) struct Last(Arc<Mutex<VecDeque<String>>>);

impl Last {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().expect("no one panics with it");
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines, joined.
    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().expect("no one panics with it");
        lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Logs {
    pub(super) fn new(cluster: &Cluster, events: &Events, redaction: Redaction) -> Self {
        Self {
            pods: cluster.api(),
            events: events.clone(),
            redaction,
            followed: Vec::new(),
            followers: JoinSet::new(),
            last: Last::default(),
        }
    }

    /// Follows what of these pods has begun and is not followed yet.
    pub(super) fn follow(&mut self, pods: &[Pod]) {
        for pod in pods.iter().filter(|pod| phase(pod) != "Unknown") {
            let uid = pod.uid().unwrap_or_default();
            for container in containers(pod) {
                let state = container.state.as_ref();
                let begun = state.is_some_and(|s| s.running.is_some() || s.terminated.is_some());
                let key = (uid.clone(), container.name.clone());
                if begun && !self.followed.contains(&key) {
                    self.followers.spawn(
                        Follower {
                            pods: self.pods.clone(),
                            pod: pod.name_any(),
                            container: container.name.clone(),
                            events: self.events.clone(),
                            redaction: self.redaction.clone(),
                            last: self.last.clone(),
                            seen: None,
                        }
                        .run(),
                    );
                    self.followed.push(key);
                }
            }
        }
    }

    /// Waits for the last lines of what has ended.
    pub(super) async fn drain(mut self) -> Last {
        let all = async { while self.followers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_WITHIN, all).await.is_err() {
            tracing::debug!("a log did not end with its pod");
        }
        self.last
    }
}

struct Follower {
    pods: Api<Pod>,
    pod: String,
    container: String,
    events: Events,
    redaction: Redaction,
    last: Last,
    /// The time of the newest line that was passed on; a log that broke goes on from there.
    seen: Option<Timestamp>,
}

impl Follower {
    /// Reads until the container has ended and its log is read, or the pod is gone.
    async fn run(mut self) {
        loop {
            let ended = self.has_ended().await;
            let params = LogParams {
                container: Some(self.container.clone()),
                follow: true,
                timestamps: true,
                since_time: self.seen,
                ..LogParams::default()
            };
            let read = match self.pods.log_stream(&self.pod, &params).await {
                Ok(log) => self.read(log).await,
                Err(e) => {
                    tracing::debug!(pod = self.pod, error = %e, "could not read a log");
                    false
                }
            };
            // Only a log that was read to its end after the container's end is complete.
            match ended {
                Some(true) if read => return,
                None => return,
                Some(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Whether the container has ended; nothing if the pod is gone.
    async fn has_ended(&self) -> Option<bool> {
        match self.pods.get_opt(&self.pod).await {
            Ok(None) => None,
            Ok(Some(pod)) => Some(
                containers(&pod)
                    .filter(|c| c.name == self.container)
                    .any(|c| c.state.as_ref().is_some_and(|s| s.terminated.is_some())),
            ),
            Err(_) => Some(false),
        }
    }

    /// Passes lines on until the log ends; true if it ended well.
    async fn read(&mut self, log: impl AsyncBufRead) -> bool {
        let log = std::pin::pin!(log);
        let codec = LinesCodec::new_with_max_length(LONGEST_LINE + 64);
        let mut lines = FramedRead::new(log.compat(), codec);
        // After a line that is too long the reader ends once, and then goes on behind it.
        let mut cut = false;
        loop {
            match lines.next().await {
                Some(Ok(line)) => self.take(&line),
                Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                    self.show("(a line of more than 8 KiB)");
                    cut = true;
                }
                Some(Err(LinesCodecError::Io(_))) => return false,
                None if cut => cut = false,
                None => return true,
            }
        }
    }

    /// Takes a line that begins with its time.
    fn take(&mut self, line: &str) {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        match time.parse::<Timestamp>() {
            Ok(time) if self.seen.is_some_and(|seen| time <= seen) => {}
            Ok(time) => {
                self.seen = Some(time);
                self.show(text);
            }
            Err(_) => self.show(line),
        }
    }

    fn show(&self, text: &str) {
        let line = self.redaction.line(text);
        self.last.push(format!("{}: {line}", self.pod));
        self.events.send(EventKind::Output {
            program: self.pod.clone(),
            line,
        });
    }
}
