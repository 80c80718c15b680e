//! What of Google Cloud a run would use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run would use in a project of Google Cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcpFacts {
    /// The project's id.
    pub project: String,
    /// Who asks, for people.
    pub account: String,
    /// Addresses of APIs other than the usual ones, a line each.
    pub endpoints: Vec<String>,
    /// Jobs that would be executed, in the order of the spec.
    pub jobs: Vec<CloudRunJobFacts>,
    /// Services that would be stopped or restarted.
    pub services: Vec<CloudRunServiceFacts>,
    /// Scheduled queries that would be run.
    pub backfills: Vec<BackfillFacts>,
    /// What could not be looked at, with the API's reason.
    pub unseen: Vec<String>,
}

/// A job of Cloud Run, as it would be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CloudRunJobFacts {
    /// The step, for example `load/articles`.
    pub step: String,
    /// Its name.
    pub job: String,
    /// Its region.
    pub region: String,
    /// How many tasks there would be.
    pub tasks: u32,
    /// How many there would be without the limit by groups.
    pub tasks_wanted: u32,
    /// What one task has, in thousandths of a vCPU.
    pub milli_vcpu: u64,
    /// What one task has, in bytes.
    pub memory_bytes: u64,
    /// How long an attempt of a task may take, in seconds.
    pub task_seconds: u64,
    /// How often a task is tried at most.
    pub attempts: u32,
    /// What all of it costs at most, if the spec has prices: `12.30 EUR`.
    pub cost: Option<String>,
}

/// A service of Cloud Run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CloudRunServiceFacts {
    /// Its name.
    pub service: String,
    /// Its region.
    pub region: String,
    /// The revision that is ready, and how the service is, for people; nothing if there is none.
    pub state: Option<String>,
    /// True if it would be deleted and deployed again.
    pub deleted: bool,
}

/// A scheduled query of BigQuery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackfillFacts {
    /// The step, for example `after/backfill`.
    pub step: String,
    /// Its name in the spec.
    pub config: String,
    /// Where it is.
    pub location: String,
    /// The table that it fills, `dataset.table`.
    pub table: Option<String>,
    /// True if the table is deleted where its columns do not fit.
    pub may_delete: bool,
}
