//! What the types alone cannot say.

use std::collections::BTreeSet;

use super::{CheckSpec, RestoreFrom, SchemaSource, Spec};
use crate::error::{Error, Result};
use crate::traits::BackupMode;

/// Checks what concerns more than one key.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    schema(spec)?;
    names(spec)?;
    programs(spec)?;
    rows(spec)?;
    if !(-7..=19).contains(&spec.backup.compression) {
        return Err(Error::usage("backup.compression: is from -7 to 19"));
    }
    Ok(())
}

fn schema(spec: &Spec) -> Result<()> {
    let schema = &spec.schema;
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("schema.{key}: {why}")));
    match schema.source {
        SchemaSource::Files if schema.files.is_empty() => {
            wrong("files", "the source \"files\" needs patterns of files")
        }
        SchemaSource::Command if schema.command.is_none() => {
            wrong("command", "the source \"command\" needs [schema.command]")
        }
        SchemaSource::Backup | SchemaSource::Command if !schema.files.is_empty() => {
            wrong("files", "is only used with source = \"files\"")
        }
        SchemaSource::Backup | SchemaSource::Files if schema.command.is_some() => {
            wrong("command", "is only used with source = \"command\"")
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
        ("load", spec.loads.iter().map(|c| &c.name).collect()),
        ("after", spec.after.iter().map(|c| &c.name).collect()),
    ];
    for (key, list) in lists {
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

fn programs(spec: &Spec) -> Result<()> {
    let workloads = spec.workloads.iter().flat_map(|w| {
        let status = w.status.iter().map(|p| ("workload.status", p));
        [("workload.stop", &w.stop), ("workload.start", &w.start)]
            .into_iter()
            .chain(status)
    });
    let commands = spec
        .loads
        .iter()
        .map(|c| ("load.command", &c.command))
        .chain(spec.after.iter().map(|c| ("after.command", &c.command)))
        .chain(
            spec.schema
                .command
                .iter()
                .map(|c| ("schema.command.argv", &c.argv)),
        )
        .chain(
            spec.hooks
                .on_success
                .iter()
                .map(|p| ("hooks.on_success", p)),
        )
        .chain(
            spec.hooks
                .on_failure
                .iter()
                .map(|p| ("hooks.on_failure", p)),
        );
    for (key, program) in workloads.chain(commands) {
        if program.first().is_none_or(String::is_empty) {
            return Err(Error::usage(format!("{key}: names no program")));
        }
    }
    Ok(())
}

fn rows(spec: &Spec) -> Result<()> {
    if spec.restore.source == RestoreFrom::Backup && spec.backup.mode != BackupMode::Full {
        return Err(
            Error::usage("backup.mode: a backup without rows cannot be restored from")
                .hint("use mode = \"full\", or restore.source = \"none\""),
        );
    }
    match (spec.restore.source, &spec.restore.csv) {
        (RestoreFrom::Csv, None) => {
            return Err(Error::usage(
                "restore.csv: the source \"csv\" needs the folder of the files",
            ));
        }
        (RestoreFrom::Backup | RestoreFrom::None, Some(_)) => {
            return Err(Error::usage(
                "restore.csv: is only used with source = \"csv\"",
            ));
        }
        _ => {}
    }
    let compares =
        |c: &CheckSpec| matches!(c, CheckSpec::Counts { .. } | CheckSpec::Content { .. });
    if spec.restore.source != RestoreFrom::Backup && spec.checks.iter().any(compares) {
        return Err(Error::usage(
            "verify: counts and content compare with the backup, and no rows are restored from it",
        )
        .hint("use kind = \"query\" or kind = \"tables\""));
    }
    Ok(())
}
