//! The instance of Cloud SQL that a spec names.

mod create;
mod fallback;
mod replace;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

use super::Project;
use crate::cloudsql::{
    Besides, CloudSql, DropByApi, Entry, Export, InstanceBackup, InstanceCopy, InstanceName,
    InstanceRestore, InstanceRestored, Replicas, Way,
};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::google::{Google, GoogleApi};
use crate::model::{BackupId, Endpoint, InstanceFacts, Verdict};
use crate::postgres::TargetLock;
use crate::spec::{CloudSqlSpec, ConnectSpec, PurgeBy, ReplicasSpec, Spec};
use crate::traits::{Backup, DestroyPermit, DropDatabase, Lock};

/// The instance, and the way to the database in it.
pub(super) struct Instance {
    sql: CloudSql,
    /// Held for as long as the project lives.
    _way: Way,
}

impl Instance {
    /// Opens the way to the instance that `spec` names, if it names one; `endpoint` then leads along it.
    ///
    /// # Errors
    /// The instance is not there, or not to be reached that way; there is no token.
    pub(super) async fn open(
        spec: &Spec,
        google: Option<&Google>,
        ctx: &Ctx,
        endpoint: &mut Endpoint,
    ) -> Result<Option<Self>> {
        let (Some(named), Some(google)) = (&spec.target.cloudsql, google) else {
            return Ok(None);
        };
        let sql = CloudSql::open(google.clone(), name(named)?).await?;
        let entry = entry(spec, named, google)?;
        let way = Way::open(&sql, ctx, &entry, named.iam_login, endpoint).await?;
        Ok(Some(Self { sql, _way: way }))
    }
}

/// What is restored over an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceSource {
    /// The backup run that was taken with this backup. The rows are compared with it afterwards.
    Backup(BackupId),
    /// Something that the service itself keeps.
    Copy(InstanceCopy),
}

/// Makes sure that what the spec says of an instance can be understood, before anything is touched.
///
/// # Errors
/// Wrong input, with the key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let Some(named) = &spec.target.cloudsql else {
        return Ok(());
    };
    name(named)?;
    besides(named).map(|_| ())
}

fn name(named: &CloudSqlSpec) -> Result<InstanceName> {
    let read: Result<InstanceName> = named.instance.parse();
    read.map_err(|e| e.context("target.cloudsql.instance"))
}

fn entry(spec: &Spec, named: &CloudSqlSpec, google: &Google) -> Result<Entry> {
    Ok(match named.connect {
        ConnectSpec::Socket => Entry::Socket(PathBuf::from(&named.socket_directory)),
        ConnectSpec::Public => Entry::Direct { private: false },
        ConnectSpec::Private => Entry::Direct { private: true },
        ConnectSpec::Proxy => {
            let program = named.proxy.split_first();
            let (program, arguments) =
                program.ok_or_else(|| Error::internal("a proxy without a program"))?;
            let gcp = spec.gcp.as_ref();
            let file = gcp.and_then(|gcp| gcp.credentials.as_ref());
            let file = file.map(|file| spec.folder().join(file));
            let elsewhere =
                gcp.is_some_and(|gcp| gcp.endpoints.contains_key(GoogleApi::Sql.name()));
            let api = elsewhere.then(|| google.endpoint(GoogleApi::Sql));
            Entry::proxy(program, arguments, file.as_deref(), api)
        }
    })
}

fn replicas(named: &CloudSqlSpec) -> Replicas {
    match named.replicas {
        ReplicasSpec::Refuse => Replicas::Refuse,
        ReplicasSpec::Recreate => Replicas::Recreate,
    }
}

fn besides(named: &CloudSqlSpec) -> Result<Besides> {
    let export = named.export.as_ref().map(|wanted| {
        let to = wanted.to.parse();
        Ok::<_, Error>(Export {
            to: to.map_err(|e: Error| e.context("target.cloudsql.export.to"))?,
            offload: wanted.offload,
            grant: wanted.grant,
            limit: wanted.timeout.0,
        })
    });
    Ok(Besides {
        run: named.backup_run.as_ref().map(|wanted| wanted.timeout.0),
        export: export.transpose()?,
    })
}

impl Project {
    /// What is to be known of the instance, if the spec names one.
    pub(super) async fn instance_facts(&self, ctx: &Ctx) -> Result<Option<InstanceFacts>> {
        let (Some(instance), Some(named)) = (&self.instance, &self.spec.target.cloudsql) else {
            return Ok(None);
        };
        let mut facts = instance.sql.facts(ctx).await?;
        facts.besides = besides(named)?.describe();
        facts.missing_users = self.missing_users(ctx, &instance.sql).await?;
        facts.replaced = Box::pin(self.replaced_instance(ctx)).await?;
        Ok(Some(facts))
    }

    /// What drops databases in the place of SQL, if the spec asks for that.
    pub(super) fn drop_by_api(&self) -> Option<Arc<dyn DropDatabase>> {
        let named = self.spec.target.cloudsql.as_ref()?;
        let sql = self.instance.as_ref()?.sql.clone();
        (named.purge == PurgeBy::Api)
            .then(|| Arc::new(DropByApi::new(sql)) as Arc<dyn DropDatabase>)
    }

    /// `backup`, and what the instance keeps besides, if the spec asks for it, or did when a backup was taken.
    pub(super) fn with_instance_backup(&self, backup: Arc<dyn Backup>) -> Result<Arc<dyn Backup>> {
        let (Some(instance), Some(named)) = (&self.instance, &self.spec.target.cloudsql) else {
            return Ok(backup);
        };
        let besides = besides(named)?;
        Ok(Arc::new(InstanceBackup {
            rows: backup,
            sql: instance.sql.clone(),
            besides,
            store: self.store.clone(),
        }))
    }

    /// Restores a backup of an instance over the spec's, whose name must be typed: `confirm`. The instance
    /// as it was is kept as a backup run.
    ///
    /// *Repeats:* goes on where another process was killed. *Destroys:* every database of the instance, and
    /// the log of its point-in-time recovery.
    ///
    /// # Errors
    /// A refusal: the spec names no instance, a run has not ended, the name was not typed, the copy is not
    /// whole, replicas are in the way. The API refused; an operation failed. A difference from the backup is in the verdict.
    pub async fn restore_instance(
        &self,
        from: &InstanceSource,
        confirm: Option<&str>,
    ) -> Result<(InstanceRestored, Option<Verdict>)> {
        let (Some(instance), Some(named)) = (&self.instance, &self.spec.target.cloudsql) else {
            return Err(Error::usage(
                "the spec has no [target.cloudsql] that names an instance",
            ));
        };
        // It would overwrite what the run has made, and what it has set aside.
        self.refuse_open_run().await?;
        let ctx = self.ctx();
        let restore = InstanceRestore {
            sql: instance.sql.clone(),
            store: self.store.clone(),
            from: copy(&instance.sql, &ctx, from).await?,
            replicas: replicas(named),
            limit: named.restore_timeout.0,
        };
        let outlook = Box::pin(restore.outlook(&ctx)).await?;
        let Some(typed) = confirm else {
            let losses = outlook.losses.join("; ");
            return Err(
                Error::refused(format!("{} is to be restored: {losses}", outlook.from))
                    .hint(format!("give --confirm {}", outlook.target.name)),
            );
        };
        let permit = DestroyPermit::by_name(&outlook.target, typed)?;
        let lock = self.lock_instance(&ctx).await?;
        let restored = Box::pin(restore.restore(&ctx, permit)).await;
        // As a rule its connection went when the instance was overwritten.
        drop(lock);
        let restored = restored?;
        let verdict = match from {
            InstanceSource::Backup(id) => Some(Box::pin(self.verify_by_spec(id)).await?),
            InstanceSource::Copy(_) => None,
        };
        Ok((restored, verdict))
    }

    /// Takes the lock on the target, so that no run begins on it, where the instance answers: one is restored
    /// for it does not, too.
    ///
    /// # Errors
    /// A refusal: somebody has that lock, or the one on another database of the instance; a run has not ended.
    async fn lock_instance(&self, ctx: &Ctx) -> Result<Option<TargetLock>> {
        let target = match self.target(ctx).await {
            Ok(target) => target,
            Err(e) => {
                ctx.events.warn(format!(
                    "the target cannot be locked, so see to it that no run begins on it: {}",
                    e.chain()
                ));
                return Ok(None);
            }
        };
        let lock = TargetLock::new(self.maintenance(), target);
        lock.acquire(ctx).await?;
        lock.refuse_others().await?;
        // One that was at work until a moment ago has left its journal.
        self.refuse_open_run().await?;
        Ok(Some(lock))
    }
}

async fn copy(sql: &CloudSql, ctx: &Ctx, from: &InstanceSource) -> Result<InstanceCopy> {
    match from {
        InstanceSource::Copy(copy) => Ok(copy.clone()),
        InstanceSource::Backup(id) => {
            let copy = sql.copy_taken_with(ctx, id).await?;
            copy.ok_or_else(|| {
                Error::refused(format!(
                    "instance {} has no backup run that was taken with backup {id}, and none has outlived it",
                    sql.name()
                ))
                .hint("one is taken with each backup if the spec has target.cloudsql.backup_run")
            })
        }
    }
}

#[cfg(test)]
mod tests;
