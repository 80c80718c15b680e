//! The documents, read once in a process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::route::{Method, methods};

/// The APIs that are spoken. Where two of them have the same path, the earlier one is meant unless
/// the request names a host.
const APIS: [&str; 8] = [
    "sqladmin.v1",
    "sqladmin.v1beta4",
    "run.v2",
    "bigquery.v2",
    "bigquerydatatransfer.v1",
    "logging.v2",
    "storage.v1",
    "run.v1",
];

/// One API as Google describes it.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its name and version, such as `sqladmin.v1beta4`.
    pub(crate) api: &'static str,
    pub(crate) root: Value,
}

impl Document {
    /// The name without the version.
    pub(crate) fn name(&self) -> &'static str {
        self.api.split('.').next().unwrap_or(self.api)
    }

    /// The schema that a `$ref` names.
    pub(crate) fn schema(&self, name: &str) -> &Value {
        &self.root["schemas"][name]
    }
}

/// All documents and their methods.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) documents: Vec<Arc<Document>>,
    pub(crate) methods: Vec<Arc<Method>>,
    ids: BTreeSet<String>,
}

impl Catalog {
    /// The documents that `scripts/google-discovery` fetched.
    ///
    /// # Panics
    /// They are not there, or cannot be read.
    pub(crate) fn get() -> Arc<Self> {
        static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
        CATALOG
            .get_or_init(|| Arc::new(Self::read(&folder())))
            .clone()
    }

    fn read(folder: &Path) -> Self {
        let read = |api: &&'static str| {
            let path = folder.join(format!("{api}.json"));
            let root = std::fs::read(&path)
                .map_err(|error| error.to_string())
                .and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()))
                .unwrap_or_else(|error| {
                    panic!(
                        "{}: {error}; remove the folder and run scripts/setup",
                        path.display()
                    )
                });
            Arc::new(Document { api, root })
        };
        let documents: Vec<_> = APIS.iter().map(read).collect();
        let mut all: Vec<Method> = documents.iter().flat_map(methods).collect();
        let ids = unify(&mut all);
        let methods = all.into_iter().map(Arc::new).collect();
        Self {
            documents,
            methods,
            ids,
        }
    }

    /// The document of an API, such as `run` and `v2`.
    pub(crate) fn document(&self, name: &str, version: &str) -> Option<&Arc<Document>> {
        let mut documents = self.documents.iter();
        documents.find(|document| document.api.split_once('.') == Some((name, version)))
    }

    /// True if an API has a method with this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

/// Gives methods that two versions of an API spell differently the earlier spelling, and lists all.
fn unify(methods: &mut [Method]) -> BTreeSet<String> {
    let mut spellings = BTreeMap::new();
    for method in methods.iter_mut() {
        let known = spellings.entry(method.id.to_lowercase());
        method.id.clone_from(known.or_insert(method.id.clone()));
    }
    spellings.into_values().collect()
}

/// Where the documents are: `REBUILD_TEST_GOOGLE_DISCOVERY`, or the cache of
/// `scripts/google-discovery`.
fn folder() -> PathBuf {
    if let Some(given) = std::env::var_os("REBUILD_TEST_GOOGLE_DISCOVERY") {
        return given.into();
    }
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    [cache, Some("/var/cache".into()), home]
        .into_iter()
        .flatten()
        .map(|cache| cache.join("rebuild/google/discovery"))
        .find(|folder| folder.join(".version").exists())
        .unwrap_or_else(|| panic!("Google's discovery documents are missing: run scripts/setup"))
}
