//! Each check passes on a correct database and fails, in the right words, on the smallest damage.

mod counting;
mod foreign_keys;
mod http;
mod indexes;
mod locks;
mod query;
mod sequences;
mod structure;
mod whole;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::model::Identity;
use crate::postgres::{DatabaseKey, LocalCluster, Session, database_facts, server_facts};
use crate::testing::{cluster, scratch_database};

/// A backup that holds what the test says.
#[derive(Default)]
struct Told {
    counts: Vec<(TableName, u64)>,
    differing: Vec<String>,
    /// The tables of `counts` that the verifier said may differ.
    excepted: Mutex<Vec<TableName>>,
}

#[async_trait]
impl BackedUp for Told {
    async fn counts(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<Vec<(TableName, u64)>> {
        Ok(self.counts.clone())
    }

    async fn differences(
        &self,
        _: &Ctx,
        _: &Identity,
        _: &BackupId,
        except: Picks<'_>,
    ) -> Result<ContentReport> {
        let tables = self.counts.iter().map(|(table, _)| table);
        *self.excepted.lock().expect("not poisoned") =
            tables.filter(|table| except(table)).cloned().collect();
        Ok(ContentReport {
            tables: 2,
            rows: 1234,
            differing: self.differing.clone(),
        })
    }
}

/// A scratch database on a server of its own, and a session in it.
struct Bench {
    endpoint: Endpoint,
    session: Session,
    _cluster: LocalCluster,
}

impl Bench {
    async fn new() -> Self {
        let cluster = cluster().await.expect("cluster");
        let endpoint = scratch_database(&cluster).await.expect("database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        Self {
            endpoint,
            session,
            _cluster: cluster,
        }
    }

    /// Runs each of the statements by itself.
    async fn run(&self, statements: &[&str]) {
        for sql in statements {
            self.session.batch_execute(sql).await.expect(sql);
        }
    }

    async fn version(&self) -> u32 {
        let facts = server_facts(&self.session).await.expect("server");
        facts.version_num / 10_000
    }

    async fn request(&self, live: bool) -> VerifyRequest {
        let database = database_facts(&self.session, DatabaseKey::Current)
            .await
            .expect("database");
        VerifyRequest {
            db: database.identity,
            backup: Some(BackupId::generate()),
            live,
        }
    }

    fn verifier(&self, checks: Value, backup: Told) -> Result<PgVerifier> {
        let checks = serde_json::from_value(checks).expect("checks");
        let jobs = NonZeroUsize::new(2).expect("2");
        PgVerifier::new(self.endpoint.clone(), checks, Arc::new(backup), jobs)
    }

    /// Runs the checks on the database before it is in service.
    async fn verify(&self, checks: Value) -> Verdict {
        self.verify_with(checks, Told::default()).await
    }

    async fn verify_with(&self, checks: Value, backup: Told) -> Verdict {
        let verifier = self.verifier(checks, backup).expect("verifier");
        let request = self.request(false).await;
        let verdict = verifier.verify(&Ctx::quiet(), &request).await;
        verdict.expect("verdict")
    }

    /// Runs one check, given by its kind alone.
    async fn check(&self, kind: &str) -> Check {
        one(self.verify(serde_json::json!([{ "kind": kind }])).await)
    }
}

fn one(verdict: Verdict) -> Check {
    let [check] = <[Check; 1]>::try_from(verdict.checks).expect("one check");
    check
}

/// What a failed check complains of.
fn complaints(check: &Check) -> &[String] {
    match &check.outcome {
        Outcome::Failed(lines) => lines,
        other => panic!("{} should have failed: {other:?}", check.name),
    }
}

fn passed(check: &Check, looked_at: &str) {
    assert_eq!(check.outcome, Outcome::Passed, "{}", check.name);
    assert_eq!(check.looked_at, looked_at, "{}", check.name);
}

fn not_run(check: &Check) -> &str {
    match &check.outcome {
        Outcome::NotRun(why) => why,
        other => panic!("{} should not have run: {other:?}", check.name),
    }
}
