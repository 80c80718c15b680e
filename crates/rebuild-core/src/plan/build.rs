//! From the spec's rules and the survey to a plan. Pure: the same input gives the same plan.

use serde::Serialize;

use super::{
    PLAN_VERSION, Plan, PlannedStep, RowsFrom, Rules, SchemaFrom, StepKind, Strategy, Survey, gcp,
    guards, infrastructure, instance, refresh, releases, replaced,
};
use crate::error::{Error, Result};
use crate::model::{ReplacedInstance, ReplacedServer, TableKind};
use crate::traits::{AppliedFile, BackupMode};

impl Plan {
    /// The plan for `rules` in the state that `survey` found.
    ///
    /// # Errors
    /// Never in practice; the survey has a JSON form to make the digest from.
    pub fn build(rules: &Rules<'_>, survey: Survey) -> Result<Self> {
        Ok(Self {
            version: PLAN_VERSION,
            target: survey.inventory.database.identity.clone(),
            endpoint: rules.endpoint.to_owned(),
            environment: rules.environment.map(ToOwned::to_owned),
            strategy: rules.strategy,
            steps: steps(rules, &survey),
            losses: losses(rules, &survey),
            warnings: warnings(rules, &survey),
            refusals: guards::check(rules, &survey),
            needs_confirmation: rules.is_production()
                || survey.says_production()
                || survey.destroys_data(),
            spec_digest: rules.spec_digest.to_owned(),
            digest: digest(rules, &survey)?,
            survey,
        })
    }
}

/// What must not change between the plan and the run. Row counts and sessions are not in it:
/// they change all the time, and the guards look at them again. The drift is in it by the hashes
/// of its two sides.
fn digest(rules: &Rules<'_>, survey: &Survey) -> Result<String> {
    #[derive(Serialize)]
    struct State<'a> {
        spec: &'a str,
        server: &'a str,
        server_version: u32,
        server_at: (&'a str, Option<&'a str>),
        uid: &'a str,
        name: &'a str,
        schema: &'a str,
        new_schema: Option<&'a str>,
        source: Option<(&'a str, &'a str)>,
        files: &'a [AppliedFile],
        fixtures: &'a [AppliedFile],
        tools: Vec<(&'a str, u32)>,
        replaced: Option<&'a ReplacedServer>,
        instance: Option<&'a ReplacedInstance>,
        infrastructure: Vec<(&'a str, &'a str)>,
    }
    let identity = &survey.inventory.database.identity;
    let state = State {
        spec: rules.spec_digest,
        server: &identity.server,
        server_version: survey.inventory.server.version_num,
        server_at: (
            &survey.inventory.server.address,
            survey.inventory.server.data_directory.as_deref(),
        ),
        uid: &identity.uid,
        name: &identity.name,
        schema: &survey.schema_hash,
        new_schema: survey.new_schema_hash.as_deref(),
        source: survey.source.as_ref().map(|source| {
            let identity = &source.identity;
            (identity.server.as_str(), identity.uid.as_str())
        }),
        files: &survey.schema.files,
        fixtures: &survey.fixtures,
        tools: survey
            .tools
            .iter()
            .map(|t| (t.path.as_str(), t.major))
            .collect(),
        replaced: survey.cluster.as_ref().and_then(|c| c.replaced.as_ref()),
        instance: survey.instance.as_ref().and_then(|i| i.replaced.as_ref()),
        infrastructure: infrastructure::digests(survey),
    };
    let bytes = serde_json::to_vec(&state)
        .map_err(|e| Error::internal("the state has no JSON form").caused_by(e))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn steps(rules: &Rules<'_>, survey: &Survey) -> Vec<PlannedStep> {
    let name = &survey.inventory.database.identity.name;
    let mut steps = Steps::default();
    for workload in rules.workloads {
        steps.add(
            format!("stop-{}", slug(workload)),
            StepKind::Stop {
                workload: workload.clone(),
            },
            format!("stop {workload}"),
        );
    }
    let what = match rules.backup {
        BackupMode::Full => "back up schema and rows",
        BackupMode::SchemaOnly => "back up the schema, without rows",
        BackupMode::CountsOnly => "record the row counts, without rows",
    };
    let what = match rules.backup {
        BackupMode::Full => format!("{what}{}", instance::besides(survey)),
        BackupMode::SchemaOnly | BackupMode::CountsOnly => what.to_owned(),
    };
    steps.add("backup", StepKind::Backup { mode: rules.backup }, what);
    steps.add(
        "check-backup",
        StepKind::CheckBackup,
        "read the backup back and prove it",
    );
    if rules.strategy == Strategy::InPlace {
        steps.add(
            "retire",
            StepKind::Retire,
            match replaced::whole(survey) {
                Some(server) => server.retire(),
                None => {
                    format!("move {name:?} aside by renaming it; clients are shut out from here")
                }
            },
        );
    }
    for (name, title) in infrastructure::steps(survey) {
        let kind = StepKind::Infrastructure {
            name: name.to_owned(),
        };
        steps.add(format!("infrastructure-{}", slug(name)), kind, title);
    }
    let made = match (rules.strategy, replaced::whole(survey)) {
        (_, Some(server)) => server.provision(name),
        (Strategy::Aside, None) => format!("make a new database beside {name:?}"),
        (Strategy::InPlace, None) => format!("make a new database {name:?}"),
    };
    steps.add("provision", StepKind::Provision, made);
    let schema = match rules.schema {
        SchemaFrom::Backup => "apply the schema from the backup",
        SchemaFrom::Files => "apply the schema files",
        SchemaFrom::Command => "run the migrator",
        SchemaFrom::Function => "migrate with the program's own function",
        SchemaFrom::Source => "apply the schema of the source",
    };
    steps.add("schema", StepKind::Schema, schema);
    let rows = match rules.rows {
        RowsFrom::Nowhere => None,
        RowsFrom::Backup if rules.falls_back => Some(
            "restore the rows; if the backup cannot be restored, load the export that was taken with it"
                .to_owned(),
        ),
        RowsFrom::Backup => Some("restore the rows".to_owned()),
        RowsFrom::Csv(folder) => Some(format!("restore rows from the CSV files in {folder:?}")),
        RowsFrom::Function(function) => Some(format!("restore rows with {function}")),
        RowsFrom::Source => {
            let source = survey.source.as_ref();
            let masked = source.is_some_and(|source| !source.masked.is_empty());
            let how = if masked { ", masked there" } else { "" };
            Some(format!("bring the rows of the source{how}"))
        }
    };
    if let Some(title) = rows {
        steps.add("restore", StepKind::Restore, title);
    }
    if rules.migrates {
        let title = "bring the schema to its newest version";
        steps.add("migrate", StepKind::Migrate, title);
    }
    if rules.preserves {
        let title = format!("put rows of {name:?} back that outlive the refresh");
        steps.add("preserve", StepKind::Preserve, title);
    }
    if rules.fixtures {
        steps.add("fixtures", StepKind::Fixtures, "apply the fixtures");
    }
    for load in rules.loads {
        steps.add(
            format!("load-{}", slug(load)),
            StepKind::Load { name: load.clone() },
            format!("load rows with {load}"),
        );
    }
    steps.add(
        "finish",
        StepKind::Finish,
        "refresh materialised views and gather statistics",
    );
    steps.add("verify", StepKind::Verify, "verify the new database");
    let promote = match rules.strategy {
        Strategy::Aside => {
            format!("put the new database in the place of {name:?}, in one transaction")
        }
        Strategy::InPlace => format!("declare the new database {name:?} to be in service"),
    };
    steps.add("promote", StepKind::Promote, promote);
    for workload in rules.workloads.iter().rev() {
        steps.add(
            format!("start-{}", slug(workload)),
            StepKind::Start {
                workload: workload.clone(),
            },
            format!("start {workload}"),
        );
    }
    for task in rules.tasks {
        steps.add(
            format!("after-{}", slug(task)),
            StepKind::Task { name: task.clone() },
            format!("run {task}"),
        );
    }
    steps.add(
        "verify-live",
        StepKind::VerifyLive,
        "verify the database in service",
    );
    steps.0
}

#[derive(Default)]
struct Steps(Vec<PlannedStep>);

impl Steps {
    /// Adds a step; two names that come out alike are told apart by a number.
    fn add(&mut self, id: impl Into<String>, kind: StepKind, title: impl Into<String>) {
        let base = id.into();
        let taken = |id: &str| self.0.iter().any(|s| s.id == id);
        let mut id = base.clone();
        let mut n = 2;
        while taken(&id) {
            id = format!("{base}-{n}");
            n += 1;
        }
        self.0.push(PlannedStep {
            id,
            kind,
            title: title.into(),
        });
    }
}

/// A name as part of a step's id.
fn slug(name: &str) -> String {
    let mapped: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    mapped.trim_matches('-').to_owned()
}

/// An estimate, for people.
pub(super) fn rows_about(rows: Option<u64>) -> String {
    rows.map_or_else(
        || "an unknown number of rows".to_owned(),
        |n| format!("about {n} rows"),
    )
}

fn losses(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    let inventory = &survey.inventory;
    let mut losses: Vec<String> = inventory
        .sessions
        .iter()
        .map(|s| {
            format!(
                "session ended: pid {} {:?} as {:?} from {} ({})",
                s.pid, s.application, s.role, s.client, s.state
            )
        })
        .collect();
    losses.extend(replaced::losses(survey));
    if rules.rows != RowsFrom::Backup {
        losses.push(format!(
            "the rows of {:?} are not carried over; they stay in the retired database{}",
            inventory.database.identity.name,
            if rules.backup == BackupMode::Full {
                " and in the backup"
            } else {
                ""
            }
        ));
        match rules.rows {
            RowsFrom::Nowhere | RowsFrom::Backup => {}
            RowsFrom::Source => losses.extend(refresh::losses(survey)),
            RowsFrom::Csv(folder) => losses.push(format!(
                "the new rows are those of the CSV files in {folder:?}, without large objects; \
                 they are not compared with the backup"
            )),
            RowsFrom::Function(function) => losses.push(format!(
                "the new rows are those that {function} restores; they are not compared with the \
                 backup"
            )),
        }
    } else if let Some(drift) = &survey.drift {
        for (table, rows) in survey.lost_tables() {
            losses.push(format!(
                "no place in the new schema: table {table} with {}",
                rows_about(rows)
            ));
        }
        for table in &drift.tables {
            for (column, kind) in &table.lost_columns {
                losses.push(format!(
                    "no place in the new schema: column {}.{column} ({kind})",
                    table.table
                ));
            }
        }
    }
    losses.extend(gcp::losses(survey));
    losses.extend(infrastructure::losses(survey));
    losses
}

fn warnings(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    let inventory = &survey.inventory;
    let mut warnings = Vec::new();
    let mut of_kind = |kind: TableKind, text: &str| {
        for table in inventory.tables.iter().filter(|t| t.kind == kind) {
            warnings.push(format!("{} {text}", table.table));
        }
    };
    of_kind(
        TableKind::Foreign,
        "is a foreign table: its rows live elsewhere and are not backed up",
    );
    of_kind(
        TableKind::Unlogged,
        "is unlogged: its rows would not outlive a crash of the server",
    );
    let here = replaced::whole(survey).is_none();
    if here && survey.server_free_bytes.is_none() && rules.rows != RowsFrom::Nowhere {
        warnings.push(format!(
            "the free space on the server cannot be seen from here; the new database needs about {} bytes",
            inventory.database.bytes
        ));
    }
    if inventory.server.standbys > 0 {
        warnings.push(format!(
            "{} standby(s) stream from this server and will receive the whole new database",
            inventory.server.standbys
        ));
    }
    if let (Some(then), Some(now)) = &inventory.database.collation_versions
        && then != now
    {
        warnings.push(format!(
            "the collation library is version {now}, and was {then} when the database was made; the rebuild sorts its indexes anew"
        ));
    }
    if rules.backup != BackupMode::Full {
        warnings.push(
            "the backup does not hold the rows: until it is purged, the retired database is their only copy".to_owned(),
        );
    }
    if rules.strategy == Strategy::InPlace {
        warnings.push(
            "in place: clients are shut out, or see a half-built database, until the end"
                .to_owned(),
        );
    }
    warnings.extend(releases::warnings(survey));
    warnings.extend(replaced::warnings(survey));
    warnings.extend(instance::warnings(survey));
    warnings.extend(gcp::warnings(survey));
    warnings.extend(infrastructure::warnings(survey));
    warnings.extend(migrations(rules, survey));
    let source = survey.source.iter();
    warnings.extend(source.flat_map(|source| source.notes.clone()));
    for file in &survey.schema.changed {
        warnings.push(format!(
            "schema file {file} changed after it was applied to the target"
        ));
    }
    warnings
}

/// What the versions say that migration tools record in the live and in the new schema.
fn migrations(rules: &Rules<'_>, survey: &Survey) -> Option<String> {
    if !matches!(rules.schema, SchemaFrom::Command | SchemaFrom::Function) {
        return None;
    }
    let drift = survey.drift.as_ref()?;
    let (tool, version) = survey.schema.migration.as_ref()?;
    match &survey.new_migration {
        None => Some(format!(
            "{tool} records {version} in the live database, and the new one has no migration \
             tool's table"
        )),
        Some((new, _)) if new != tool => Some(format!(
            "the live database was migrated by {tool}, and the new one is by {new}"
        )),
        Some((_, new)) if new == version && !drift.is_empty() => Some(format!(
            "{tool} is at {version} on both sides, and the schemas differ: the live one was \
             changed by hand, or a migration after it was applied"
        )),
        Some(_) => None,
    }
}
