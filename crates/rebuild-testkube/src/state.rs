//! What the parts of a cluster share.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::fault::Faults;
use crate::node::Node;
use crate::resources::{self, Resource};
use crate::server::Line;
use crate::store::Store;

/// A request as the server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it was sent, without `?`.
    pub query: String,
    /// What the client says that it is.
    pub user_agent: String,
}

pub(crate) struct State {
    pub(crate) access: Access,
    pub(crate) snapshots: bool,
    pub(crate) home: TempDir,
    pub(crate) node: Node,
    pub(crate) stop: CancellationToken,
    store: Mutex<Store>,
    requests: Mutex<Vec<Request>>,
    faults: Mutex<Faults>,
    denied: Mutex<BTreeSet<(String, String)>>,
    insisted: Mutex<Vec<(String, String, Value)>>,
    lines: Mutex<Vec<Weak<Line>>>,
}

impl State {
    pub(crate) fn new(snapshots: bool) -> io::Result<Self> {
        // Programs that run as another user must reach their folders; what is secret in here has
        // permissions of its own.
        let home = tempfile::Builder::new()
            .prefix("testkube-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        Ok(Self {
            access: Access::new()?,
            snapshots,
            node: Node::new(home.path()),
            home,
            stop: CancellationToken::new(),
            store: Mutex::new(Store::new()),
            requests: Mutex::default(),
            faults: Mutex::default(),
            denied: Mutex::default(),
            insisted: Mutex::default(),
            lines: Mutex::default(),
        })
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        lock(&self.requests)
    }

    pub(crate) fn deny(&self, verb: &str, resource: &str) {
        lock(&self.denied).insert((verb.to_owned(), resource.to_owned()));
    }

    pub(crate) fn allow(&self, verb: &str, resource: &str) {
        lock(&self.denied).remove(&(verb.to_owned(), resource.to_owned()));
    }

    /// True if a verb on a resource, such as `pods` or `pods/exec`, is denied.
    pub(crate) fn is_denied(&self, verb: &str, resource: &str) -> bool {
        let denied = lock(&self.denied);
        denied.iter().any(|(no_verb, no_resource)| {
            (no_verb == verb || no_verb == "*") && (no_resource == resource || no_resource == "*")
        })
    }

    pub(crate) fn insist(&self, resource: &str, pointer: &str, value: Value) {
        lock(&self.insisted).push((resource.to_owned(), pointer.to_owned(), value));
    }

    /// Sets the fields of a patch that somebody insists on.
    pub(crate) fn insist_on(&self, resource: &Resource, patch: &mut Value) {
        for (of, pointer, value) in lock(&self.insisted).iter() {
            if let Some(field) = patch.pointer_mut(pointer).filter(|_| of == resource.plural) {
                *field = value.clone();
            }
        }
    }

    /// The kinds that this cluster serves.
    pub(crate) fn served(&self) -> impl Iterator<Item = &'static Resource> {
        let all = resources::ALL.iter().copied();
        all.filter(|it| self.snapshots || it.group != resources::SNAPSHOT)
    }

    /// Remembers a connection for as long as it lives.
    pub(crate) fn add_line(&self, line: &Arc<Line>) {
        let mut lines = lock(&self.lines);
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
    }

    /// Closes every connection that carries a stream.
    pub(crate) fn cut_streams(&self) {
        for line in lock(&self.lines).iter().filter_map(Weak::upgrade) {
            line.cut_if_streaming();
        }
    }
}

/// Locks, also after a panic in another test's thread: what is kept here has no halves.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
