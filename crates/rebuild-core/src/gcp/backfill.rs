//! An after-step that runs scheduled queries, and knows a remedy.

mod noted;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use google_cloud_bigquery_datatransfer_v1::model::TransferState;
use jiff::Timestamp;
use tokio::time::Instant;

use self::noted::{Noted, Progress};
use super::begun::begun;
use super::tables::{BigQuery, TableId};
use super::transfer::{Ended, Transfers};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::Google;
use crate::model::Identity;
use crate::store::Store;
use crate::traits::Task;

/// What BigQuery says when a query has other columns than the table that it adds to.
const WRONG_COLUMNS: &str = "inserted row has wrong column count";

/// How often a query is run at most for one step of a run, over all of its resumptions.
const ATTEMPTS: i64 = 50;

/// A scheduled query, and the table that it fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Its display name, or its full name.
    pub config: String,
    /// The table.
    pub table: Option<TableId>,
}

/// Scheduled queries that are run one after the other, as a [`Task`].
///
/// Where one fails because its table has another number of columns, the table is deleted, the remedy
/// is run, and the query is run again, once. How far that is is written down in the store: a run that
/// goes on finishes a remedy that was cut off, and begins none twice.
pub struct BackfillTask {
    /// The project.
    pub google: Google,
    /// Its name in the spec.
    pub name: String,
    /// Where the queries are.
    pub location: String,
    /// Which.
    pub backfills: Vec<Backfill>,
    /// What the remedy does once the table is deleted; nothing where there is none.
    pub remedy: Vec<Arc<dyn Task>>,
    /// Which step of the run's after-steps it is: each asks for times of its own, by which its runs are
    /// known again.
    pub place: u32,
    /// How long the queries may take in all.
    pub limit: Duration,
    /// Where it is written down how far a remedy is.
    pub store: Store,
}

#[async_trait]
impl Task for BackfillTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let mut deadline = Instant::now() + self.limit;
        let transfers = Transfers::open(&self.google, &self.location).await?;
        for (number, backfill) in self.backfills.iter().enumerate() {
            let shown = &backfill.config;
            let config = transfers.config(ctx, shown).await?;
            let noted = Noted {
                store: &self.store,
                run: &ctx.run,
                place: (self.place, number),
            };
            let mut progress = noted.last().await?;
            if progress == Some(Progress::Mending) {
                ctx.events.warn(format!(
                    "the remedy of {shown} was begun before, and is done from its beginning"
                ));
            }
            loop {
                // Its table may be gone, so no query can say what is wrong with it.
                if progress == Some(Progress::Mending) {
                    let began = Instant::now();
                    self.mend(ctx, db, backfill, &noted).await?;
                    // The steps of the remedy have deadlines of their own.
                    deadline += began.elapsed();
                    progress = Some(Progress::Mended);
                }
                let why = match self.fill(ctx, &transfers, shown, &config, deadline).await? {
                    Ended::Succeeded => break,
                    Ended::Failed(why) => why,
                };
                if progress == Some(Progress::Mended) {
                    let why = format!("{why}; that was after the remedy, which is not tried twice");
                    return Err(self.failed(shown, &why));
                }
                if !is_wrong_columns(&why) || self.remedy.is_empty() {
                    return Err(self.failed(shown, &why));
                }
                ctx.events.warn(format!("the backfill of {shown} {why}"));
                progress = Some(Progress::Mending);
            }
        }
        Ok(())
    }
}

impl BackfillTask {
    /// Runs a query and waits for its end. One that this step began earlier, and that goes on, is waited
    /// for; one that has succeeded counts.
    async fn fill(
        &self,
        ctx: &Ctx,
        transfers: &Transfers,
        shown: &str,
        config: &str,
        deadline: Instant,
    ) -> Result<Ended> {
        let times = self.times(ctx);
        let before = transfers.runs(ctx, config, &times).await?;
        let last = before
            .last()
            .map(|(time, run)| (*time, &run.state, &run.name));
        let run = match last {
            Some((_, TransferState::Succeeded, _)) => {
                ctx.events
                    .info(format!("the backfill of {shown} has succeeded before"));
                return Ok(Ended::Succeeded);
            }
            Some((_, TransferState::Pending | TransferState::Running, name)) => {
                ctx.events.info(format!(
                    "a backfill of {shown} was begun before, and goes on"
                ));
                name.clone()
            }
            _ => {
                // They go back in time.
                let unused = |time: &&i64| last.is_none_or(|(last, ..)| **time < last);
                let next = times.iter().find(unused).ok_or_else(|| {
                    let message = format!("the backfill of {shown} failed {ATTEMPTS} times");
                    Error::new(ErrorKind::Program, message)
                })?;
                transfers.start(ctx, config, *next).await?
            }
        };
        transfers.follow(ctx, shown, &run, deadline).await
    }

    /// The times that this step asks for, each for one attempt. A run of a query says nothing of who began
    /// it but the time that was asked for, so that is the mark: a second for each, and none in the
    /// future, which the API refuses.
    fn times(&self, ctx: &Ctx) -> Vec<i64> {
        let begun = begun(&ctx.run).unwrap_or_else(Timestamp::now).as_second();
        let first = begun - 1 - i64::from(self.place) * ATTEMPTS;
        (0..ATTEMPTS).map(|attempt| first - attempt).collect()
    }

    /// Deletes the table and does the steps of the remedy. That it has begun is written down before the
    /// table goes.
    async fn mend(
        &self,
        ctx: &Ctx,
        db: &Identity,
        backfill: &Backfill,
        noted: &Noted<'_>,
    ) -> Result<()> {
        let Some(table) = &backfill.table else {
            return Err(Error::internal("a remedy without a table"));
        };
        noted.write(Progress::Mending, backfill).await?;
        ctx.events
            .warn(format!("deleting the table {table} of BigQuery"));
        let bigquery = BigQuery::open(&self.google).await?;
        bigquery.delete(ctx, table).await?;
        for step in &self.remedy {
            ctx.check_stop("the remedy")?;
            let name = step.name();
            ctx.events.info(format!("remedy: {name}"));
            step.run(ctx, db)
                .await
                .map_err(|e| e.context(format!("the step {name:?} of the remedy failed")))?;
        }
        noted.write(Progress::Mended, backfill).await
    }

    fn failed(&self, shown: &str, why: &str) -> Error {
        Error::new(ErrorKind::Program, format!("the backfill of {shown} {why}"))
    }
}

fn is_wrong_columns(why: &str) -> bool {
    why.to_lowercase().contains(WRONG_COLUMNS)
}

#[cfg(test)]
mod tests;
