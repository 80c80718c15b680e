//! A bucket as a test holds it.

use bytes::Bytes;

use crate::call::Media;
use crate::google::Google;
use crate::services::Storage;

/// A bucket of a server, past authorisation, faults and the list of requests.
#[derive(Debug)]
pub struct Bucket<'a> {
    storage: &'a Storage,
    name: String,
}

impl Google {
    /// Makes a bucket in the server's project.
    pub fn create_bucket(&self, name: &str) -> Bucket<'_> {
        self.services.storage.create(name, &self.project());
        self.bucket(name)
    }

    /// A bucket, which may not be there; then nothing is in it and nothing can be put there.
    pub fn bucket(&self, name: &str) -> Bucket<'_> {
        Bucket {
            storage: &self.services.storage,
            name: name.to_owned(),
        }
    }
}

impl Bucket<'_> {
    /// Writes an object.
    ///
    /// # Panics
    /// There is no such bucket.
    pub fn put(&self, object: &str, bytes: impl Into<Bytes>) {
        let content = Media {
            content_type: "application/octet-stream".to_owned(),
            bytes: bytes.into(),
        };
        let put = self.storage.put(&self.name, object, content);
        put.unwrap_or_else(|| panic!("there is no bucket {}", self.name));
    }

    /// What is in an object.
    pub fn get(&self, object: &str) -> Option<Bytes> {
        self.storage.get(&self.name, object)
    }

    /// The names of its objects, in their order.
    pub fn names(&self) -> Vec<String> {
        self.storage.names(&self.name)
    }

    /// Removes an object.
    pub fn remove(&self, object: &str) {
        self.storage.remove(&self.name, object);
    }

    /// Gives a member such as `serviceAccount:EMAIL` a role such as `roles/storage.objectAdmin`.
    pub fn grant(&self, member: &str, role: &str) {
        self.storage.grant(&self.name, member, role);
    }

    /// Lets nobody do anything with it.
    pub fn deny(&self) {
        self.storage.set_denied(&self.name, true);
    }

    /// Takes back what [`Bucket::deny`] did.
    pub fn allow(&self) {
        self.storage.set_denied(&self.name, false);
    }
}
