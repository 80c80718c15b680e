//! From the spec to the rules of its plan.

use super::Project;
use super::compose::choice;
use super::doers::compares_content;
use super::teardown::policy;
use crate::error::Result;
use crate::model::{SessionFacts, TableName};
use crate::plan::{RowsFrom, Rules, SchemaFrom, Strategy};
use crate::postgres;
use crate::spec::{CommandSpec, RestoreFrom, SchemaSource, Spec, StrategySpec};

impl Project {
    /// Calls `with` with the spec's rules.
    pub(super) fn with_rules<T>(&self, with: impl FnOnce(&Rules<'_>) -> T) -> Result<T> {
        with_rules(&self.spec, &self.endpoint.describe(), with)
    }
}

/// Calls `with` with the rules of `spec`, whose target is at `endpoint`.
pub(crate) fn with_rules<T>(
    spec: &Spec,
    endpoint: &str,
    with: impl FnOnce(&Rules<'_>) -> T,
) -> Result<T> {
    let policy = policy(spec)?;
    let choice = choice(spec)?;
    let mut workloads: Vec<String> = spec.workloads.iter().map(|w| w.name.clone()).collect();
    if spec.quiesce.read_only {
        workloads.push(postgres::READ_ONLY_GATE.to_owned());
    }
    let names = |commands: &[CommandSpec]| -> Vec<String> {
        commands.iter().map(|c| c.name.clone()).collect()
    };
    let (loads, tasks) = (names(&spec.loads), names(&spec.after));
    // What an earlier verb has closed is still listed for a moment, and waited for by the run.
    let may_end =
        |session: &SessionFacts| policy.allows(session) || postgres::is_ours(&session.application);
    let may_drop = |table: &TableName, column: Option<&str>| match column {
        Some(column) => choice.may_drop.matches_column(table, column),
        None => choice.may_drop.matches(table),
    };
    let takes = |table: &TableName| choice.tables.is_empty() || choice.tables.matches(table);
    let source = spec
        .source
        .as_ref()
        .is_some_and(|source| source.insecure_tls);
    let unverified_tls: Vec<&str> = [
        ("target.insecure_tls", spec.target.insecure_tls),
        ("source.insecure_tls", source),
    ]
    .into_iter()
    .filter_map(|(key, is_set)| is_set.then_some(key))
    .collect();
    Ok(with(&Rules {
        endpoint,
        environment: spec.target.environment.as_deref(),
        strategy: match spec.target.strategy {
            StrategySpec::Aside => Strategy::Aside,
            StrategySpec::InPlace => Strategy::InPlace,
        },
        backup: spec.backup.mode,
        schema: match spec.schema_from() {
            SchemaSource::Backup => SchemaFrom::Backup,
            SchemaSource::Files => SchemaFrom::Files,
            SchemaSource::Command => SchemaFrom::Command,
            SchemaSource::Function => SchemaFrom::Function,
            SchemaSource::Source => SchemaFrom::Source,
        },
        rows: match spec.rows_from() {
            RestoreFrom::None => RowsFrom::Nowhere,
            RestoreFrom::Backup => RowsFrom::Backup,
            RestoreFrom::Csv => RowsFrom::Csv(spec.restore.csv.as_deref().unwrap_or_default()),
            RestoreFrom::Source => RowsFrom::Source,
            RestoreFrom::Function => {
                RowsFrom::Function(spec.restore.function.as_deref().unwrap_or_default())
            }
        },
        falls_back: spec.restore.fallback.is_some(),
        migrates: spec.migrate.is_some(),
        preserves: !spec.preserve.is_empty(),
        fixtures: !spec.schema.fixtures.is_empty(),
        loads: &loads,
        workloads: &workloads,
        tasks: &tasks,
        may_end: &may_end,
        takes: &takes,
        may_drop: &may_drop,
        compares_content: spec.checks.iter().any(compares_content),
        unverified_tls: &unverified_tls,
        spec_digest: spec.digest(),
    }))
}
