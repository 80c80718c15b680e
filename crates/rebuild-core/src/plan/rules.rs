//! What the spec asks for, as far as the plan's decisions need it.

use crate::traits::BackupMode;

use super::Strategy;
use crate::model::{SessionFacts, TableName};

/// Where the schema of the new database comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaFrom {
    /// The target's own, as the backup holds it.
    Backup,
    /// SQL files.
    Files,
    /// An external migrator.
    Command,
    /// A function of the program that runs the spec.
    Function,
    /// The source of a refresh.
    Source,
}

/// Where the rows of the new database come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsFrom<'a> {
    /// Nowhere: the schema, fixtures and loads fill it.
    Nowhere,
    /// The backup that the run takes.
    Backup,
    /// The CSV files in this folder.
    Csv(&'a str),
    /// This function of the program that runs the spec.
    Function(&'a str),
    /// The source of a refresh.
    Source,
}

/// Decides whether a session may be ended.
pub type MayEnd<'a> = &'a (dyn Fn(&SessionFacts) -> bool + Sync);

/// Decides whether data may be left behind: of a column, or of the whole table.
pub type MayDrop<'a> = &'a (dyn Fn(&TableName, Option<&str>) -> bool + Sync);

/// Decides whether the rows of a table are restored.
pub type Takes<'a> = &'a (dyn Fn(&TableName) -> bool + Sync);

/// What the spec asks for.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Where the target is, for people.
    pub endpoint: &'a str,
    /// The target's label.
    pub environment: Option<&'a str>,
    /// How old and new stand to each other.
    pub strategy: Strategy,
    /// How much the backup holds.
    pub backup: BackupMode,
    /// Where the schema comes from.
    pub schema: SchemaFrom,
    /// Where the rows come from.
    pub rows: RowsFrom<'a>,
    /// True if an export is loaded where the backup cannot be restored.
    pub falls_back: bool,
    /// True if a migrator runs after the rows.
    pub migrates: bool,
    /// True if rows of the target outlive a refresh.
    pub preserves: bool,
    /// True if there are fixtures.
    pub fixtures: bool,
    /// The commands that load rows, in order.
    pub loads: &'a [String],
    /// The workloads, in the order they are stopped, the read-only gate among them.
    pub workloads: &'a [String],
    /// The after-steps.
    pub tasks: &'a [String],
    /// Which sessions may be ended.
    pub may_end: MayEnd<'a>,
    /// Which tables get their rows back from the backup.
    pub takes: Takes<'a>,
    /// Which data may be left behind.
    pub may_drop: MayDrop<'a>,
    /// True if every restored row is compared with the backup.
    pub compares_content: bool,
    /// The keys of the spec that accept TLS without a verified certificate.
    pub unverified_tls: &'a [&'a str],
    /// BLAKE3 of the spec's meaning.
    pub spec_digest: &'a str,
}

impl Rules<'_> {
    /// True for labels that mean production.
    pub fn is_production(&self) -> bool {
        means_production(self.environment)
    }
}

/// True for labels that mean production.
pub(super) fn means_production(label: Option<&str>) -> bool {
    label.is_some_and(|label| {
        let label = label.to_lowercase();
        ["production", "prod", "live"].contains(&label.as_str())
    })
}
