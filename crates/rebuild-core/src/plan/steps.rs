//! The steps of a run, in order.

use super::{
    PlannedStep, RowsFrom, Rules, SchemaFrom, StepKind, Strategy, Survey, infrastructure, instance,
    replaced,
};
use crate::traits::BackupMode;

pub(super) fn steps(rules: &Rules<'_>, survey: &Survey) -> Vec<PlannedStep> {
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
    let first = instance::users_first(survey);
    let made = match (rules.strategy, replaced::whole(survey)) {
        (_, Some(server)) => server.provision(name),
        (Strategy::Aside, None) => format!("{first}make a new database beside {name:?}"),
        (Strategy::InPlace, None) => format!("{first}make a new database {name:?}"),
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
