//! Restoring a backup of an instance over an instance
//! (<https://cloud.google.com/sql/docs/postgres/backup-recovery/restoring>).
//!
//! It overwrites every database of the instance, and the log that point-in-time recovery needs. So a
//! backup of the instance as it is is taken first, and what was begun is written down: the same command
//! goes on where another process was killed.

use std::time::Duration;

use google_cloud_sql_v1::model::database_instance::SqlInstanceState;
use google_cloud_sql_v1::model::{DatabaseInstance, Operation, SqlBackupRunStatus};
use serde::{Deserialize, Deserializer, Serialize};

use super::operation::is_done;
use super::overwrite::is_begun;
use super::replicas::describe_replicas;
use super::runs::{is_hopeful, when};
use super::{CloudSql, InstanceCopy};
use crate::error::{Error, Result, clean};
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::store::{Name, Store};
use crate::traits::DestroyPermit;

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
    /// The backups of the instance as it was, one for each attempt, the newest last.
    #[serde(deserialize_with = "one_or_more")]
    before: Vec<BackupId>,
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
    /// for it, or has replicas; a restore of another copy goes on. The API could not be asked.
    pub async fn outlook(&self, ctx: &Ctx) -> Result<RestoreOutlook> {
        let instance = self.sql.describe(ctx).await?;
        let name = self.sql.name();
        if !instance.master_instance_name.is_empty() {
            return Err(Error::refused(format!(
                "instance {name} is a replica, and follows its primary"
            ))
            .hint("restore over the primary"));
        }
        let begun = self.begun().await?;
        if let Some(begun) = begun.as_ref().filter(|begun| begun.from != self.from) {
            self.refuse_while_it_goes_on(ctx, begun).await?;
        }
        let is_ours = match &begun {
            Some(begun) => self.has_overwritten(ctx, begun).await?,
            None => false,
        };
        if !is_ours {
            self.refuse_replicas(&instance)?;
            Box::pin(self.check_copy(ctx, &instance)).await?;
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
    /// *Repeats:* goes on where another process was killed; a restore that goes on is waited for. Where none was
    /// begun, the instance may have been in service since, and another backup of it is taken.
    /// *Destroys:* every database of the instance, and the log of its point-in-time recovery. A backup run
    /// of it as it was is kept.
    ///
    /// # Errors
    /// As [`outlook`](Self::outlook); an operation failed, with the API's words, or did not end in time.
    pub async fn restore(&self, ctx: &Ctx, permit: DestroyPermit) -> Result<InstanceRestored> {
        let outlook = Box::pin(self.outlook(ctx)).await?;
        let begun = match self.begun().await? {
            Some(begun) if self.has_overwritten(ctx, &begun).await? => begun,
            Some(begun) => Box::pin(self.begin_again(ctx, begun)).await?,
            None => Box::pin(self.begin(ctx)).await?,
        };
        let (newest, earlier) = begun.newest()?;
        let before = Box::pin(self.sql.back_up(ctx, newest, self.limit)).await?;
        ctx.events.info(format!(
            "the instance as it was is kept as its backup {}",
            before.id
        ));
        let mut attempts = Vec::new();
        for id in earlier {
            attempts.extend(self.sql.run_of(ctx, id).await?.map(|run| run.id));
        }
        permit.spend_on(&outlook.target)?;
        let replicas = Box::pin(self.act(ctx, &begun)).await;
        let replicas = replicas.map_err(|e| self.with_way_back(e, before.id, &attempts))?;
        self.store.delete(&self.note()?).await?;
        Ok(InstanceRestored {
            before: before.id,
            replicas,
        })
    }

    /// All of it that changes the instance. The replicas that were made again are given back.
    async fn act(&self, ctx: &Ctx, begun: &Begun) -> Result<Vec<String>> {
        Box::pin(self.delete_replicas(ctx, begun)).await?;
        let overwriting = self
            .sql
            .overwrite(ctx, &self.from, &begun.known, self.limit);
        Box::pin(overwriting).await?;
        Box::pin(self.recreate_replicas(ctx, begun)).await
    }

    fn note(&self) -> Result<Name> {
        let hash = blake3::hash(self.sql.name().to_string().as_bytes()).to_hex();
        Name::new(format!("cloudsql/restores/{}.json", &hash[..32]))
    }

    fn refuse_replicas(&self, instance: &DatabaseInstance) -> Result<()> {
        if instance.replica_names.is_empty() || self.replicas == Replicas::Recreate {
            return Ok(());
        }
        Err(Error::refused(format!(
            "instance {} has replicas, and cannot be restored as long as it has: {}",
            self.sql.name(),
            instance.replica_names.join(", ")
        ))
        .hint("delete them, or set target.cloudsql.replicas = \"recreate\""))
    }

    /// Another copy may be restored where one failed, but not into one that goes on.
    async fn refuse_while_it_goes_on(&self, ctx: &Ctx, begun: &Begun) -> Result<()> {
        let operations = self.sql.operations(ctx).await?;
        let ours = |o: &&Operation| is_begun(o, &begun.known, &begun.from) && !is_done(o);
        let going = operations.iter().find(ours);
        going.map_or(Ok(()), |going| {
            Err(Error::refused(format!(
                "a restore of {} over instance {} goes on: operation {}",
                begun.from.describe(),
                self.sql.name(),
                going.name
            ))
            .hint("give the command for that one again; it waits for it"))
        })
    }

    /// What to do about a restore that failed.
    fn with_way_back(&self, e: Error, before: i64, attempts: &[i64]) -> Error {
        let instance = &self.sql.name().instance;
        let mut back = format!(
            "give the same command again, or go back to the instance as it was: \
             rebuild instance restore --run {before} --confirm {instance}"
        );
        if !attempts.is_empty() {
            let runs: Vec<String> = attempts.iter().map(ToString::to_string).collect();
            let runs = runs.join(", ");
            back.push_str(&format!(
                "; as it was before earlier attempts it is in {runs}"
            ));
        }
        let advice = e.advice().map(|advice| format!("{advice}; then "));
        e.hint(format!("{}{back}", advice.unwrap_or_default()))
            .half_way()
    }

    async fn begun(&self) -> Result<Option<Begun>> {
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
        let primary = self.sql.describe(ctx).await?;
        let replicas = describe_replicas(&self.sql, ctx, &primary).await?;
        let operations = self.sql.operations(ctx).await?;
        let begun = Begun {
            from: self.from.clone(),
            before: vec![BackupId::generate()],
            known: operations.into_iter().map(|o| o.name).collect(),
            replicas,
        };
        self.store.put_new(&self.note()?, written(&begun)?).await?;
        Ok(begun)
    }

    /// True if this copy's restore goes on, or is done.
    async fn has_overwritten(&self, ctx: &Ctx, begun: &Begun) -> Result<bool> {
        let operations = self.sql.operations(ctx).await?;
        let ours = operations
            .iter()
            .any(|o| is_begun(o, &begun.known, &begun.from));
        Ok(ours && begun.from == self.from)
    }

    /// What an earlier attempt has begun that overwrote nothing, or failed. What is to come back stays the same,
    /// and the instance is backed up anew, for it may have been in service since.
    async fn begin_again(&self, ctx: &Ctx, begun: Begun) -> Result<Begun> {
        let primary = self.sql.describe(ctx).await?;
        let mut replicas = describe_replicas(&self.sql, ctx, &primary).await?;
        let is_there = |r: &DatabaseInstance| primary.replica_names.contains(&r.name);
        replicas.extend(begun.replicas.into_iter().filter(|r| !is_there(r)));
        let operations = self.sql.operations(ctx).await?;
        let mut before = begun.before;
        if primary.state == SqlInstanceState::Failed {
            ctx.events.warn(format!(
                "instance {} has failed, so no other backup of it is taken than that of an earlier attempt",
                self.sql.name()
            ));
        } else if !self.is_being_backed_up(ctx, before.last()).await? {
            before.push(BackupId::generate());
        }
        let again = Begun {
            from: self.from.clone(),
            before,
            known: operations.into_iter().map(|o| o.name).collect(),
            replicas,
        };
        let mut writer = self.store.writer(&self.note()?);
        writer.write(&written(&again)?).await?;
        writer.finish().await?;
        Ok(again)
    }

    async fn is_being_backed_up(&self, ctx: &Ctx, id: Option<&BackupId>) -> Result<bool> {
        let Some(id) = id else {
            return Ok(false);
        };
        let run = self.sql.run_of(ctx, id).await?;
        Ok(run.is_some_and(|run| is_hopeful(&run) && run.status != SqlBackupRunStatus::Successful))
    }
}

impl Begun {
    /// The newest backup of the instance as it was, and the earlier ones.
    fn newest(&self) -> Result<(&BackupId, &[BackupId])> {
        let split = self.before.split_last();
        split.ok_or_else(|| Error::corrupt("a restore was begun without a backup"))
    }
}

/// Earlier versions wrote a single one down.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<BackupId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(BackupId),
        More(Vec<BackupId>),
    }
    Ok(match Either::deserialize(from)? {
        Either::One(id) => vec![id],
        Either::More(ids) => ids,
    })
}

fn written(begun: &Begun) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(begun)
        .map_err(|e| Error::internal("a restore cannot be written down").caused_by(e))
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
