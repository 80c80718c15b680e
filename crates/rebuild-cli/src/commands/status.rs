//! `status` and `verify`.

use std::fmt::Write as _;

use rebuild_core::Result;
use rebuild_core::model::BackupId;
use rebuild_core::plan::{
    bytes, cluster_lines, drift_lines, gcp_lines, instance_lines, source_lines,
};
use rebuild_core::project::{InfrastructureStatus, Project, Sharing, Status};

use super::backups::{checks, code};
use super::runs;
use crate::exit::Code;
use crate::output::Output;

pub(super) async fn status(project: &Project, drift: bool, output: &Output) -> Result<Code> {
    let status = project.status(drift).await?;
    output.data(&status, text);
    Ok(Code::Done)
}

pub(super) async fn verify(
    project: &Project,
    backup: Option<BackupId>,
    rows: bool,
    sharing: Option<&Sharing>,
    output: &Output,
) -> Result<Code> {
    let verdict = match (&backup, sharing) {
        (Some(backup), Some(sharing)) => project.verify_shared(backup, sharing).await?,
        _ => project.verify(backup.as_ref(), rows).await?,
    };
    output.data(&verdict, checks);
    Ok(code(&verdict))
}

fn text(status: &Status) -> String {
    let mut out = String::new();
    let inventory = &status.survey.inventory;
    let db = &inventory.database;
    let _ = writeln!(out, "Database  {} at {}", db.identity, status.endpoint);
    let _ = writeln!(
        out,
        "          {}, owner {:?}, {}, {} sessions",
        bytes(db.bytes),
        db.owner,
        db.encoding,
        inventory.sessions.len()
    );
    let _ = writeln!(out, "Server    PostgreSQL {}", inventory.server.version_num);
    match &status.survey.schema.migration {
        Some((tool, version)) => {
            let _ = writeln!(out, "Schema    {tool} at {version}");
        }
        None => {
            let _ = writeln!(out, "Schema    no migration tool's table found");
        }
    }
    if let Some((tool, version)) = &status.survey.new_migration {
        let _ = writeln!(out, "          a new one comes to {tool} at {version}");
    }
    let _ = writeln!(out, "\nTables");
    for table in &inventory.tables {
        let rows = table.estimated_rows.map_or_else(
            || "never analysed".to_owned(),
            |n| format!("about {n} rows"),
        );
        let _ = writeln!(
            out,
            "  {:<40} {rows}, {}",
            table.table.to_string(),
            bytes(table.bytes)
        );
    }
    if let Some(source) = &status.survey.source {
        let _ = writeln!(out, "\nSource");
        for line in source_lines(source) {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(cluster) = &status.survey.cluster {
        let _ = writeln!(out, "\nCluster");
        for line in cluster_lines(cluster) {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(instance) = &status.survey.instance {
        let _ = writeln!(out, "\nInstance");
        for line in instance_lines(instance) {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(gcp) = &status.survey.gcp {
        let _ = writeln!(out, "\nGoogle Cloud");
        for line in gcp_lines(gcp) {
            let _ = writeln!(out, "  {line}");
        }
    }
    if !status.infrastructure.is_empty() {
        let _ = writeln!(out, "\nInfrastructure");
    }
    for found in &status.infrastructure {
        let _ = writeln!(out, "  {}: {}", found.name, managed(found));
    }
    if let Some(drift) = &status.survey.drift {
        let _ = writeln!(out, "\nDrift (live -> schema)");
        for line in drift_lines(drift) {
            let _ = writeln!(out, "  {line}");
        }
    }
    let _ = writeln!(out, "\nLast runs");
    if status.runs.is_empty() {
        let _ = writeln!(out, "  none");
    }
    for run in &status.runs {
        let _ = write!(out, "  {}", runs::line(run));
    }
    out
}

/// How many of the resources that a tool manages are listed.
const LISTED: usize = 8;

fn managed(found: &InfrastructureStatus) -> String {
    let Some(state) = &found.state else {
        let trouble = found.trouble.as_deref().unwrap_or("nothing is known of it");
        return trouble.replace('\n', "; ");
    };
    let all = &state.addresses;
    let mut listed: Vec<&str> = all.iter().take(LISTED).map(String::as_str).collect();
    let more = format!("and {} more", all.len().saturating_sub(LISTED));
    if all.len() > LISTED {
        listed.push(&more);
    }
    let (tool, version, workspace) = (state.tool, &state.version, &state.workspace);
    match listed.as_slice() {
        [] => format!("{tool} {version}, workspace {workspace}, manages nothing"),
        listed => format!(
            "{tool} {version}, workspace {workspace}, manages {}: {}",
            all.len(),
            listed.join(", ")
        ),
    }
}
