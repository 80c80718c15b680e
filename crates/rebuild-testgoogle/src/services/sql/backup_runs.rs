//! The backups of an instance that is there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Sql;
use super::backups::{Backup, Kind, Progress, failed, no_backup};
use super::instance::Instance;
use super::operations::base;
use crate::call::{Call, Result};
use crate::clock;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.backupRuns.insert", sql, insert);
    registry.on("sql.backupRuns.list", sql, list);
    registry.on("sql.backupRuns.get", sql, get);
    registry.on("sql.backupRuns.delete", sql, delete);
}

impl Sql {
    /// The backup of an instance with a number.
    pub(super) fn backup_run(&self, instance: &Instance, id: &str) -> Result<Arc<Backup>> {
        let backups = self.all_backups();
        let mut runs = backups
            .iter()
            .filter(|it| it.is_of(instance) && !it.is_orphan());
        let found = runs.find(|backup| backup.id.to_string() == id);
        found.cloned().ok_or_else(no_backup)
    }
}

async fn insert(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let (description, location) = (call.text("/description"), call.text("/location"));
    sql.back_up(&call, instance, description, location)
}

/// The newest first.
async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let backups = sql.all_backups();
    let mut runs: Vec<&Arc<Backup>> = backups.iter().filter(|it| it.is_of(&instance)).collect();
    runs.sort_by_key(|backup| -backup.id);
    // A page starts behind the number that its token is.
    let after: i64 = call.query("pageToken").parse().unwrap_or(i64::MAX);
    runs.retain(|backup| backup.id < after);
    let page = call.at_most("maxResults");
    let shown: Vec<Value> = runs
        .iter()
        .take(page)
        .map(|it| render(it, &base(&call)))
        .collect();
    let mut answer = json!({"kind": "sql#backupRunsList", "items": shown});
    if runs.len() > page {
        answer["nextPageToken"] = json!(runs[page - 1].id.to_string());
    }
    Ok(answer.into())
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let backup = sql.backup_run(&instance, call.param("id"))?;
    Ok(render(&backup, &base(&call)).into())
}

async fn delete(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    let backup = sql.backup_run(&instance, call.param("id"))?;
    sql.delete_backup(&call, &backup)
}

fn render(backup: &Backup, base: &str) -> Value {
    let link = format!(
        "{base}/projects/{}/instances/{}/backupRuns/{}",
        backup.project, backup.instance, backup.id
    );
    let enqueued = clock::format(backup.enqueued);
    let kind = match backup.kind {
        Kind::OnDemand => "ON_DEMAND",
        // Of an instance that is there, none is the last.
        Kind::Final => "AUTOMATED",
    };
    let mut rendered = json!({
        "kind": "sql#backupRun", "id": backup.id.to_string(), "instance": backup.instance,
        "selfLink": link, "type": kind, "description": backup.description,
        "location": backup.location, "backupKind": "SNAPSHOT", "databaseVersion": backup.version,
        "enqueuedTime": enqueued, "windowStartTime": enqueued, "timeZone": "UTC",
    });
    let (start, end) = backup.times();
    for (name, time) in [("startTime", start), ("endTime", end)] {
        if let Some(time) = time {
            rendered[name] = json!(clock::format(time));
        }
    }
    match backup.state() {
        Progress::Enqueued => rendered["status"] = json!("ENQUEUED"),
        Progress::Running => rendered["status"] = json!("RUNNING"),
        Progress::Failed(failure) => {
            rendered["status"] = json!("FAILED");
            rendered["error"] = failed(&failure);
        }
        Progress::Successful(bytes) => {
            rendered["status"] = json!("SUCCESSFUL");
            rendered["maxChargeableBytes"] = json!(bytes.to_string());
        }
    }
    rendered
}
