//! Google Cloud around the database: jobs and services of Cloud Run, scheduled queries and tables of
//! BigQuery, and what jobs write to Cloud Logging.

mod backfill;
mod begun;
mod cloud_run;
mod facts;
mod job;
mod logs;
mod operation;
mod service;
#[cfg(test)]
mod stage;
mod tables;
mod task;
mod transfer;
mod verify;
mod workload;

pub use backfill::{Backfill, BackfillTask};
pub use cloud_run::CloudRun;
pub use facts::{PlannedJob, Prices};
pub use job::{CloudRunJob, Overrides};
pub use tables::{BigQuery, TableId};
pub use task::{RunJobTask, RunRestartTask, is_set_by_run};
pub use verify::{CountRows, GcpCheck, GcpVerifier};
pub use workload::ServiceWorkload;
