//! Restoring a backup of an instance over an instance
//! (<https://cloud.google.com/sql/docs/postgres/backup-recovery/restoring>).
//!
//! It overwrites every database of the instance, and the log that point-in-time recovery needs. So a
//! backup of the instance as it is is taken first, and what was begun is written down: the same command
//! goes on where another process was killed.

use std::time::Duration;

use google_cloud_sql_v1::model::backup::SqlBackupState;
use google_cloud_sql_v1::model::operation::SqlOperationType;
use google_cloud_sql_v1::model::{
    DatabaseInstance, InstancesRestoreBackupRequest, Operation, RestoreBackupContext,
    SqlBackupRunStatus,
};
use serde::{Deserialize, Serialize};

use super::CloudSql;
use super::replicas::refuse_protected;
use super::runs::{status, when};
use crate::error::{Error, Result, clean};
use crate::event::Ctx;
use crate::google::{GoogleApi, Seen};
use crate::model::{BackupId, Identity};
use crate::store::{Name, Store};
use crate::traits::DestroyPermit;

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

/// What becomes of read replicas: none may be there while their primary is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// With one, nothing is restored.
    Refuse,
    /// They are deleted, and made again afterwards.
    Recreate,
}

/// A restore over an instance.
pub struct InstanceRestore {
    /// The instance that is overwritten.
    pub sql: CloudSql,
    /// Where what was begun is written down.
    pub store: Store,
    /// What is restored.
    pub from: InstanceCopy,
    /// What becomes of replicas.
    pub replicas: Replicas,
    /// How long each operation may take.
    pub limit: Duration,
}

/// What a restore would do, found without changing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOutlook {
    /// The instance that is overwritten.
    pub target: Identity,
    /// What is restored, for people.
    pub from: String,
    /// What is lost, a line each.
    pub losses: Vec<String>,
}

/// A restore that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRestored {
    /// The backup run that holds the instance as it was before.
    pub before: i64,
    /// Replicas that were made again.
    pub replicas: Vec<String>,
}

/// What is written down before anything is changed.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    from: InstanceCopy,
    /// The backup of the instance as it was.
    before: BackupId,
    /// Operations that were there before.
    known: Vec<String>,
    /// The replicas as they were.
    pub(super) replicas: Vec<DatabaseInstance>,
}

impl InstanceRestore {
    /// What a restore would do.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal: the copy is not whole or of another version of PostgreSQL, the instance is not in a state
    /// for it, or has replicas; another restore has begun and not ended. The API could not be asked.
    pub async fn outlook(&self, ctx: &Ctx) -> Result<RestoreOutlook> {
        let instance = self.sql.describe(ctx).await?;
        let name = self.sql.name();
        if !instance.master_instance_name.is_empty() {
            return Err(Error::refused(format!(
                "instance {name} is a replica, and follows its primary"
            ))
            .hint("restore over the primary"));
        }
        let begun = self.begun(ctx).await?;
        if let Some(begun) = &begun {
            if begun.from != self.from {
                return Err(Error::refused(format!(
                    "a restore of {} over instance {name} has begun and not ended",
                    begun.from.describe()
                ))
                .hint("give the command for that one again; it goes on"));
            }
        } else if instance.replica_names.is_empty() || self.replicas == Replicas::Recreate {
            Box::pin(self.check_copy(ctx, &instance)).await?;
        } else {
            return Err(Error::refused(format!(
                "instance {name} has replicas, and cannot be restored as long as it has: {}",
                instance.replica_names.join(", ")
            ))
            .hint("delete them, or set target.cloudsql.replicas = \"recreate\""));
        }
        Ok(RestoreOutlook {
            target: identity(&self.sql, &instance),
            from: self.from.describe(),
            losses: losses(&self.sql, &instance),
        })
    }

    /// Takes a backup of the instance as it is, deletes its replicas if that was said, restores, and makes
    /// the replicas again.
    ///
    /// *Repeats:* goes on where another process was killed; a restore that goes on is waited for.
    /// *Destroys:* every database of the instance, and the log of its point-in-time recovery. A backup run
    /// of it as it was is kept.
    ///
    /// # Errors
    /// As [`outlook`](Self::outlook); an operation failed, with the API's words, or did not end in time.
    pub async fn restore(&self, ctx: &Ctx, permit: DestroyPermit) -> Result<InstanceRestored> {
        let outlook = Box::pin(self.outlook(ctx)).await?;
        let begun = match self.begun(ctx).await? {
            Some(begun) => begun,
            None => Box::pin(self.begin(ctx)).await?,
        };
        let before = Box::pin(self.sql.back_up(ctx, &begun.before, self.limit)).await?;
        ctx.events.info(format!(
            "the instance as it was is kept as its backup {}",
            before.id
        ));
        permit.spend_on(&outlook.target)?;
        Box::pin(self.delete_replicas(ctx, &begun)).await?;
        Box::pin(self.overwrite(ctx, &begun)).await?;
        let replicas = Box::pin(self.recreate_replicas(ctx, &begun)).await?;
        self.store.delete(&self.note()?).await?;
        Ok(InstanceRestored {
            before: before.id,
            replicas,
        })
    }

    fn note(&self) -> Result<Name> {
        let hash = blake3::hash(self.sql.name().to_string().as_bytes()).to_hex();
        Name::new(format!("cloudsql/restores/{}.json", &hash[..32]))
    }

    async fn begun(&self, _ctx: &Ctx) -> Result<Option<Begun>> {
        let note = self.note()?;
        if self.store.size(&note).await?.is_none() {
            return Ok(None);
        }
        let text = self.store.get(&note).await?;
        let begun = serde_json::from_slice(&text)
            .map_err(|e| Error::corrupt(format!("{} is damaged", note.as_str())).caused_by(e))?;
        Ok(Some(begun))
    }

    async fn begin(&self, ctx: &Ctx) -> Result<Begun> {
        let mut replicas = Vec::new();
        for replica in self.sql.describe(ctx).await?.replica_names {
            let found = self.sql.neighbour(&replica).describe_anywhere(ctx).await?;
            refuse_protected(&found, &self.sql.name().project)?;
            replicas.push(found);
        }
        let operations = self.sql.operations(ctx).await?;
        let begun = Begun {
            from: self.from.clone(),
            before: BackupId::generate(),
            known: operations.into_iter().map(|o| o.name).collect(),
            replicas,
        };
        let text = serde_json::to_vec_pretty(&begun)
            .map_err(|e| Error::internal("a restore cannot be written down").caused_by(e))?;
        self.store.put_new(&self.note()?, text).await?;
        Ok(begun)
    }

    /// The API's own restore. Begun by an earlier process, it is one that was not there before.
    async fn overwrite(&self, ctx: &Ctx, begun: &Begun) -> Result<()> {
        let name = self.sql.name();
        let what = format!(
            "the restore of {} over instance {name}",
            self.from.describe()
        );
        let request = self.request();
        let begin = || async {
            let operations = self.sql.newest_operations().await?;
            if let Some(known) = operations.into_iter().find(|o| is_ours(o, begun)) {
                return Ok(known);
            }
            let restore = self.sql.instances.restore_backup();
            let restore = restore
                .set_project(&name.project)
                .set_instance(&name.instance);
            restore.set_body(request.clone()).send().await
        };
        let failed = format!("could not begin {what}");
        let operation = self.sql.when_free(ctx, &failed, self.limit, begin).await?;
        self.sql
            .wait_for(ctx, &what, &operation.name, self.limit)
            .await?;
        self.wait_until_runnable(ctx).await
    }

    fn request(&self) -> InstancesRestoreBackupRequest {
        let request = InstancesRestoreBackupRequest::new();
        match &self.from {
            InstanceCopy::Kept(name) => request.set_backup(name),
            InstanceCopy::Run { instance, id } => {
                let own = self.sql.name();
                request.set_restore_backup_context(
                    RestoreBackupContext::new()
                        .set_backup_run_id(*id)
                        .set_instance_id(instance.as_ref().unwrap_or(&own.instance))
                        .set_project(&own.project),
                )
            }
        }
    }

    async fn wait_until_runnable(&self, ctx: &Ctx) -> Result<()> {
        let what = format!("instance {}", self.sql.name());
        let look = || async {
            let now = self.sql.describe(ctx).await?;
            let state = now.state.name().unwrap_or("in an unknown state");
            Ok(match state {
                "RUNNABLE" => Seen::Done(()),
                other => Seen::NotYet(clean(other).to_lowercase()),
            })
        };
        self.sql.google().wait(ctx, &what, self.limit, look).await
    }

    /// Makes sure that the copy is whole, and of the same version of PostgreSQL.
    async fn check_copy(&self, ctx: &Ctx, target: &DatabaseInstance) -> Result<()> {
        let from = self.from.describe();
        let (state, whole, version) = match &self.from {
            InstanceCopy::Run { instance, id } => {
                let sql = match instance {
                    Some(instance) => self.sql.neighbour(instance),
                    None => self.sql.clone(),
                };
                let run = sql.run(ctx, *id).await?.ok_or_else(|| {
                    Error::refused(format!("there is no {from}"))
                        .hint("rebuild status lists the newest backups of the instance")
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

/// Which instance, so that another of the same name is not taken for it.
fn identity(sql: &CloudSql, instance: &DatabaseInstance) -> Identity {
    let name = sql.name();
    Identity {
        server: format!("cloudsql:{}:{}", name.project, name.region),
        name: name.instance.clone(),
        uid: when(instance.create_time.as_ref()).unwrap_or_default(),
    }
}

fn losses(sql: &CloudSql, instance: &DatabaseInstance) -> Vec<String> {
    let name = sql.name();
    let mut losses = vec![
        format!("every database of instance {name} is overwritten, with its roles and passwords"),
        format!("the log for point-in-time recovery of instance {name} begins anew"),
    ];
    losses.extend(instance.replica_names.iter().map(|replica| {
        format!(
            "replica {} is deleted, and made again with other addresses",
            clean(replica)
        )
    }));
    losses
}

fn is_ours(operation: &Operation, begun: &Begun) -> bool {
    operation.operation_type == SqlOperationType::RestoreVolume
        && operation.error.is_none()
        && !begun.known.contains(&operation.name)
}

impl CloudSql {
    /// A backup run by its id.
    pub(super) async fn run(
        &self,
        ctx: &Ctx,
        id: i64,
    ) -> Result<Option<google_cloud_sql_v1::model::BackupRun>> {
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
