//! Copies of an instance that the service itself keeps.

use google_cloud_sql_v1::model::backup::SqlBackupState;
use google_cloud_sql_v1::model::{BackupRun, DatabaseInstance, SqlBackupRunStatus};
use serde::{Deserialize, Serialize};

use super::CloudSql;
use super::restore::InstanceRestore;
use super::runs::status;
use crate::error::{Error, Result, clean};
use crate::event::Ctx;
use crate::google::GoogleApi;

/// What is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceCopy {
    /// A backup run of an instance; it goes with that instance.
    Run {
        /// The instance that it was taken of; without one, the one that is restored.
        instance: Option<String>,
        /// The run.
        id: i64,
    },
    /// A backup that outlives its instance, `projects/PROJECT/backups/ID`.
    Kept(String),
}

impl InstanceCopy {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Run { instance: None, id } => format!("backup run {id}"),
            Self::Run {
                instance: Some(instance),
                id,
            } => format!("backup run {id} of instance {instance}"),
            Self::Kept(name) => format!("backup {name}"),
        }
    }
}

impl InstanceRestore {
    /// Makes sure that the copy is whole, and of the same version of PostgreSQL.
    pub(super) async fn check_copy(&self, ctx: &Ctx, target: &DatabaseInstance) -> Result<()> {
        let from = self.from.describe();
        let (state, whole, version) = match &self.from {
            InstanceCopy::Run { instance, id } => {
                let sql = match instance {
                    Some(instance) => self.sql.neighbour(instance),
                    None => self.sql.clone(),
                };
                let run = sql.run(ctx, *id).await?.ok_or_else(|| {
                    let name = sql.name();
                    Error::refused(format!("there is no {from}")).hint(format!(
                        "gcloud sql backups list --instance {} --project {}",
                        name.instance, name.project
                    ))
                })?;
                let whole = run.status == SqlBackupRunStatus::Successful;
                (status(&run), whole, run.database_version)
            }
            InstanceCopy::Kept(name) => {
                let kept = self.sql.kept_backup(ctx, name).await?.ok_or_else(|| {
                    let list = format!(
                        "gcloud sql backups list --project {}",
                        self.sql.name().project
                    );
                    Error::refused(format!("there is no {from}")).hint(list)
                })?;
                let state = kept.state.name().unwrap_or("in an unknown state");
                let whole = kept.state == SqlBackupState::Successful;
                (clean(state), whole, kept.database_version)
            }
        };
        if !whole {
            return Err(Error::refused(format!(
                "{from} is {state}, so it is not restored"
            )));
        }
        if version != target.database_version
            && version.name().is_some_and(|v| v.starts_with("POSTGRES"))
        {
            return Err(Error::refused(format!(
                "{from} is of {}, and instance {} is of {}",
                version.name().unwrap_or("an unknown version"),
                self.sql.name(),
                target
                    .database_version
                    .name()
                    .unwrap_or("an unknown version"),
            ))
            .hint("restore it over an instance of its own version"));
        }
        Ok(())
    }
}

impl CloudSql {
    /// A backup run by its id.
    pub(super) async fn run(&self, ctx: &Ctx, id: i64) -> Result<Option<BackupRun>> {
        let what = format!("could not look for backup run {id}");
        let get = || {
            let get = self.runs.get().set_project(&self.name().project);
            get.set_instance(&self.name().instance).set_id(id).send()
        };
        self.google()
            .ask_maybe(ctx, GoogleApi::Sql, &what, get)
            .await
    }
}
