use rebuild_testgoogle::{Fault, Strike};
use serde_json::json;

use super::*;
use crate::gcp::stage::{REGION, Stage, db};
use crate::traits::MockVerifier;

struct Rows(u64);

#[async_trait]
impl CountRows for Rows {
    async fn count(&self, _: &Ctx, _: &Identity, _: &str, _: Duration) -> Result<u64> {
        Ok(self.0)
    }
}

fn verifier(stage: &Stage, checks: Vec<GcpCheck>) -> GcpVerifier {
    let mut first = MockVerifier::new();
    first
        .expect_verify()
        .returning(|_, _| Ok(Verdict::default()));
    GcpVerifier {
        first: Arc::new(first),
        google: stage.google.clone(),
        checks,
        counts: Arc::new(Rows(100)),
    }
}

async fn verdict(stage: &Stage, checks: Vec<GcpCheck>, live: bool) -> Result<Verdict> {
    let request = VerifyRequest {
        db: db(),
        backup: None,
        live,
    };
    verifier(stage, checks).verify(&stage.ctx, &request).await
}

fn rows(allowed: u64) -> Vec<GcpCheck> {
    vec![GcpCheck::Rows {
        table: "public.articles".to_owned(),
        bigquery: "stats.articles".parse().expect("a table"),
        location: "EU".to_owned(),
        allowed,
        limit: Duration::from_secs(30),
    }]
}

#[tokio::test]
async fn rows_are_counted_on_both_sides() {
    let stage = Stage::new().await;
    let set = |rows| {
        stage
            .server
            .set_bigquery_rows("EU", "stats", "articles", rows)
    };
    set(100);
    let fault = Fault::once("bigquery.jobs.query", Strike::answer(503, "later"));
    stage.server.fault(fault);
    assert!(verdict(&stage, rows(0), true).await.expect("seen").passed());
    stage.server.slow_queries();
    set(97);
    assert!(verdict(&stage, rows(3), true).await.expect("seen").passed());
    let different = verdict(&stage, rows(2), true).await.expect("seen");
    let said = different.complaints().join(" ");
    assert!(
        said.contains(
            "public.articles has 100 rows, and stats.articles has 97; they may differ by 2"
        ),
        "{said}"
    );
    // Before the database is in service there is nothing to compare.
    assert!(
        verdict(&stage, rows(0), false)
            .await
            .expect("seen")
            .checks
            .is_empty()
    );
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_an_error() {
    let stage = Stage::new().await;
    let error = verdict(&stage, rows(0), true).await.expect_err("no table");
    assert!(error.chain().contains("Not found: Table"), "{error:?}");
}

#[tokio::test]
async fn a_service_must_be_ready() {
    let stage = Stage::new().await;
    let check = || {
        vec![GcpCheck::Service {
            region: REGION.to_owned(),
            service: "api".to_owned(),
            limit: Duration::from_secs(1),
        }]
    };
    let missing = verdict(&stage, check(), true).await.expect("seen");
    assert!(
        missing.complaints()[0].contains("there is no service \"api\""),
        "{missing:?}"
    );
    let template = json!({"containers": [{"image": "api:7"}]});
    let fields = json!({"template": template});
    stage.server.deploy_service(REGION, "api", fields);
    let ready = verdict(&stage, check(), true).await.expect("seen");
    assert!(ready.passed(), "{ready:?}");
    assert!(
        ready.checks[0].looked_at.starts_with("revision api-00001-"),
        "{ready:?}"
    );
}
