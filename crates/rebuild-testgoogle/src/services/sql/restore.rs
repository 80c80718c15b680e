//! A backup is put in the place of all that an instance has.
//! <https://cloud.google.com/sql/docs/postgres/backup-recovery/restoring>

use std::sync::Arc;

use serde_json::{Value, json};

use super::backups::Backup;
use super::operations::{Asked, begun, done, internal};
use super::{Sql, invalid, no_instance};
use crate::call::{Call, Result};
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    state
        .registry
        .on("sql.instances.restoreBackup", sql, restore);
}

async fn restore(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    if instance.machine().is_none() {
        return Err(invalid("a backup cannot be restored to a replica"));
    }
    if let [first, ..] = &instance.replicas()[..] {
        let said = format!(
            "a backup cannot be restored to an instance with read replicas: delete {first} first"
        );
        return Err(invalid(said).status("FAILED_PRECONDITION"));
    }
    let backup = find(&sql, &call)?;
    if backup.folder().is_none() {
        return Err(invalid("the backup is not successful").status("FAILED_PRECONDITION"));
    }
    if instance.resource()["databaseVersion"] != backup.version.as_str() {
        return Err(invalid("the backup is of another version of PostgreSQL"));
    }
    let context = json!({"backupContext": {
        "kind": "sql#backupContext", "backupId": backup.id.to_string(), "name": backup.name(),
    }});
    let name = instance.name.clone();
    let asked = Asked {
        call: &call,
        kind: "RESTORE_VOLUME",
        target: &name,
        more: context,
    };
    let operation = sql.begin(&asked, async move {
        let folder = backup
            .folder()
            .ok_or_else(|| internal("the backup is gone"))?;
        let machine = instance
            .machine()
            .ok_or_else(|| internal("it has no server here"))?;
        done(machine.put_back(folder, &instance.settings()).await)
    })?;
    Ok(begun(&operation, &call))
}

/// The backup that the request names, in one of two ways.
fn find(sql: &Sql, call: &Call) -> Result<Arc<Backup>> {
    let named = call.text("/backup");
    let context = &call.body["restoreBackupContext"];
    match (named.is_empty(), context) {
        (false, Value::Null) => sql.backup_named(named),
        (true, Value::Object(_)) => {
            let or = |given: &str, default: &str| {
                let given = context[given].as_str().filter(|it| !it.is_empty());
                given.unwrap_or(default).to_owned()
            };
            let project = or("project", call.param("project"));
            let instance = or("instanceId", call.param("instance"));
            let instance = sql.find(&project, &instance).ok_or_else(no_instance)?;
            sql.backup_run(&instance, &or("backupRunId", ""))
        }
        _ => Err(invalid("either backup or restoreBackupContext is needed")),
    }
}
