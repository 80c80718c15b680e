//! What every store has in common that is reached over a network.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

use crate::secret::Secret;

/// How long one call may take, with everything that is tried again. For a stream: each piece.
pub(super) const CALL: Duration = Duration::from_secs(5 * 60);

/// How often a request is sent at most, when nothing else is said.
#[cfg(any(feature = "s3", feature = "gs"))]
pub(super) const ATTEMPTS: u32 = 10;

/// How long the wait before the next attempt may become.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A bucket, and how it is spoken of.
#[derive(Clone)]
pub(super) struct Remote {
    /// The store without any retry, for writes that must not be repeated blindly.
    pub(super) once: Arc<dyn ObjectStore>,
    /// How often such a write is sent at most.
    pub(super) attempts: u32,
    /// The bucket's name.
    pub(super) bucket: String,
    /// Where the bucket's server is, for messages.
    pub(super) place: String,
    /// What to do when the credentials are not accepted.
    pub(super) credentials_hint: &'static str,
    /// What the credentials must be allowed to do.
    pub(super) rights_hint: &'static str,
    /// Which variables decide about the server.
    pub(super) endpoint_hint: &'static str,
    /// What must not be printed, whoever says it.
    pub(super) secrets: Vec<Secret>,
}

impl Remote {
    /// `text` with every known secret blotted out.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        self.secrets
            .iter()
            .map(Secret::expose)
            .filter(|secret| secret.len() > 3)
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// The same, for the objects below `prefix`.
    pub(super) fn below(mut self, prefix: &Path) -> Self {
        self.once = Arc::new(PrefixStore::new(self.once, prefix.clone()));
        self
    }

    #[cfg(test)]
    pub(super) fn for_tests(secrets: &[&str]) -> Self {
        Self {
            once: Arc::new(object_store::memory::InMemory::new()),
            attempts: 1,
            bucket: "bucket".to_owned(),
            place: "https://store.example.org".to_owned(),
            credentials_hint: "credentials",
            rights_hint: "rights",
            endpoint_hint: "endpoint",
            secrets: secrets.iter().map(|s| Secret::new(*s)).collect(),
        }
    }
}
