//! Cloud Storage's JSON API: buckets, who may do what in them, and objects.
//! <https://cloud.google.com/storage/docs/json_api>

mod buckets;
mod iam;
mod objects;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::call::{Call, Media};
use crate::clock;
use crate::error::ApiError;
use crate::state::{State, lock};

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Storage(Mutex<BTreeMap<String, Stored>>);

/// A bucket as it is kept.
#[derive(Debug)]
struct Stored {
    project: String,
    location: String,
    class: String,
    created: Timestamp,
    /// The bindings of its policy.
    bindings: Vec<Value>,
    /// How often the policy was written: its etag.
    writes: u64,
    /// Nobody may do anything with it.
    denied: bool,
    objects: BTreeMap<String, StoredObject>,
}

/// An object as it is kept.
#[derive(Debug, Clone)]
struct StoredObject {
    content: Media,
    generation: i64,
    created: Timestamp,
    metadata: Value,
}

pub(crate) fn register(state: &Arc<State>) -> Arc<Storage> {
    let storage = Arc::new(Storage::default());
    buckets::register(state, &storage);
    iam::register(state, &storage);
    objects::register(state, &storage);
    storage
}

impl Storage {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        lock(&self.0)
    }

    /// Does something with the bucket that a call names, if the caller may.
    fn with<T>(
        &self,
        call: &Call,
        act: impl FnOnce(&str, &mut Stored) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let name = call.param("bucket");
        let mut buckets = self.all();
        let bucket = buckets.get_mut(name);
        let bucket = bucket.ok_or_else(|| not_found("The specified bucket does not exist."))?;
        if bucket.denied {
            let said = format!(
                "{} does not have {} access to the Google Cloud Storage bucket. Permission \
                 '{}' denied on resource (or it may not exist).",
                call.principal, call.method, call.method
            );
            return Err(ApiError::new(403, said));
        }
        act(name, bucket)
    }
}

/// What other services do with objects, and tests.
impl Storage {
    pub(crate) fn create(&self, name: &str, project: &str) {
        self.all()
            .insert(name.to_owned(), Stored::new(project, "EU", "STANDARD"));
    }

    /// True if an account may do something in a bucket; none may in one that is not there.
    pub(crate) fn allows(&self, bucket: &str, account: &str, permission: &str) -> bool {
        let buckets = self.all();
        let bucket = buckets.get(bucket).filter(|bucket| !bucket.denied);
        bucket.is_some_and(|bucket| iam::allows(&bucket.bindings, account, permission))
    }

    /// Writes an object, if there is the bucket.
    pub(crate) fn put(&self, bucket: &str, object: &str, content: Media) -> Option<()> {
        let mut buckets = self.all();
        buckets.get_mut(bucket)?.put(object, content, Value::Null);
        Some(())
    }

    pub(crate) fn get(&self, bucket: &str, object: &str) -> Option<Bytes> {
        let buckets = self.all();
        let object = buckets.get(bucket)?.objects.get(object)?;
        Some(object.content.bytes.clone())
    }

    pub(crate) fn names(&self, bucket: &str) -> Vec<String> {
        let buckets = self.all();
        let bucket = buckets.get(bucket);
        bucket.map_or_else(Vec::new, |it| it.objects.keys().cloned().collect())
    }

    pub(crate) fn remove(&self, bucket: &str, object: &str) {
        if let Some(bucket) = self.all().get_mut(bucket) {
            bucket.objects.remove(object);
        }
    }

    pub(crate) fn grant(&self, bucket: &str, member: &str, role: &str) {
        if let Some(bucket) = self.all().get_mut(bucket) {
            iam::grant(&mut bucket.bindings, member, role);
            bucket.writes += 1;
        }
    }

    pub(crate) fn set_denied(&self, bucket: &str, denied: bool) {
        if let Some(bucket) = self.all().get_mut(bucket) {
            bucket.denied = denied;
        }
    }
}

impl Stored {
    fn new(project: &str, location: &str, class: &str) -> Self {
        Self {
            project: project.to_owned(),
            location: location.to_owned(),
            class: class.to_owned(),
            created: Timestamp::now(),
            bindings: Vec::new(),
            writes: 1,
            denied: false,
            objects: BTreeMap::new(),
        }
    }

    fn put(&mut self, name: &str, content: Media, metadata: Value) -> &StoredObject {
        let before = self.objects.get(name).map_or(0, |object| object.generation);
        let object = StoredObject {
            content,
            // Never the same twice for one name, as with Google.
            generation: clock::micros().max(before + 1),
            created: Timestamp::now(),
            metadata,
        };
        match self.objects.entry(name.to_owned()) {
            Entry::Vacant(place) => place.insert(object),
            Entry::Occupied(mut place) => {
                place.insert(object);
                place.into_mut()
            }
        }
    }
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(404, message)
}
