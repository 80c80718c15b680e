//! Each kind of bucket against the contract of stores.

use std::sync::atomic::{AtomicU32, Ordering};

use rebuild_core::testing::conformance;

use super::{Gs, S3, Server};

async fn holds(server: impl Server) {
    let next = AtomicU32::new(0);
    conformance::store(async || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        server.store(&format!("a.b/case-{n}")).await
    })
    .await;
    assert_eq!(server.parts(), 0, "parts are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_s3_is_a_store() {
    holds(S3::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_google_is_a_store() {
    holds(Gs::start().await).await;
}
