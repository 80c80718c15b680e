//! Watches.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::{Body, Query, Target, reads};
use crate::selector::Selector;
use crate::state::State;
use crate::status::{ApiError, Result};
use crate::store::Change;

/// A watch that goes on so long where the client names no time.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Real servers send bookmarks each minute; tests would wait for long.
const BOOKMARK: Duration = Duration::from_secs(1);

struct Watch {
    state: Arc<State>,
    target: Target,
    selector: Selector,
    /// Everything up to this version is told.
    told: u64,
    ready: VecDeque<Bytes>,
    changed: Receiver<u64>,
    bookmarks: bool,
    bookmarked: u64,
    ends: Instant,
    ended: bool,
}

/// A stream of what happens from a version on.
pub(super) fn watch(
    state: &Arc<State>,
    target: &Target,
    query: &Query,
    expired: bool,
) -> Result<Response<Body>> {
    let selector = reads::selector(target, query)?;
    let timeout = query.number("timeoutSeconds").map(Duration::from_secs);
    let store = state.store();
    let mut watch = Watch {
        state: state.clone(),
        target: target.clone(),
        selector,
        told: store.version(),
        ready: VecDeque::new(),
        changed: store.subscribe(),
        bookmarks: query.flag("allowWatchBookmarks"),
        bookmarked: 0,
        ends: Instant::now() + timeout.unwrap_or(LONGEST),
        ended: false,
    };
    let from = query.number("resourceVersion").unwrap_or(0);
    if expired || (from != 0 && from <= store.forgotten()) {
        let message = format!("too old resource version: {from} ({})", store.version());
        watch.push("ERROR", &ApiError::expired(message).to_value());
        watch.ended = true;
    } else if from == 0 || query.flag("sendInitialEvents") {
        for (_, object) in store.list(target.resource, target.namespace.as_deref()) {
            if watch.selector.matches(object) {
                watch.push("ADDED", object);
            }
        }
        if query.flag("sendInitialEvents") {
            watch.bookmark(true);
        }
    } else {
        watch.told = from;
    }
    drop(store);
    let frames = stream::unfold(watch, |mut watch| async move {
        let bytes = watch.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(bytes)), watch))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.ended || self.state.stop.is_cancelled() {
                return None;
            }
            self.changed.borrow_and_update();
            self.gather();
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.changed.changed() => self.ended = changed.is_err(),
                () = tokio::time::sleep_until(self.ends) => self.ended = true,
                () = tokio::time::sleep(BOOKMARK), if self.wants_bookmark() => {
                    self.bookmark(false);
                }
                () = self.state.stop.cancelled() => self.ended = true,
            }
        }
    }

    fn wants_bookmark(&self) -> bool {
        self.bookmarks && self.bookmarked < self.told
    }

    /// Takes over what has happened since the last time.
    fn gather(&mut self) {
        let state = self.state.clone();
        let store = state.store();
        if self.told < store.forgotten() {
            let message = format!(
                "too old resource version: {} ({})",
                self.told,
                store.version()
            );
            self.push("ERROR", &ApiError::expired(message).to_value());
            self.ended = true;
            return;
        }
        for change in store.changes_after(self.told, self.target.resource) {
            if self
                .target
                .namespace
                .as_ref()
                .is_none_or(|it| *it == change.key.namespace)
            {
                self.tell(&change);
            }
        }
        self.told = store.version();
    }

    /// An object that comes to match is new to this watch, and one that no longer does is gone.
    fn tell(&mut self, change: &Change) {
        let before = change.before.as_ref();
        let was = before.is_some_and(|before| self.selector.matches(before));
        let is = !change.deleted && self.selector.matches(&change.after);
        match (was, is) {
            (false, true) => self.push("ADDED", &change.after),
            (true, true) => self.push("MODIFIED", &change.after),
            (true, false) => self.push("DELETED", &change.after),
            (false, false) => {}
        }
    }

    fn bookmark(&mut self, end_of_list: bool) {
        let mut object = json!({
            "kind": self.target.resource.kind,
            "apiVersion": self.target.resource.api_version(),
            "metadata": {"resourceVersion": self.told.to_string(), "creationTimestamp": null},
        });
        if end_of_list {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.bookmarked = self.told;
        self.push("BOOKMARK", &object);
    }

    fn push(&mut self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.ready.push_back(Bytes::from(line));
    }
}
