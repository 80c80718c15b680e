//! The spec, `rebuild.toml`: which database, and what its rebuild consists of.
//!
//! Unknown keys are refused. `${NAME}` in any text is replaced by the environment variable of
//! that name when the spec is loaded, and `$${` stands for `${`; secrets live there and not in
//! the file. The JSON Schema of the file, for editors, is made from these types by
//! [`json_schema`].

mod bigquery;
mod checks;
mod cloud_run;
mod cloudsql;
mod create_instance;
mod duration;
mod expand;
mod gcp;
mod infrastructure;
mod instance_user;
mod kubernetes;
mod load;
mod locate;
mod patterns;
mod programs;
mod replace_instance;
mod rules;
mod source;
mod steps;
mod target;
#[cfg(test)]
mod tests;
mod workers;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::model::infrastructure::InfrastructureTool;
pub use bigquery::{BackfillSpec, BigQuerySpec};
pub use checks::{CheckSpec, Expected};
pub use cloud_run::{CloudRunServiceSpec, CloudRunTaskSpec, CloudRunWorkloadSpec};
pub use cloudsql::{BackupRunSpec, CloudSqlSpec, ConnectSpec, ExportSpec, PurgeBy, ReplicasSpec};
pub use create_instance::{AvailabilitySpec, CreateInstanceSpec, EditionSpec};
pub use duration::Within;
pub use gcp::{GcpSpec, PricesSpec};
pub use infrastructure::{InfrastructureSpec, InfrastructureVariable};
pub use instance_user::{InstanceUserKind, InstanceUserSpec};
pub use kubernetes::{
    ClusterTaskSpec, KubernetesSpec, ReplaceSpec, SnapshotSpec, TargetPodSpec, TargetSecretSpec,
    ViaSpec,
};
pub use load::{from_value, json_schema, load, parse};
pub use patterns::{NamePatterns, TablePatterns};
#[cfg(feature = "postgres")]
pub(crate) use patterns::{no_table, parts};
pub use replace_instance::{MakerSpec, ReplaceInstanceSpec};
pub use source::{
    Keep, MaskColumnSpec, MaskSpec, MigrationPolicy, PreserveSpec, SourceSpec, SourceTableSpec,
    Transformer,
};
pub use steps::{
    BackupSpec, CommandSpec, FallbackFrom, FileOrder, Hooks, MigratorSpec, Program, ProvisionSpec,
    RestoreFrom, RestoreSpec, Retention, SchemaSource, SchemaSpec, WorkloadSpec,
};
pub use target::{EndSessionsSpec, Quiesce, SessionPatterns, StoreSpec, StrategySpec, TargetSpec};
pub use workers::WorkersSpec;

/// The version of the spec's format that this crate reads.
pub const VERSION: u32 = 1;

/// A database and what its rebuild consists of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The version of the format: 1.
    pub version: u32,
    /// The database.
    pub target: TargetSpec,
    /// The cluster around the database, if there is one.
    #[serde(default)]
    pub kubernetes: Option<KubernetesSpec>,
    /// The project of Google Cloud around the database, if there is one.
    #[serde(default)]
    pub gcp: Option<GcpSpec>,
    /// Where backups and journals are kept.
    pub store: StoreSpec,
    /// Another database that the rows come from: then the run is a refresh.
    #[serde(default)]
    pub source: Option<SourceSpec>,
    /// What of the source is hidden.
    #[serde(default)]
    pub mask: MaskSpec,
    /// Rows of the target that outlive a refresh.
    #[serde(default)]
    pub preserve: Vec<PreserveSpec>,
    /// What brings the schema to its newest version once the rows are there.
    #[serde(default)]
    pub migrate: Option<MigratorSpec>,
    /// How the writers are kept out.
    #[serde(default)]
    pub quiesce: Quiesce,
    /// Programs that write to the database, stopped in this order and started in reverse.
    #[serde(default, rename = "workload")]
    pub workloads: Vec<WorkloadSpec>,
    /// The backup.
    #[serde(default)]
    pub backup: BackupSpec,
    /// What infrastructure-as-code tools apply, in this order, right before the new database is made.
    #[serde(default)]
    pub infrastructure: Vec<InfrastructureSpec>,
    /// The new database, where it is to differ from the old one.
    #[serde(default)]
    pub provision: ProvisionSpec,
    /// Where the schema comes from.
    #[serde(default)]
    pub schema: SchemaSpec,
    /// Where the rows come from.
    #[serde(default)]
    pub restore: RestoreSpec,
    /// Commands that load rows into the new database before it is verified.
    #[serde(default, rename = "load")]
    pub loads: Vec<CommandSpec>,
    /// What must hold before the new database goes into service. Without any, counts are
    /// compared where rows are restored.
    #[serde(default, rename = "verify")]
    pub checks: Vec<CheckSpec>,
    /// Commands to run once the new database is in service.
    #[serde(default)]
    pub after: Vec<CommandSpec>,
    /// How long what was set aside is kept.
    #[serde(default)]
    pub retention: Retention,
    /// Commands that are told how a run ended.
    #[serde(default)]
    pub hooks: Hooks,
    /// The folder that relative paths are relative to.
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    digest: String,
}

impl Spec {
    /// BLAKE3 of what the spec says, comments and layout aside and before `${NAME}` is replaced,
    /// so that no secret is in it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where the schema of the new database comes from.
    pub fn schema_from(&self) -> SchemaSource {
        let usual = match self.source {
            Some(_) => SchemaSource::Source,
            None => SchemaSource::Backup,
        };
        self.schema.source.unwrap_or(usual)
    }

    /// Where the rows of the new database come from.
    pub fn rows_from(&self) -> RestoreFrom {
        let usual = match self.source {
            Some(_) => RestoreFrom::Source,
            None => RestoreFrom::Backup,
        };
        self.restore.source.unwrap_or(usual)
    }

    /// Every load and after-step, and the steps of remedies.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &CommandSpec> + Clone {
        let queries = self
            .after
            .iter()
            .filter_map(|after| after.bigquery.as_ref());
        let remedies = queries.flat_map(|queries| &queries.remedy);
        self.loads.iter().chain(&self.after).chain(remedies)
    }

    /// The folder that relative paths in the spec are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
