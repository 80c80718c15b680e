//! What the types alone cannot say.

use std::collections::BTreeSet;

use super::{CheckSpec, RestoreFrom, SchemaSource, Spec, StrategySpec};
use crate::error::{Error, Result};
use crate::traits::BackupMode;

/// Checks what concerns more than one key.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    super::kubernetes::check(spec)?;
    spec.gcp.as_ref().map_or(Ok(()), super::gcp::check)?;
    super::cloudsql::check(spec)?;
    schema(spec)?;
    names(spec)?;
    super::programs::check(spec)?;
    infrastructure(spec)?;
    rows(spec)?;
    refresh(spec)?;
    if !(-7..=19).contains(&spec.backup.compression) {
        return Err(Error::usage("backup.compression: is from -7 to 19"));
    }
    Ok(())
}

fn schema(spec: &Spec) -> Result<()> {
    let schema = &spec.schema;
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("schema.{key}: {why}")));
    match spec.schema_from() {
        SchemaSource::Files if schema.files.is_empty() => {
            wrong("files", "the source \"files\" needs patterns of files")
        }
        SchemaSource::Command if schema.command.is_none() => {
            wrong("command", "the source \"command\" needs [schema.command]")
        }
        SchemaSource::Function if schema.function.is_none() => wrong(
            "function",
            "the source \"function\" needs the function's name",
        ),
        source if source != SchemaSource::Files && !schema.files.is_empty() => {
            wrong("files", "is only used with source = \"files\"")
        }
        source if source != SchemaSource::Command && schema.command.is_some() => {
            wrong("command", "is only used with source = \"command\"")
        }
        source if source != SchemaSource::Function && schema.function.is_some() => {
            wrong("function", "is only used with source = \"function\"")
        }
        source if source != SchemaSource::Function && schema.timeout.is_some() => {
            wrong("timeout", "is only used with source = \"function\"")
        }
        SchemaSource::Backup if spec.backup.mode == BackupMode::CountsOnly => {
            wrong("source", "a backup of counts alone holds no schema")
        }
        _ => Ok(()),
    }
}

fn names(spec: &Spec) -> Result<()> {
    let lists = [
        (
            "workload",
            spec.workloads.iter().map(|w| &w.name).collect::<Vec<_>>(),
        ),
        (
            "infrastructure",
            spec.infrastructure.iter().map(|i| &i.name).collect(),
        ),
        ("load", spec.loads.iter().map(|c| &c.name).collect()),
        ("after", spec.after.iter().map(|c| &c.name).collect()),
        ("verify", functions_of(&spec.checks).collect()),
    ];
    let remedies = (spec.after.iter()).filter_map(|after| after.bigquery.as_ref());
    let remedies = remedies.map(|b| {
        let names = b.remedy.iter().map(|step| &step.name);
        ("after.bigquery.remedy", names.collect())
    });
    for (key, list) in lists.into_iter().chain(remedies) {
        let mut seen = BTreeSet::new();
        for name in list {
            if name.is_empty() {
                return Err(Error::usage(format!("{key}.name: is empty")));
            }
            if !seen.insert(name) {
                return Err(Error::usage(format!("{key}.name: {name:?} is there twice")));
            }
        }
    }
    Ok(())
}

fn functions_of(checks: &[CheckSpec]) -> impl Iterator<Item = &String> {
    checks.iter().filter_map(|check| match check {
        CheckSpec::Function { name, .. } => Some(name),
        _ => None,
    })
}

fn infrastructure(spec: &Spec) -> Result<()> {
    spec.infrastructure.iter().try_for_each(|tool| {
        tool.check().map_err(|e| {
            let error = Error::usage(format!("infrastructure {:?}: {e}", tool.name));
            match e.advice() {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    })
}

fn rows(spec: &Spec) -> Result<()> {
    if spec.rows_from() == RestoreFrom::Backup && spec.backup.mode != BackupMode::Full {
        return Err(
            Error::usage("backup.mode: a backup without rows cannot be restored from")
                .hint("use mode = \"full\", or restore.source = \"none\""),
        );
    }
    let restore = &spec.restore;
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("restore.{key}: {why}")));
    match spec.rows_from() {
        RestoreFrom::Csv if restore.csv.is_none() => {
            return wrong("csv", "the source \"csv\" needs the folder of the files");
        }
        RestoreFrom::Function if restore.function.is_none() => {
            return wrong(
                "function",
                "the source \"function\" needs the function's name",
            );
        }
        source if source != RestoreFrom::Csv && restore.csv.is_some() => {
            return wrong("csv", "is only used with source = \"csv\"");
        }
        source if source != RestoreFrom::Function && restore.function.is_some() => {
            return wrong("function", "is only used with source = \"function\"");
        }
        source if source != RestoreFrom::Function && restore.timeout.is_some() => {
            return wrong("timeout", "is only used with source = \"function\"");
        }
        _ => {}
    }
    let compares =
        |c: &CheckSpec| matches!(c, CheckSpec::Counts { .. } | CheckSpec::Content { .. });
    if spec.rows_from() != RestoreFrom::Backup && spec.checks.iter().any(compares) {
        return Err(Error::usage(
            "verify: counts and content compare with the backup, and no rows are restored from it",
        )
        .hint("use kind = \"query\" or kind = \"tables\""));
    }
    Ok(())
}

fn refresh(spec: &Spec) -> Result<()> {
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("{key}: {why}")));
    let from_source = spec.rows_from() == RestoreFrom::Source;
    match &spec.source {
        None if from_source => {
            return wrong(
                "restore.source",
                "the rows come from a source, and there is no [source]",
            );
        }
        None if spec.schema_from() == SchemaSource::Source => {
            return wrong(
                "schema.source",
                "the schema comes from a source, and there is no [source]",
            );
        }
        None if !spec.mask.columns.is_empty() || !spec.mask.require.is_empty() => {
            return wrong("mask", "only what comes from a [source] is masked");
        }
        None if !spec.preserve.is_empty() => {
            return wrong(
                "preserve",
                "rows are preserved where others come from a [source]",
            );
        }
        None => return Ok(()),
        Some(_) if !from_source => {
            return wrong("restore.source", "with a [source], the rows come from it");
        }
        Some(_) => {}
    }
    if spec.schema_from() == SchemaSource::Backup {
        return wrong(
            "schema.source",
            "rows of a source do not go into the schema of the backup",
        );
    }
    if spec.target.strategy == StrategySpec::InPlace {
        return wrong(
            "target.strategy",
            "a refresh goes aside: the target stays as it is until it is done",
        );
    }
    if !spec.preserve.is_empty() && spec.backup.mode != BackupMode::Full {
        return wrong(
            "backup.mode",
            "rows that cannot be put back must be in the backup; use \"full\"",
        );
    }
    let mut seen = BTreeSet::new();
    match spec.preserve.iter().find(|p| !seen.insert(&p.table)) {
        Some(twice) => wrong(
            "preserve.table",
            &format!("{:?} is there twice", twice.table),
        ),
        None => Ok(()),
    }
}
