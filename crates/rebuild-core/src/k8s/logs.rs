//! What pods print, line by line, as it is printed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use futures::{AsyncBufRead, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt};
use tokio::task::JoinSet;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::Cluster;
use super::pods::{containers, phase};
use crate::command::Redaction;
use crate::event::{EventKind, Events};

/// The longest line that is passed on, in bytes, with its time.
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
    /// What is followed: the pod's uid, the container, and how often that was started again.
    followed: Vec<(String, String, i32)>,
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
            for container in containers(pod) {
                let state = container.state.as_ref();
                let begun = state.is_some_and(|s| s.running.is_some() || s.terminated.is_some());
                let times = container.restart_count;
                // One that ends at once may be started again before anybody has seen it.
                if times > 0 {
                    self.follow_one(pod, &container.name, times - 1);
                }
                if begun {
                    self.follow_one(pod, &container.name, times);
                }
            }
        }
    }

    fn follow_one(&mut self, pod: &Pod, container: &str, times: i32) {
        let key = (pod.uid().unwrap_or_default(), container.to_owned(), times);
        if self.followed.contains(&key) {
            return;
        }
        let follower = Follower {
            pods: self.pods.clone(),
            pod: pod.name_any(),
            container: container.to_owned(),
            times,
            events: self.events.clone(),
            redaction: self.redaction.clone(),
            last: self.last.clone(),
            seen: Seen::default(),
        };
        self.followers.spawn(follower.run());
        self.followed.push(key);
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

/// How a container is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    Runs,
    Ended,
    /// It was started again, and what is followed is the log of the time before.
    Replaced,
    Gone,
}

struct Follower {
    pods: Api<Pod>,
    pod: String,
    container: String,
    /// How often it was started again before: each time it has another log.
    times: i32,
    events: Events,
    redaction: Redaction,
    last: Last,
    seen: Seen,
}

/// How far a log was passed on; one that broke goes on from there. Lines may share a time.
#[derive(Default)]
struct Seen {
    /// The time of the newest line, and how many lines of that time there were.
    newest: Option<(Timestamp, usize)>,
    /// How many lines of that time were read again so far.
    again: usize,
}

impl Seen {
    /// Where to read on from. The client gives the API server whole seconds, rounded to the nearest
    /// one; rounded up, lines would be left out.
    fn from(&self) -> Option<Timestamp> {
        let (newest, _) = self.newest?;
        Timestamp::from_second(newest.as_second()).ok()
    }

    /// True if a line of that time is a new one.
    fn is_new(&mut self, time: Timestamp) -> bool {
        match &mut self.newest {
            Some((newest, _)) if time < *newest => false,
            Some((newest, count)) if time == *newest => {
                if self.again < *count {
                    self.again += 1;
                    return false;
                }
                *count += 1;
                self.again += 1;
                true
            }
            newest => {
                *newest = Some((time, 1));
                self.again = 1;
                true
            }
        }
    }
}

impl Follower {
    /// Reads until the container has ended and its log is read, or the pod is gone.
    async fn run(mut self) {
        loop {
            let now = self.look().await;
            if now == Now::Gone {
                return;
            }
            self.seen.again = 0;
            let params = LogParams {
                container: Some(self.container.clone()),
                follow: now == Now::Runs,
                previous: now == Now::Replaced,
                timestamps: true,
                since_time: self.seen.from(),
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
            if read && now != Now::Runs {
                return;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// How its container is.
    async fn look(&self) -> Now {
        let pod = match self.pods.get_opt(&self.pod).await {
            Ok(Some(pod)) => pod,
            Ok(None) => return Now::Gone,
            // It can be asked again.
            Err(_) => return Now::Runs,
        };
        let Some(container) = containers(&pod).find(|c| c.name == self.container) else {
            return Now::Gone;
        };
        let ended = container
            .state
            .as_ref()
            .is_some_and(|s| s.terminated.is_some());
        match container.restart_count - self.times {
            0 if ended => Now::Ended,
            0 => Now::Runs,
            1 => Now::Replaced,
            // The log of one before the last is kept nowhere.
            _ => Now::Gone,
        }
    }

    /// Passes lines on until the log ends; true if it ended well.
    async fn read(&mut self, log: impl AsyncBufRead) -> bool {
        let log = std::pin::pin!(log);
        let mut lines = FramedRead::new(log.compat(), Lines::default());
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => self.take(&line),
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes a line that begins with its time.
    fn take(&mut self, line: &str) {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        match time.parse::<Timestamp>() {
            Ok(time) if self.seen.is_new(time) => self.show(text),
            Ok(_) => {}
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

/// Cuts a log into lines. Of a line that is too long the beginning is kept.
#[derive(Default)]
struct Lines {
    long: Option<Vec<u8>>,
}

impl Decoder for Lines {
    type Item = String;
    type Error = std::io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> std::io::Result<Option<String>> {
        let end = read.iter().position(|byte| *byte == b'\n');
        if end.is_none() && read.len() > LONGEST_LINE {
            let begun = read[..LONGEST_LINE].to_vec();
            self.long.get_or_insert(begun);
            read.clear();
        }
        let Some(end) = end else { return Ok(None) };
        let line = read.split_to(end + 1);
        let text = match self.long.take() {
            Some(long) => String::from_utf8_lossy(&long).into_owned() + " ... (cut)",
            None => String::from_utf8_lossy(&line[..end]).into_owned(),
        };
        Ok(Some(text))
    }

    fn decode_eof(&mut self, read: &mut BytesMut) -> std::io::Result<Option<String>> {
        if !read.is_empty() || self.long.is_some() {
            read.extend_from_slice(b"\n");
        }
        self.decode(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_read_again_are_known_also_where_they_share_a_time() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut seen = Seen::default();
        let mut read = |seconds: &[i64]| -> Vec<bool> {
            seen.again = 0;
            seconds.iter().map(|s| seen.is_new(at(*s))).collect()
        };
        assert_eq!(read(&[1, 2, 2]), [true, true, true]);
        assert_eq!(read(&[1, 2, 2, 2, 3]), [false, false, false, true, true]);
        assert_eq!(
            read(&[2, 2, 2, 3, 3, 4]),
            [false, false, false, false, true, true]
        );
        assert_eq!(read(&[4, 4]), [false, true]);
    }

    #[test]
    fn a_log_is_cut_into_lines_whatever_pieces_it_comes_in() {
        let long = "x".repeat(3 * LONGEST_LINE);
        let log = format!("one\n\ntwo\n{long}\nthree");
        for size in [1, 5, LONGEST_LINE, log.len()] {
            let (mut lines, mut read, mut found) = (Lines::default(), BytesMut::new(), Vec::new());
            for piece in log.as_bytes().chunks(size) {
                read.extend_from_slice(piece);
                while let Some(line) = lines.decode(&mut read).expect("a line") {
                    found.push(line);
                }
                assert!(read.len() <= LONGEST_LINE);
            }
            found.extend(lines.decode_eof(&mut read).expect("a line"));
            assert!(found[3].starts_with("xxx") && found[3].len() < log.len());
            found.remove(3);
            assert_eq!(found, ["one", "", "two", "three"]);
        }
    }
}
