//! `backup`, `backups …` and `restore`.

use std::fmt::Write as _;
use std::path::Path;

use rebuild_core::Result;
use rebuild_core::model::{BackupId, Identity, Outcome, Verdict};
use rebuild_core::plan::bytes;
use rebuild_core::postgres::{ExportFormat, Manifest, RoleMap};
use rebuild_core::project::{Project, Sharing};
use rebuild_core::traits::BackupSummary;

use crate::args::{Backups, ExportAs};
use crate::exit::Code;
use crate::output::Output;

pub(super) async fn take(
    project: &Project,
    sharing: Option<&Sharing>,
    output: &Output,
) -> Result<Code> {
    let (summary, verdict) = match sharing {
        Some(sharing) => project.backup_shared(sharing).await?,
        None => project.backup().await?,
    };
    output.data(&(&summary, &verdict), |(summary, verdict)| {
        line(summary) + &checks(verdict)
    });
    Ok(code(&verdict))
}

pub(super) async fn backups(project: &Project, command: Backups, output: &Output) -> Result<Code> {
    match command {
        Backups::List => {
            let list = project.backups().await?;
            output.data(&list, |list| list.iter().map(line).collect());
            Ok(Code::Done)
        }
        Backups::Show { backup } => {
            let shown = project.show_backup(&backup).await?;
            output.data(&shown, manifest);
            Ok(Code::Done)
        }
        Backups::Check {
            backup,
            restore,
            server_programs,
            sharing,
        } => {
            let id = project.backup_or_newest(backup).await?;
            let (summary, verdict) = match sharing.sharing() {
                Some(sharing) => project.check_backup_shared(&id, &sharing).await?,
                None if restore => {
                    let programs = server_programs.as_deref();
                    project.prove_backup(&id, programs).await?
                }
                None => project.check_backup(&id).await?,
            };
            output.data(&(&summary, &verdict), |(summary, verdict)| {
                line(summary) + &checks(verdict)
            });
            Ok(code(&verdict))
        }
        Backups::Export { backup, format, to } => {
            let format = match format {
                ExportAs::Csv => ExportFormat::Csv,
                ExportAs::Sql => ExportFormat::Sql,
            };
            let files = project.export_backup(&backup, &to, format).await?;
            output.data(&files, |files| {
                files.iter().map(|f| format!("{}\n", f.display())).collect()
            });
            Ok(Code::Done)
        }
        Backups::Prune {
            keep_last,
            keep_days,
            yes,
        } => {
            let pruned = project.prune_backups(keep_last, keep_days, yes).await?;
            output.data(&pruned, |pruned| {
                let verb = if yes { "removed" } else { "would remove" };
                let mut text: String = pruned.iter().map(|id| format!("{verb} {id}\n")).collect();
                if !yes && !pruned.is_empty() {
                    text.push_str("\nnext: the same with --yes\n");
                }
                text
            });
            Ok(Code::Done)
        }
    }
}

/// Who loads the rows of a restore.
pub(super) enum By {
    Us { precheck: bool },
    Workers(Sharing),
}

pub(super) async fn restore(
    project: &Project,
    (backup, into, tables): (Option<BackupId>, &str, &[String]),
    by: By,
    output: &Output,
) -> Result<Code> {
    let id = project.backup_or_newest(backup).await?;
    let (db, verdict) = match by {
        By::Workers(sharing) => project.restore_shared(&id, into, tables, &sharing).await?,
        By::Us { precheck } => project.restore(&id, into, tables, precheck).await?,
    };
    output.data(&(&db, &verdict), |(db, verdict)| {
        let alone = if tables.is_empty() {
            ""
        } else {
            "only the rows of the tables given with --table; the others are empty\n"
        };
        format!("restored {id} into {db}\n{alone}") + &compared(db, verdict)
    });
    Ok(code(&verdict))
}

pub(super) async fn restore_dump(
    project: &Project,
    dump: &Path,
    into: &str,
    roles: RoleMap,
    trusted: bool,
    output: &Output,
) -> Result<Code> {
    let restored = project.restore_dump(dump, into, roles, trusted).await?;
    output.data(&restored, |(db, report, verdict)| {
        let mut text = format!(
            "restored {} into {db}: {} statements, {} rows in {} tables\n",
            dump.display(),
            report.statements,
            report.rows,
            report.tables
        );
        for (role, statements) in &report.left_out {
            let _ = writeln!(
                text,
                "left out with the role {role}: {statements} statements"
            );
        }
        text + &compared(db, verdict)
    });
    Ok(code(&restored.2))
}

fn line(b: &BackupSummary) -> String {
    format!(
        "{}  {}  {} tables, {} rows, {} large objects, {}\n",
        b.id,
        b.taken_at,
        b.tables,
        b.rows,
        b.large_objects,
        bytes(b.stored_bytes)
    )
}

fn manifest(m: &Manifest) -> String {
    let mut out = line(&m.summary());
    let _ = writeln!(
        out,
        "  of {}, PostgreSQL {}, {}",
        m.of,
        m.server_version / 10_000,
        m.encoding
    );
    for table in &m.tables {
        let _ = writeln!(
            out,
            "  {:<40} {:>12} rows  {}",
            table.table.to_string(),
            table.rows,
            table.hash
        );
    }
    out
}

/// One line for each check, and one for each complaint.
pub(super) fn checks(verdict: &Verdict) -> String {
    let mut out = String::new();
    for check in &verdict.checks {
        let (mark, lines) = match &check.outcome {
            Outcome::Passed => ("ok  ", Vec::new()),
            Outcome::Failed(lines) => ("FAIL", lines.clone()),
            Outcome::NotRun(why) => ("SKIP", vec![format!("not run: {why}")]),
        };
        let _ = writeln!(out, "  {mark}  {} ({})", check.name, check.looked_at);
        for line in lines {
            let _ = writeln!(out, "          {line}");
        }
    }
    out
}

/// What the checks of a new database say. One that failed them is left, to be looked at.
pub(super) fn compared(db: &Identity, verdict: &Verdict) -> String {
    let mut out = checks(verdict);
    if !verdict.passed() {
        let name = db.name.replace('"', "\"\"");
        let _ = writeln!(
            out,
            "{db} is not proven to be what it should be; it is left to be looked at. To remove it: DROP DATABASE \"{name}\""
        );
    }
    out
}

/// A check that could not run counts as a difference: absence of evidence is not proof.
pub(super) fn code(verdict: &Verdict) -> Code {
    if verdict.passed() {
        Code::Done
    } else {
        Code::Mismatch
    }
}
