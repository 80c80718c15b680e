//! Instances go.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::backups::{Backup, Kind};
use super::instance::Instance;
use super::operations::{Asked, begun, internal};
use super::{Sql, invalid};
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::operations::Outcome;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    state.registry.on("sql.instances.delete", sql, delete);
}

async fn delete(sql: Arc<Sql>, call: Call) -> Result {
    let instance = sql.named(&call)?;
    if instance.resource()["settings"]["deletionProtectionEnabled"] == true {
        let said = "The instance is protected. Please disable the deletion protection and try \
                    again. To disable deletion protection, update the instance settings with \
                    deletionProtectionEnabled set to false.";
        return Err(ApiError::new(400, said).status("FAILED_PRECONDITION"));
    }
    if let [first, ..] = &instance.replicas()[..] {
        let said = format!("the instance has read replicas: {first}. Delete them first");
        return Err(invalid(said).status("FAILED_PRECONDITION"));
    }
    let wanted = call.flag("enableFinalBackup")
        || instance.resource()["settings"]["finalBackupConfig"]["enabled"] == true;
    let description = call.query("finalBackupDescription");
    let last = wanted.then(|| Backup::new(&sql, &instance, Kind::Final, description, ""));
    let asked = Asked {
        call: &call,
        kind: "DELETE",
        target: &instance.name,
        more: Value::Null,
    };
    let (own, gone) = (sql.clone(), instance.clone());
    let operation = sql.begin(&asked, async move { remove(&own, &gone, last).await })?;
    Ok(begun(&operation, &call))
}

async fn remove(sql: &Sql, instance: &Instance, last: Option<Backup>) -> Outcome {
    let key = (instance.project.clone(), instance.name.clone());
    if let Some(last) = last {
        let last = Arc::new(last);
        last.take(instance).await?;
        sql.all_backups().push(last);
    }
    sql.all().remove(&key);
    forget_replica(sql, instance);
    if let Some(machine) = instance.machine() {
        machine.stop().await.map_err(internal)?;
        machine.home.remove().map_err(internal)?;
    }
    let retained = instance.resource()["settings"]["retainBackupsOnDelete"] == true;
    let now = Timestamp::now();
    sql.all_backups().retain(|backup| {
        let own = backup.is_of(instance);
        if own {
            backup.outlive(now);
        }
        !own || retained || backup.kind == Kind::Final
    });
    Ok(Value::Null)
}

/// The primary instance of a replica names it no longer.
fn forget_replica(sql: &Sql, replica: &Instance) {
    let primary = replica.resource()["masterInstanceName"]
        .as_str()
        .map(str::to_owned);
    let Some((project, name)) = primary.as_deref().and_then(|it| it.split_once(':')) else {
        return;
    };
    if let Some(primary) = sql.find(project, name) {
        let names = primary.resource()["replicaNames"].take();
        let names = names.as_array().into_iter().flatten();
        let left: Vec<Value> = names.filter(|it| **it != replica.name).cloned().collect();
        primary.resource()["replicaNames"] = left.into();
    }
}
