//! Stores that need no server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use object_store::memory::InMemory;

use crate::Environment;
use crate::store::Store;
use crate::testing::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_is_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let next = AtomicU32::new(0);
    conformance::store(async || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let url = format!("file://{}/{n}", folder.path().display());
        Store::open(&url, &Environment::default())
            .await
            .expect("a store")
    })
    .await;
}

#[tokio::test]
async fn memory_is_a_store() {
    conformance::store(async || Store::over(Arc::new(InMemory::new()))).await;
}
