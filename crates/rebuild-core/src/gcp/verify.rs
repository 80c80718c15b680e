//! Looking whether what is in Google Cloud is as it should be.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::cloud_run::{CloudRun, short};
use super::tables::{BigQuery, TableId};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::google::Google;
use crate::model::{Check, Identity, Outcome, Verdict};
use crate::traits::{Verifier, VerifyRequest};

/// Counts rows of the database.
#[async_trait]
pub trait CountRows: Send + Sync {
    /// How many rows the table `schema.table` of `db` has.
    ///
    /// # Errors
    /// There is no such table, or it could not be read.
    async fn count(&self, ctx: &Ctx, db: &Identity, table: &str, limit: Duration) -> Result<u64>;
}

/// Something that must hold in Google Cloud once the database is in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcpCheck {
    /// A service is ready.
    Service {
        /// The region.
        region: String,
        /// Which.
        service: String,
        /// How long until it must be so.
        limit: Duration,
    },
    /// Two tables have as many rows.
    Rows {
        /// The table of the database.
        table: String,
        /// The one of BigQuery.
        bigquery: TableId,
        /// Where its dataset is.
        location: String,
        /// How many they may differ by.
        allowed: u64,
        /// How long each count may take.
        limit: Duration,
    },
}

/// The checks of another verifier, and those of Google Cloud.
pub struct GcpVerifier {
    /// What is checked first.
    pub first: Arc<dyn Verifier>,
    /// The project.
    pub google: Google,
    /// What, once the database is in service.
    pub checks: Vec<GcpCheck>,
    /// What counts in the database.
    pub counts: Arc<dyn CountRows>,
}

#[async_trait]
impl Verifier for GcpVerifier {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let mut verdict = self.first.verify(ctx, request).await?;
        if request.live {
            for check in &self.checks {
                verdict
                    .checks
                    .push(self.check(ctx, &request.db, check).await?);
            }
        }
        Ok(verdict)
    }
}

impl GcpVerifier {
    async fn check(&self, ctx: &Ctx, db: &Identity, check: &GcpCheck) -> Result<Check> {
        match check {
            GcpCheck::Service {
                region,
                service,
                limit,
            } => self.service(ctx, region, service, *limit).await,
            GcpCheck::Rows {
                table,
                bigquery,
                location,
                allowed,
                limit,
            } => {
                let here = self.counts.count(ctx, db, table, *limit).await?;
                let client = BigQuery::open(&self.google).await?;
                let there = client.count(ctx, bigquery, location, *limit).await?;
                Ok(Check {
                    name: format!("rows of {table} in BigQuery"),
                    looked_at: format!("{here} rows, and {there} in {bigquery}"),
                    outcome: compare(table, here, bigquery, there, *allowed),
                })
            }
        }
    }

    async fn service(
        &self,
        ctx: &Ctx,
        region: &str,
        service: &str,
        limit: Duration,
    ) -> Result<Check> {
        let run = CloudRun::open(&self.google, region).await?;
        let name = format!("service {service}");
        match run.wait_until_serving(ctx, service, limit).await {
            Ok(ready) => Ok(Check {
                name,
                looked_at: format!("revision {}", short(&ready.latest_ready_revision)),
                outcome: Outcome::Passed,
            }),
            // That it is not so in time is an answer.
            Err(e) if matches!(e.kind(), ErrorKind::Deadline | ErrorKind::Server) => Ok(Check {
                name,
                looked_at: "its newest revision".to_owned(),
                outcome: Outcome::Failed(vec![e.chain()]),
            }),
            Err(e) => Err(e),
        }
    }
}

fn compare(table: &str, here: u64, bigquery: &TableId, there: u64, allowed: u64) -> Outcome {
    let difference = here.abs_diff(there);
    if difference <= allowed {
        return Outcome::Passed;
    }
    let mut line = format!("{table} has {here} rows, and {bigquery} has {there}");
    if allowed > 0 {
        line.push_str(&format!("; they may differ by {allowed}"));
    }
    Outcome::Failed(vec![line])
}

#[cfg(test)]
mod tests;
