//! Which migrations the two sides of a refresh are at.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity};
use crate::plan::Refusal;
use crate::postgres::{Recorded, Session, migrations};
use crate::spec::MigrationPolicy;
use crate::traits::{SchemaApplied, SchemaApplier, SchemaState};

/// A migrator after the rows of a source that was older: it must come at least to where the target
/// is.
pub struct CatchUp {
    /// The migrator.
    pub(crate) migrator: Arc<dyn SchemaApplier>,
    /// The target's server, at any database.
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Identity,
}

#[async_trait]
impl SchemaApplier for CatchUp {
    async fn look(&self, ctx: &Ctx, db: &Identity) -> Result<SchemaState> {
        self.migrator.look(ctx, db).await
    }

    async fn apply(&self, ctx: &Ctx, db: &Identity, backup: &BackupId) -> Result<SchemaApplied> {
        let applied = self.migrator.apply(ctx, db, backup).await?;
        let there = self.recorded(ctx, &self.target).await?;
        let here = self.recorded(ctx, db).await?;
        let lacking = lacking(&here, &there);
        if lacking.is_empty() {
            return Ok(applied);
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "after the migrator {db} lacks what the target has: {}",
                lacking.join(", ")
            ),
        )
        .hint("see that [migrate] runs the migrations that the target runs"))
    }
}

/// The migrations of `there` that are not `here`, as far as they are recorded one by one.
fn lacking(here: &[Recorded], there: &[Recorded]) -> Vec<String> {
    let mut lacking = Vec::new();
    for side in there {
        let same = here
            .iter()
            .find(|r| r.tool == side.tool && r.table == side.table);
        let has = |name: &String| {
            let applied = same.and_then(|r| r.applied.as_ref());
            applied.is_some_and(|applied| applied.contains_key(name))
        };
        let names = side.applied.iter().flat_map(|applied| applied.keys());
        let missing = names.filter(|name| !has(name));
        lacking.extend(missing.map(|name| format!("{} {name}", side.tool)));
    }
    lacking
}

impl CatchUp {
    async fn recorded(&self, ctx: &Ctx, db: &Identity) -> Result<Vec<Recorded>> {
        let session = Session::open_at(&self.endpoint, db, ctx).await?;
        let session = session.only_read().await?;
        let recorded = migrations(&session).await;
        session.close().await;
        recorded
    }
}

/// How the migrations of source and target differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MigrationDifference {
    /// Those that only the source has.
    pub(crate) only_source: Vec<String>,
    /// Those that only the target has.
    pub(crate) only_target: Vec<String>,
    /// Those that both have, with other checksums.
    pub(crate) changed: Vec<String>,
    /// True if a tool records on one side alone, or records no more than its newest migration and
    /// that differs.
    pub(crate) unclear: bool,
}

impl MigrationDifference {
    /// What `source` and `target` record, side by side.
    pub(crate) fn of(source: &[Recorded], target: &[Recorded]) -> Self {
        let mut found = Self::default();
        let keys: BTreeSet<(&str, String)> = source
            .iter()
            .chain(target)
            .map(|r| (r.tool, r.table.to_string()))
            .collect();
        for (tool, table) in keys {
            let of = |side: &'_ [Recorded]| {
                let mut found = side.iter();
                found
                    .find(|r| r.tool == tool && r.table.to_string() == table)
                    .cloned()
            };
            found.add(of(source), of(target));
        }
        found
    }

    fn add(&mut self, source: Option<Recorded>, target: Option<Recorded>) {
        match (source, target) {
            (Some(source), Some(target)) => match (&source.applied, &target.applied) {
                (Some(here), Some(there)) => {
                    let names = |one: &Recorded, others: &std::collections::BTreeMap<_, _>| {
                        let applied = one.applied.iter().flat_map(|a| a.keys());
                        let lacking = applied.filter(|name| !others.contains_key(*name));
                        lacking
                            .map(|name| format!("{} {name}", one.tool))
                            .collect::<Vec<_>>()
                    };
                    self.only_source.extend(names(&source, there));
                    self.only_target.extend(names(&target, here));
                    let changed = here
                        .iter()
                        .filter(|(name, sum)| there.get(*name).is_some_and(|other| other != *sum));
                    let tool = source.tool;
                    self.changed
                        .extend(changed.map(|(name, _)| format!("{tool} {name}")));
                }
                _ if source.version == target.version => {}
                _ => {
                    self.unclear = true;
                    self.only_source.push(newest(&source));
                    self.only_target.push(newest(&target));
                }
            },
            (one, other) => {
                self.unclear = true;
                self.only_source.extend(one.as_ref().map(newest));
                self.only_target.extend(other.as_ref().map(newest));
            }
        }
    }

    /// What the one query of a spec says of each side.
    pub(crate) fn of_versions(source: &str, target: &str) -> Self {
        if source == target {
            return Self::default();
        }
        Self {
            only_source: vec![format!("version {source}")],
            only_target: vec![format!("version {target}")],
            changed: Vec::new(),
            unclear: true,
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The refusal that `policy` makes of the difference; `migrates` says whether the spec runs a
    /// migrator.
    pub(crate) fn refusal(&self, policy: MigrationPolicy, migrates: bool) -> Option<Refusal> {
        if self.is_none() || policy == MigrationPolicy::Any {
            return None;
        }
        let refuse = |message: String, hint: &str| {
            Some(Refusal {
                guard: "migrations".to_owned(),
                message,
                hint: hint.to_owned(),
            })
        };
        if policy == MigrationPolicy::Equal {
            return refuse(
                format!("source and target are not at the same migrations: {self}"),
                "migrate the older side first, or set source.migrations to \"source-older\" or \"any\"",
            );
        }
        if self.unclear {
            return refuse(
                format!("it cannot be told which side is older: {self}"),
                "migrate the older side first, or set source.migrations to \"any\"",
            );
        }
        if !self.only_source.is_empty() || !self.changed.is_empty() {
            return refuse(
                format!("the source is not older than the target: {self}"),
                "migrate the target first, or set source.migrations to \"any\"",
            );
        }
        if !migrates {
            return refuse(
                format!("the source is older, and nothing would migrate its rows: {self}"),
                "add [migrate] with the migrator's argv",
            );
        }
        None
    }
}

fn newest(recorded: &Recorded) -> String {
    format!("{} at {}", recorded.tool, recorded.version)
}

impl std::fmt::Display for MigrationDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("only in the source", &self.only_source),
            ("only in the target", &self.only_target),
            ("changed since", &self.changed),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(what, list)| format!("{what}: {}", list.join(", ")))
            .collect();
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::TableName;

    fn flyway(names: &[&str]) -> Vec<Recorded> {
        let sum = |n: &&str| {
            (
                n.trim_end_matches('*').to_owned(),
                Some(n.len().to_string()),
            )
        };
        vec![Recorded {
            tool: "Flyway",
            table: TableName::new("public", "flyway_schema_history"),
            version: String::new(),
            applied: Some(names.iter().map(sum).collect::<BTreeMap<_, _>>()),
        }]
    }

    fn alembic(version: &str) -> Vec<Recorded> {
        vec![Recorded {
            tool: "alembic",
            table: TableName::new("public", "alembic_version"),
            version: version.to_owned(),
            applied: None,
        }]
    }

    fn refused(source: &[Recorded], target: &[Recorded], policy: MigrationPolicy) -> bool {
        let difference = MigrationDifference::of(source, target);
        difference.refusal(policy, true).is_some()
    }

    #[test]
    fn a_migrator_may_go_further_than_the_target() {
        let (one, two) = (flyway(&["1"]), flyway(&["1", "2"]));
        assert_eq!(lacking(&one, &two), ["Flyway 2"]);
        assert_eq!(lacking(&[], &one), ["Flyway 1"]);
        assert!(lacking(&two, &one).is_empty());
        assert!(lacking(&alembic("b"), &alembic("a")).is_empty());
    }

    #[test]
    fn policies_decide_by_the_scripts() {
        use MigrationPolicy::{Any, Equal, SourceOlder};
        let (one, two, other) = (flyway(&["1"]), flyway(&["1", "2"]), flyway(&["1", "3"]));
        for policy in [Equal, SourceOlder, Any] {
            assert!(!refused(&two, &two, policy));
            assert!(!refused(&alembic("a"), &alembic("a"), policy));
        }
        for (source, target, allowed) in [
            (&one, &two, vec![SourceOlder, Any]),
            (&two, &one, vec![Any]),
            (&two, &other, vec![Any]),
            (&one, &flyway(&["1*", "2"]), vec![Any]),
            (&alembic("a"), &alembic("b"), vec![Any]),
            (&alembic("a"), &Vec::new(), vec![Any]),
        ] {
            for policy in [Equal, SourceOlder, Any] {
                let expected = !allowed.contains(&policy);
                let found = refused(source, target, policy);
                assert_eq!(found, expected, "{source:?} {target:?} {policy:?}");
            }
        }
        let older = MigrationDifference::of(&one, &two);
        assert_eq!(older.to_string(), "only in the target: Flyway 2");
        let hint = older
            .refusal(SourceOlder, false)
            .expect("nothing migrates")
            .hint;
        assert!(hint.contains("[migrate]"));
    }
}
