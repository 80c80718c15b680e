//! Backups, and the methods that show those of instances which are there and those of which are
//! not. <https://cloud.google.com/sql/docs/postgres/backup-recovery/backups>

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::instance::Instance;
use super::operations::{Asked, base, begun, internal};
use super::{Sql, invalid, no_instance, resource};
use crate::call::{Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::operations::{Failure, Operation, Outcome};
use crate::state::{State, lock};

pub(super) fn register(state: &Arc<State>, sql: &Arc<Sql>) {
    let registry = &state.registry;
    registry.on("sql.Backups.CreateBackup", sql, create);
    registry.on("sql.Backups.GetBackup", sql, get);
    registry.on("sql.Backups.ListBackups", sql, list);
    registry.on("sql.Backups.DeleteBackup", sql, delete);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OnDemand,
    /// Taken when the instance was deleted.
    Final,
}

/// A copy of an instance's files.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(super) id: i64,
    /// Its name in the list of the project.
    pub(super) uid: String,
    pub(super) kind: Kind,
    pub(super) project: String,
    pub(super) instance: String,
    /// The very instance: another one may get its name.
    account: String,
    pub(super) description: String,
    pub(super) location: String,
    pub(super) version: String,
    pub(super) enqueued: Timestamp,
    settings: Value,
    folder: PathBuf,
    taking: OnceLock<Arc<Operation>>,
    bytes: OnceLock<u64>,
    instance_gone: Mutex<Option<Timestamp>>,
}

/// How far a backup is.
pub(super) enum Progress {
    Enqueued,
    Running,
    Failed(Failure),
    Successful(u64),
}

impl Backup {
    pub(super) fn new(
        sql: &Sql,
        instance: &Instance,
        kind: Kind,
        description: &str,
        location: &str,
    ) -> Self {
        // Never the same twice.
        let newest = sql.all_backups().iter().map(|it| it.id).max().unwrap_or(0);
        let id = clock::millis().max(newest + 1);
        let resource = instance.resource();
        let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
        Self {
            id,
            uid: Uuid::new_v4().to_string(),
            kind,
            project: instance.project.clone(),
            instance: instance.name.clone(),
            account: text("serviceAccountEmailAddress"),
            description: description.to_owned(),
            location: if location.is_empty() { "eu" } else { location }.to_owned(),
            version: text("databaseVersion"),
            enqueued: Timestamp::now(),
            settings: resource.clone(),
            folder: sql.state.home.path().join(format!("backup-{id}")),
            taking: OnceLock::new(),
            bytes: OnceLock::new(),
            instance_gone: Mutex::new(None),
        }
    }

    /// Copies the files.
    pub(super) async fn take(&self, instance: &Instance) -> Outcome {
        let machine = instance.machine();
        let machine = machine.ok_or_else(|| internal("a replica has no files here"))?;
        let bytes = machine.copy(&self.folder).await.map_err(internal)?;
        let _ = self.bytes.set(bytes);
        Ok(Value::Null)
    }

    pub(super) fn taken_by(&self, operation: &Arc<Operation>) {
        let _ = self.taking.set(operation.clone());
    }

    /// The files, if they are all there.
    pub(super) fn folder(&self) -> Option<&Path> {
        matches!(self.state(), Progress::Successful(_)).then_some(self.folder.as_path())
    }

    pub(super) fn state(&self) -> Progress {
        let outcome = self
            .taking
            .get()
            .map(|operation| (operation, operation.outcome()));
        match (outcome, self.bytes.get()) {
            (Some((_, Some(Err(failure)))), _) => Progress::Failed(failure),
            (Some((operation, None)), _) if operation.times().0.is_none() => Progress::Enqueued,
            (Some((_, None)), _) | (_, None) => Progress::Running,
            (_, Some(bytes)) => Progress::Successful(*bytes),
        }
    }

    /// When the copying began and ended.
    pub(super) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let last = (Some(self.enqueued), Some(self.enqueued));
        self.taking
            .get()
            .map_or(last, |operation| operation.times())
    }

    pub(super) fn is_of(&self, instance: &Instance) -> bool {
        let own = instance.service_account() == self.account;
        own && instance.project == self.project && instance.name == self.instance
    }

    /// Its instance is gone.
    pub(super) fn outlive(&self, when: Timestamp) {
        *lock(&self.instance_gone) = Some(when);
    }

    pub(super) fn is_orphan(&self) -> bool {
        lock(&self.instance_gone).is_some()
    }

    pub(super) fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_dir_all(&self.folder)
    }

    pub(super) fn name(&self) -> String {
        format!("projects/{}/backups/{}", self.project, self.uid)
    }
}

impl Sql {
    /// The backup with a name such as `projects/p/backups/b`.
    pub(super) fn backup_named(&self, name: &str) -> Result<Arc<Backup>> {
        let backups = self.all_backups();
        let found = backups.iter().find(|backup| backup.name() == name);
        found.cloned().ok_or_else(no_backup)
    }

    /// Begins to take a backup of an instance.
    pub(super) fn back_up(
        self: &Arc<Self>,
        call: &Call,
        instance: Arc<Instance>,
        description: &str,
        location: &str,
    ) -> Result {
        if instance.machine().is_none() {
            return Err(invalid("the instance is a replica"));
        }
        let backup = Backup::new(self, &instance, Kind::OnDemand, description, location);
        let backup = Arc::new(backup);
        let context = json!({"backupContext": {
            "kind": "sql#backupContext", "backupId": backup.id.to_string(), "name": backup.name(),
        }});
        let name = instance.name.clone();
        let asked = Asked {
            call,
            kind: "BACKUP_VOLUME",
            target: &name,
            more: context,
        };
        let (taken, project) = (backup.clone(), instance.project.clone());
        let work = async move { taken.take(&instance).await };
        let operation = self.begin_in(&project, &asked, work)?;
        backup.taken_by(&operation);
        self.all_backups().push(backup);
        Ok(begun(&operation, call))
    }

    /// Begins to delete a backup.
    pub(super) fn delete_backup(self: &Arc<Self>, call: &Call, backup: &Arc<Backup>) -> Result {
        let asked = Asked {
            call,
            kind: "DELETE_BACKUP",
            target: &backup.instance,
            more: Value::Null,
        };
        let (own, gone) = (self.clone(), backup.clone());
        let operation = self.begin_in(&backup.project, &asked, async move {
            own.all_backups().retain(|it| !Arc::ptr_eq(it, &gone));
            gone.remove().map_err(internal)?;
            Ok(Value::Null)
        })?;
        Ok(begun(&operation, call))
    }
}

pub(super) fn no_backup() -> ApiError {
    ApiError::new(404, "The Cloud SQL backup does not exist.").reason("backupDoesNotExist")
}

async fn create(sql: Arc<Sql>, call: Call) -> Result {
    let project = project(call.param("parent")).to_owned();
    // The instance is named alone or with its project.
    let named = call.text("/instance");
    let name = named.rsplit('/').next().unwrap_or_default();
    let instance = sql.find(&project, name).ok_or_else(no_instance)?;
    let (description, location) = (call.text("/description"), call.text("/location"));
    sql.back_up(&call, instance, description, location)
}

async fn get(sql: Arc<Sql>, call: Call) -> Result {
    let backup = sql.backup_named(call.param("name"))?;
    Ok(render(&backup, &base(&call)).into())
}

async fn list(sql: Arc<Sql>, call: Call) -> Result {
    let project = project(call.param("parent"));
    let backups = sql.all_backups();
    let own = backups.iter().rev().filter(|it| it.project == project);
    // Of the filter's language just what tells one instance's backups from others'.
    let filter = call.query("filter");
    let own = own.filter(|it| filter.is_empty() || filter.contains(&it.instance));
    let shown: Vec<Value> = own.map(|backup| render(backup, &base(&call))).collect();
    Ok(json!({"backups": shown}).into())
}

async fn delete(sql: Arc<Sql>, call: Call) -> Result {
    let backup = sql.backup_named(call.param("name"))?;
    sql.delete_backup(&call, &backup)
}

/// The project in `projects/p`.
fn project(parent: &str) -> &str {
    parent.strip_prefix("projects/").unwrap_or(parent)
}

fn render(backup: &Backup, base: &str) -> Value {
    let kind = match backup.kind {
        Kind::OnDemand => "ON_DEMAND",
        Kind::Final => "FINAL",
    };
    let (start, end) = backup.times();
    let mut interval = json!({});
    for (name, time) in [("startTime", start), ("endTime", end)] {
        if let Some(time) = time {
            interval[name] = json!(clock::format(time));
        }
    }
    let run = format!(
        "{base}/projects/{}/instances/{}/backupRuns/{}",
        backup.project, backup.instance, backup.id
    );
    let mut settings = backup.settings.clone();
    resource::merge(&mut settings, &json!({"state": null}));
    let mut rendered = json!({
        "kind": "sql#backup", "name": backup.name(), "selfLink": format!("{base}/{}", backup.name()),
        "type": kind, "description": backup.description, "instance": backup.instance,
        "location": backup.location, "backupInterval": interval, "backupRun": run,
        "backupKind": "SNAPSHOT", "databaseVersion": backup.version, "timeZone": "UTC",
        "instanceSettings": settings,
    });
    match backup.state() {
        Progress::Enqueued => rendered["state"] = json!("ENQUEUED"),
        Progress::Running => rendered["state"] = json!("RUNNING"),
        Progress::Failed(failure) => {
            rendered["state"] = json!("FAILED");
            rendered["error"] = failed(&failure);
        }
        Progress::Successful(bytes) => {
            rendered["state"] = json!("SUCCESSFUL");
            rendered["maxChargeableBytes"] = json!(bytes.to_string());
        }
    }
    if let Some(when) = *lock(&backup.instance_gone) {
        rendered["instanceDeletionTime"] = json!(clock::format(when));
    }
    rendered
}

pub(super) fn failed(failure: &Failure) -> Value {
    json!({"kind": "sql#operationError", "code": failure.code, "message": failure.message})
}
