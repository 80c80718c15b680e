//! What would happen, and what would be lost.

mod build;
mod cluster;
mod document;
mod gcp;
mod guards;
mod infrastructure;
mod instance;
mod names;
mod refresh;
mod releases;
// Without a backend nothing is rehearsed.
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
mod rehearsal;
mod render;
mod replaced;
mod replaced_instance;
mod replaced_server;
mod rules;
mod steps;
mod survey;
#[cfg(test)]
mod tests;
mod values;

pub use cluster::cluster_lines;
pub use document::{PLAN_VERSION, Plan, PlannedStep, Refusal, StepKind, Strategy};
pub use gcp::gcp_lines;
#[cfg(feature = "postgres")]
pub(crate) use guards::LEAST_LEFT;
pub use infrastructure::infrastructure_lines;
pub use instance::instance_lines;
pub use names::{Names, RehearsalName};
pub use refresh::source_lines;
#[cfg(feature = "postgres")]
pub(crate) use rehearsal::{deletes_only, makes_only, may_begin};
pub use render::{bytes, drift_lines};
pub use rules::{MayDrop, MayEnd, RowsFrom, Rules, SchemaFrom, Takes};
pub use survey::{
    Drift, PRODUCTION_MARK, PlannedInfrastructure, SourceSurvey, Survey, TableDrift, ToolFacts,
};
