//! Stores in buckets: local servers that speak the API of each cloud, and what they do to us.

mod backups;
mod conformance;
mod door;
mod failures;
mod gs;
mod runs;
mod s3;

use rebuild_core::Environment;
use rebuild_core::store::{Name, Store};

pub(crate) use door::{Door, Fault};
pub(crate) use gs::Gs;
pub(crate) use s3::S3;

/// The bucket that each server has.
pub(crate) const BUCKET: &str = "backups";

/// A server of buckets, behind a door.
pub(crate) trait Server {
    /// The kind of URL that its stores have.
    const SCHEME: &str;

    fn door(&self) -> &Door;

    /// The variables by which a program finds it.
    fn variables(&self) -> Vec<(String, String)>;

    /// How many parts it keeps of uploads that were never finished.
    fn parts(&self) -> usize;

    fn url(&self, prefix: &str) -> String {
        format!("{}://{BUCKET}/{prefix}", Self::SCHEME)
    }

    async fn store(&self, prefix: &str) -> Store {
        Store::open(&self.url(prefix), &Environment::of(self.variables()))
            .await
            .expect("a store")
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn pairs<const N: usize>(variables: [(&str, &str); N]) -> Vec<(String, String)> {
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
