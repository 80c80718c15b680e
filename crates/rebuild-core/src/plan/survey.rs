//! The facts a plan is made from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::model::infrastructure::PlannedChanges;
use crate::model::{ClusterFacts, GcpFacts, Identity, InstanceFacts, Inventory, TableName};
use crate::traits::{AppliedFile, SchemaState};

/// An external program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFacts {
    /// Its name, for example `pg_dump`.
    pub name: String,
    /// The file that would run.
    pub path: String,
    /// Its major version.
    pub major: u32,
    /// What `--version` printed.
    pub version: String,
}

/// How one table differs between the live schema and the schema files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableDrift {
    /// The table.
    pub table: TableName,
    /// Columns that only the files have, with their types.
    pub new_columns: Vec<(String, String)>,
    /// Columns that only the live table has, with their types.
    pub lost_columns: Vec<(String, String)>,
    /// Columns of another type: (column, live, files).
    pub changed_columns: Vec<(String, String, String)>,
}

/// The difference between the live schema and the one its files describe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// Tables that only the files have.
    pub new_tables: Vec<TableName>,
    /// Tables that only the live database has, with the rows they are estimated to hold.
    pub lost_tables: Vec<(TableName, Option<u64>)>,
    /// Tables on both sides that differ in their columns.
    pub tables: Vec<TableDrift>,
    /// Every other object that differs (indexes, constraints, functions, views, triggers,
    /// grants, ...): (`+` only in the files, `-` only live, `~` different; what it is).
    pub objects: Vec<(char, String)>,
}

impl Drift {
    /// True when both sides are the same.
    pub fn is_empty(&self) -> bool {
        self.new_tables.is_empty()
            && self.lost_tables.is_empty()
            && self.tables.is_empty()
            && self.objects.is_empty()
    }
}

/// The database that the rows of a refresh come from, and what becomes of them on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceSurvey {
    /// Where it is, without the password.
    pub endpoint: String,
    /// Which database.
    pub identity: Identity,
    /// The major version of its server.
    pub server_major: u32,
    /// Its size.
    pub bytes: u64,
    /// Every column that is masked: (table, column, how).
    pub masked: Vec<(TableName, String, String)>,
    /// Every table of which not all rows are copied: (table, which are).
    pub chosen: Vec<(TableName, String)>,
    /// What outlives the refresh, and how, a line each.
    pub preserved: Vec<String>,
    /// What the operator should know, a line each.
    pub notes: Vec<String>,
    /// What does not let the refresh run.
    pub refusals: Vec<Refusal>,
}

/// What an infrastructure-as-code tool would do in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedInfrastructure {
    /// Its name in the spec.
    pub name: String,
    /// What it would change. The run does nothing else.
    pub changes: PlannedChanges,
    /// The command line by which a person sees what there is to do, or what is there.
    pub by_hand: String,
}

/// What a [`Surveyor`](crate::traits::Surveyor) found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Survey {
    /// The target and its server.
    pub inventory: Inventory,
    /// A hash of the live schema: every object's definition, no rows. BLAKE3 in hexadecimal.
    pub schema_hash: String,
    /// The client programs that the run will use.
    pub tools: Vec<ToolFacts>,
    /// Where the target's schema stands.
    pub schema: SchemaState,
    /// The files that add rows to the new database, in order, with the checksums they have now.
    #[serde(default)]
    pub fixtures: Vec<AppliedFile>,
    /// The source of a refresh.
    #[serde(default)]
    pub source: Option<SourceSurvey>,
    /// What is in the namespace of the cluster that the spec names.
    #[serde(default)]
    pub cluster: Option<ClusterFacts>,
    /// The managed instance that the target is in.
    #[serde(default)]
    pub instance: Option<Box<InstanceFacts>>,
    /// What would be used in the project of Google Cloud that the spec names.
    #[serde(default)]
    pub gcp: Option<Box<GcpFacts>>,
    /// What infrastructure-as-code tools would change, in the order of the spec.
    #[serde(default)]
    pub infrastructure: Vec<PlannedInfrastructure>,
    /// The drift, where the spec has schema files or a migrator and it was asked for; of a
    /// refresh, the way to the source's schema.
    pub drift: Option<Drift>,
    /// A hash, as [`schema_hash`](Self::schema_hash), of the schema that the files or the
    /// migrator make; there when there is a drift.
    pub new_schema_hash: Option<String>,
    /// The migration tool and the version that a new database comes to, as
    /// [`SchemaState::migration`] tells of the live one; there when a migrator made the schema that
    /// the drift was found by, or when it is the source's.
    #[serde(default)]
    pub new_migration: Option<(String, String)>,
    /// Free bytes on the store's disk, where it has one.
    pub store_free_bytes: Option<u64>,
    /// Free bytes on the server's data disk, where that can be known.
    pub server_free_bytes: Option<u64>,
    /// True if the store lies inside the server's data directory or on a path that the run
    /// destroys.
    pub store_inside_target: bool,
}

/// What a database has in its comment to say of itself that it is production, whatever a spec calls
/// it: a label in a spec is gone with the spec. A promote hands the comment on.
pub const PRODUCTION_MARK: &str = "rebuild:production";

impl Survey {
    /// True if the target carries [`PRODUCTION_MARK`].
    pub(super) fn says_production(&self) -> bool {
        let comment = self.inventory.database.comment.as_deref();
        comment.is_some_and(|comment| comment.to_lowercase().contains(PRODUCTION_MARK))
    }

    /// True if infrastructure goes that is known to hold data, or a whole instance.
    pub(super) fn destroys_data(&self) -> bool {
        let mut planned = self.infrastructure.iter();
        planned.any(|planned| planned.changes.destroys_data())
            || self.instance.as_ref().is_some_and(|i| i.replaced.is_some())
    }

    /// The tables whose rows have no place in the new schema, with the rows they are estimated to
    /// hold. A partition is not one of them if the root of its tree stays: other partitions take
    /// its rows, or the table does that the root is then.
    pub(super) fn lost_tables(&self) -> impl Iterator<Item = (&TableName, Option<u64>)> {
        let lost = self.drift.iter().flat_map(|drift| &drift.lost_tables);
        let stays = move |root: &TableName| {
            let lost = self.drift.iter().flat_map(|drift| &drift.lost_tables);
            !lost.into_iter().any(|(table, _)| table == root)
        };
        let has_place = move |name: &TableName| {
            let table = self.inventory.tables.iter().find(|t| t.table == *name);
            let root = table.and_then(|t| t.partition_of.as_ref());
            root.is_some_and(stays)
        };
        lost.filter(move |(table, _)| !has_place(table))
            .map(|(table, rows)| (table, *rows))
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;
    use crate::testing::sim::Sim;
    use crate::testing::survey::{rules, survey};

    #[test]
    fn a_target_that_calls_itself_production_is_that_whatever_the_spec_says() {
        let plan = |comment: &str| {
            let mut survey = survey(Sim::with_app().identity("app").expect("app"));
            survey.inventory.database.comment = Some(comment.to_owned());
            let mut development = rules();
            development.environment = Some("development");
            Plan::build(&development, survey).expect("a plan")
        };
        let other = plan("about the production of cars");
        assert!(!other.is_production());
        other.permit_run(None).expect("no label");
        for comment in ["rebuild:production", "the app; Rebuild:Production"] {
            let plan = plan(comment);
            assert!(plan.is_production(), "{comment}");
            let e = plan.permit_run(None).expect_err(comment);
            assert!(e.to_string().contains("the comment of \"app\""), "{e}");
            plan.permit_run(Some("app")).expect("typed");
        }
    }
}
