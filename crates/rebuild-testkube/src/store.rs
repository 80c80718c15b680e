//! The objects, their versions, and what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::object;
use crate::resources::Resource;

/// How many changes a watch can look back on.
const HISTORY: usize = 20_000;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: &'static Resource,
    /// Empty for objects of the cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        let namespace = if resource.namespaced { namespace } else { "" };
        Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of an object of this kind.
    pub(crate) fn of(resource: &'static Resource, object: &Value) -> Self {
        Self::new(resource, object::namespace(object), object::name(object))
    }
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    /// The object after it; a deleted one as it was last, with the version of its deletion.
    pub(crate) after: Arc<Value>,
    pub(crate) deleted: bool,
}

pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    history: VecDeque<Change>,
    /// The newest version that watches can no longer start at.
    forgotten: u64,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            version: 1,
            history: VecDeque::new(),
            forgotten: 0,
            changed: watch::Sender::new(1),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Told the newest version after every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of one kind, of one namespace or of all, by namespace and name.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &'static Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(resource, namespace.unwrap_or_default(), "");
        self.objects.range(first..).take_while(move |(key, _)| {
            key.resource == resource
                && (!resource.namespaced || namespace.is_none_or(|name| key.namespace == name))
        })
    }

    /// The objects of one kind, so that they can be changed while one goes through them.
    pub(crate) fn snapshot(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
    ) -> Vec<Arc<Value>> {
        let all = self.list(resource, namespace);
        all.map(|(_, object)| object.clone()).collect()
    }

    /// Every object.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<Value>)> {
        let all = self.objects.iter();
        all.map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Writes an object and gives it its version. Nothing happens where nothing would change.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let before = self.objects.get(&key).cloned();
        if let Some(before) = &before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if **before == object {
                return before.clone();
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let after = Arc::new(object);
        self.objects.insert(key.clone(), after.clone());
        self.record(key, before, after.clone(), false);
        after
    }

    /// Takes an object away, and gives it as it was, with the version of its deletion.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let last = Arc::new(last);
        self.record(key.clone(), Some(before), last.clone(), true);
        Some(last)
    }

    fn record(&mut self, key: Key, before: Option<Arc<Value>>, after: Arc<Value>, deleted: bool) {
        self.history.push_back(Change {
            version: self.version,
            key,
            before,
            after,
            deleted,
        });
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.changed.send_replace(self.version);
    }

    /// What happened after a version to objects of one kind.
    pub(crate) fn changes_after(&self, version: u64, resource: &Resource) -> Vec<Change> {
        let start = self.history.partition_point(|it| it.version <= version);
        self.history
            .range(start..)
            .filter(|change| change.key.resource == resource)
            .cloned()
            .collect()
    }

    /// Forgets what happened: watches and lists that start at what was before are expired.
    pub(crate) fn forget(&mut self) {
        // A version that nobody holds, so that each one given out so far is too old.
        self.version += 1;
        self.history.clear();
        self.forgotten = self.version - 1;
        self.changed.send_replace(self.version);
    }
}
