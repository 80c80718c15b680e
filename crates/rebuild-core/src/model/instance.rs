//! The managed instance around the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An instance of Cloud SQL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceFacts {
    /// Its connection name, `PROJECT:REGION:INSTANCE`.
    pub name: String,
    /// Its state, for example `RUNNABLE`.
    pub state: String,
    /// The version as the API writes it, for example `POSTGRES_15`.
    pub version: String,
    /// The machine type, for example `db-custom-2-7680`.
    pub tier: String,
    /// `ENTERPRISE` or `ENTERPRISE_PLUS`.
    pub edition: String,
    /// `ZONAL` or `REGIONAL`.
    pub availability: String,
    /// The disk's size in GB.
    pub disk_gb: Option<i64>,
    /// True if the API does not let it be deleted.
    pub deletion_protection: bool,
    /// True if it has automated backups.
    pub automated_backups: bool,
    /// How many of them are kept.
    pub kept_backups: Option<i32>,
    /// True if the write-ahead log is kept for point-in-time recovery.
    pub point_in_time_recovery: bool,
    /// For how many days it is.
    pub log_days: Option<i32>,
    /// True if backups stay when the instance is deleted.
    pub backups_outlive_it: bool,
    /// Read replicas.
    pub replicas: Vec<String>,
    /// The instance that it is a replica of.
    pub replica_of: Option<String>,
    /// Its addresses, with their kind.
    pub addresses: Vec<String>,
    /// The account by which it reaches buckets.
    pub service_account: String,
    /// What is being done to it, for example `UPDATE`.
    pub operations: Vec<String>,
    /// Its newest backups.
    pub backups: Vec<InstanceBackupFacts>,
    /// What this run does besides, a line each: an on-demand backup, an export.
    pub besides: Vec<String>,
    /// Users of the spec that it does not have; a run makes them before the database.
    #[serde(default)]
    pub missing_users: Vec<String>,
    /// What is known of its replacement, if the spec says so.
    #[serde(default)]
    pub replaced: Option<ReplacedInstance>,
}

/// An instance that makes room for a new one of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplacedInstance {
    /// Its connection name.
    pub name: String,
    /// When it was made, as RFC 3339 writes it: another instance of its name is another one.
    pub made_at: String,
    /// True if the run makes the new one, and no tool does.
    pub made_by_run: bool,
    /// What the new one has other than the old one, for example `tier db-custom-2-7680`.
    pub changes: Vec<String>,
    /// True if the protection against deletion is taken off it.
    pub protected: bool,
    /// Replicas that are deleted and made again.
    pub replicas: Vec<String>,
    /// Users that are made in the new one.
    pub users: Vec<String>,
    /// Other databases, which go with it.
    pub databases: Vec<String>,
    /// Roles that the database needs and that nobody is known to make.
    pub roles: Vec<String>,
    /// What does not let it be replaced.
    pub obstacles: Vec<String>,
}

/// A backup of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceBackupFacts {
    /// The backup run's id.
    pub id: i64,
    /// `SUCCESSFUL`, `FAILED`, `RUNNING`, ...
    pub status: String,
    /// `ON_DEMAND` or `AUTOMATED`.
    pub kind: String,
    /// When it began, as RFC 3339 writes it.
    pub began: Option<String>,
    /// Its size in bytes, as far as it is known.
    pub bytes: Option<i64>,
    /// What was written on it.
    pub description: String,
}
