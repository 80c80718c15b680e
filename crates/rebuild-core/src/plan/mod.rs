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
mod render;
mod replaced;
mod replaced_instance;
mod replaced_server;
mod rules;
mod survey;
#[cfg(test)]
mod tests;

pub use cluster::cluster_lines;
pub use document::{PLAN_VERSION, Plan, PlannedStep, Refusal, StepKind, Strategy};
pub use gcp::gcp_lines;
pub use infrastructure::infrastructure_lines;
pub use instance::instance_lines;
pub use names::Names;
pub use refresh::source_lines;
pub use render::{bytes, drift_lines};
pub use rules::{MayDrop, MayEnd, RowsFrom, Rules, SchemaFrom};
pub use survey::{Drift, PlannedInfrastructure, SourceSurvey, Survey, TableDrift, ToolFacts};
