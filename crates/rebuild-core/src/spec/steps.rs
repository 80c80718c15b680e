//! What the steps of a rebuild are told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{BigQuerySpec, CloudRunTaskSpec, CloudRunWorkloadSpec, ClusterTaskSpec, Within};
use crate::traits::BackupMode;

/// A program and its arguments. It is run as it is, without a shell.
pub type Program = Vec<String>;

/// `[[workload]]`: a program that writes to the target and can be stopped: by two commands, by a
/// `function`, or by scaling it to nothing in a cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Its name.
    pub name: String,
    /// Stops it, and returns once it has stopped.
    #[serde(default)]
    pub stop: Program,
    /// Starts it, and returns once it runs.
    #[serde(default)]
    pub start: Program,
    /// What stops, starts and looks at it in the place of commands: a function of the program that
    /// runs the spec, in Python `module:name`.
    #[serde(default)]
    pub function: Option<String>,
    /// A workload of the cluster: `deployment/NAME` and `statefulset/NAME` are scaled to nothing
    /// and back, `cronjob/NAME` is suspended and its Jobs waited for.
    #[serde(default)]
    pub kubernetes: Option<String>,
    /// A service of Cloud Run, which is scaled to no instances and back, or deleted and deployed again.
    #[serde(default)]
    pub cloud_run: Option<CloudRunWorkloadSpec>,
    /// Exits with 0 while it runs and with 3 while it does not, as `systemctl is-active` does.
    /// Without it, it is taken to run until it was stopped.
    #[serde(default)]
    pub status: Option<Program>,
    /// Variables for all of them.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Their folder, relative to the spec.
    #[serde(default)]
    pub cwd: Option<String>,
    /// How long each may take.
    #[serde(default = "a_minute")]
    pub timeout: Within,
}

/// `[backup]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSpec {
    /// How much it holds.
    pub mode: BackupMode,
    /// Sessions that read at the same time; without it, one for each core, up to 8.
    pub jobs: Option<std::num::NonZeroUsize>,
    /// zstd's level, -7 (fast) to 19 (small).
    pub compression: i32,
    /// Also keep each table as CSV.
    pub csv: bool,
    /// The folder of pg_dump and pg_restore; without it they are looked for as a shell would,
    /// and among Debian's versions.
    pub tools: Option<String>,
}

impl Default for BackupSpec {
    fn default() -> Self {
        Self {
            mode: BackupMode::Full,
            jobs: None,
            compression: 1,
            csv: false,
            tools: None,
        }
    }
}

/// `[provision]`: where the new database is to differ from the old one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProvisionSpec {
    /// The owner.
    pub owner: Option<String>,
    /// The encoding.
    pub encoding: Option<String>,
    /// `LC_COLLATE`.
    pub collate: Option<String>,
    /// `LC_CTYPE`.
    pub ctype: Option<String>,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: Option<String>,
    /// The locale of the provider icu or builtin.
    pub locale: Option<String>,
    /// The template; without it `template0`.
    pub template: Option<String>,
    /// The most sessions at a time; -1 is no limit.
    pub connection_limit: Option<i32>,
    /// The default tablespace.
    pub tablespace: Option<String>,
    /// `ALTER DATABASE … SET`, besides the old one's.
    pub settings: BTreeMap<String, String>,
    /// Grants on the database besides the old one's, for example `CONNECT TO app`.
    pub grants: Vec<String>,
    /// Extensions to create before the schema.
    pub extensions: Vec<String>,
}

/// Where the schema of the new database comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaSource {
    /// The old database, as the backup holds it.
    #[default]
    Backup,
    /// SQL files.
    Files,
    /// A migrator.
    Command,
    /// A function of the program that runs the spec.
    Function,
    /// The source of a refresh.
    Source,
}

/// The order of schema files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileOrder {
    /// By name, byte by byte.
    #[default]
    Lexicographic,
    /// By the number that a name begins with: `2_a.sql` before `10_b.sql`.
    Numbered,
    /// Flyway's: `V1.2__name.sql` by version, then `R__name.sql` by name.
    Flyway,
}

/// `[schema]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaSpec {
    /// Where it comes from; without it from the source of a refresh, or else from the backup.
    pub source: Option<SchemaSource>,
    /// Patterns of files, relative to the spec; for the source `files`.
    pub files: Vec<String>,
    /// Their order.
    pub order: FileOrder,
    /// The migrator, for the source `command`.
    pub command: Option<MigratorSpec>,
    /// The function, for the source `function`; in Python `module:name`.
    pub function: Option<String>,
    /// How long the function may take; without it ten minutes.
    pub timeout: Option<Within>,
    /// Patterns of SQL files that add rows after the restore, in the same order; with Flyway's,
    /// by name.
    pub fixtures: Vec<String>,
}

/// `[schema.command]`: a migrator. It finds the staged database in its environment: as a URL in
/// `url_variable`, and in PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigratorSpec {
    /// The program and its arguments.
    #[serde(default)]
    pub argv: Program,
    /// A Job of the cluster, in the place of a program.
    #[serde(default)]
    pub kubernetes: Option<ClusterTaskSpec>,
    /// A job of Cloud Run, in the place of a program.
    #[serde(default)]
    pub cloud_run: Option<CloudRunTaskSpec>,
    /// More variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its folder, relative to the spec.
    #[serde(default)]
    pub cwd: Option<String>,
    /// How long it may take.
    #[serde(default = "ten_minutes")]
    pub timeout: Within,
    /// The variable that gets the URL; without it, `DATABASE_URL`.
    #[serde(default)]
    pub url_variable: Option<String>,
    /// What the URL begins with, for example `postgresql+psycopg://`; without it, `postgresql://`.
    #[serde(default)]
    pub url_prefix: Option<String>,
}

/// Where the rows of the new database come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreFrom {
    /// The backup that the run takes.
    #[default]
    Backup,
    /// CSV files, as `rebuild backups export` writes them.
    Csv,
    /// A function of the program that runs the spec.
    Function,
    /// The source of a refresh.
    Source,
    /// Nowhere: the schema, fixtures and loads fill it.
    None,
}

/// `[restore]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSpec {
    /// Where they come from; without it from the source of a refresh, or else from the backup.
    pub source: Option<RestoreFrom>,
    /// With `source = "csv"`: the folder of the files `schema.table.csv` or `.csv.zst`, relative
    /// to the spec. They are in UTF-8, with a header line that names the columns.
    pub csv: Option<String>,
    /// With `source = "function"`: the function; in Python `module:name`.
    pub function: Option<String>,
    /// How long the function may take; without it an hour.
    pub timeout: Option<Within>,
    /// Patterns of the tables (`schema.table`) to restore; without any, all. A part in double
    /// quotes stands for itself.
    pub tables: Vec<String>,
    /// Data that may be left behind because the new schema has no place for it: patterns of
    /// `schema.table` or `schema.table.column`.
    pub allow_dropped: Vec<String>,
    /// What is tried, with schema and rows, when they cannot be restored from the backup.
    pub fallback: Option<FallbackFrom>,
}

/// What is tried when the backup cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FallbackFrom {
    /// The export that was taken with the backup, by `target.cloudsql.export`.
    Export,
}

/// `[[load]]` and `[[after]]`: a command, which finds the database in its environment as a
/// migrator does; or a `function`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    #[serde(default)]
    pub command: Program,
    /// What is called in the place of a command: a function of the program that runs the spec, in
    /// Python `module:name`.
    #[serde(default)]
    pub function: Option<String>,
    /// What the cluster does in the place of a command.
    #[serde(default)]
    pub kubernetes: Option<ClusterTaskSpec>,
    /// What Cloud Run does in the place of a command.
    #[serde(default)]
    pub cloud_run: Option<CloudRunTaskSpec>,
    /// The `[[infrastructure]]` of the spec that makes again what it manages and is not there any more, in
    /// the place of a command; in a remedy of BigQuery. Nothing is removed or replaced.
    #[serde(default)]
    pub infrastructure: Option<String>,
    /// Scheduled queries of BigQuery that are run in the place of a command; in an `[[after]]`.
    #[serde(default)]
    pub bigquery: Option<BigQuerySpec>,
    /// More variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its folder, relative to the spec.
    #[serde(default)]
    pub cwd: Option<String>,
    /// How long it may take.
    #[serde(default = "ten_minutes")]
    pub timeout: Within,
    /// The variable that gets the URL; without it, `DATABASE_URL`.
    #[serde(default)]
    pub url_variable: Option<String>,
    /// What the URL begins with; without it, `postgresql://`.
    #[serde(default)]
    pub url_prefix: Option<String>,
}

/// `[retention]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long a retired database is kept before `rebuild purge` takes it without `--now`.
    pub keep_retired: Within,
    /// How many backups `rebuild backups prune` keeps at least.
    pub keep_last: Option<u32>,
    /// How many days of backups it keeps at least.
    pub keep_days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_retired: Within::seconds(7 * 24 * 3600),
            keep_last: None,
            keep_days: None,
        }
    }
}

/// `[hooks]`: commands that are told how a run ended, in REBUILD_RUN, REBUILD_ENDING,
/// REBUILD_TARGET and REBUILD_ERROR.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// After a run that is done.
    pub on_success: Option<Program>,
    /// After any other.
    pub on_failure: Option<Program>,
    /// How long each may take.
    pub timeout: Within,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            on_success: None,
            on_failure: None,
            timeout: a_minute(),
        }
    }
}

fn a_minute() -> Within {
    Within::seconds(60)
}

fn ten_minutes() -> Within {
    Within::seconds(600)
}
