//! Read replicas, which are in the way of a restore.

use std::time::Duration;

use google_cloud_sql_v1::model::{DatabaseInstance, Settings};

use super::restore::{Begun, InstanceRestore};
use super::{CloudSql, runs};
use crate::error::{Error, Result};
use crate::event::Ctx;

/// What an instance is made from: what it was, without what the API alone says.
pub(super) fn blueprint(instance: &DatabaseInstance) -> DatabaseInstance {
    let mut wanted = DatabaseInstance::new()
        .set_name(&instance.name)
        .set_region(&instance.region)
        .set_database_version(instance.database_version.clone())
        .set_master_instance_name(&instance.master_instance_name)
        .set_settings(settings(instance));
    wanted
        .replica_configuration
        .clone_from(&instance.replica_configuration);
    wanted
        .disk_encryption_configuration
        .clone_from(&instance.disk_encryption_configuration);
    wanted
}

/// True if both are one instance, and not two of the same name.
pub(super) fn is_same(one: &DatabaseInstance, other: &DatabaseInstance) -> bool {
    runs::when(one.create_time.as_ref()) == runs::when(other.create_time.as_ref())
}

/// Its settings, to be asked for again.
pub(super) fn settings(instance: &DatabaseInstance) -> Settings {
    let mut settings = instance.settings.clone().unwrap_or_default();
    settings.settings_version = None;
    settings
}

/// A replica that may not be deleted is not.
///
/// # Errors
/// It is protected.
pub(super) fn refuse_protected(replica: &DatabaseInstance, project: &str) -> Result<()> {
    let settings = replica.settings.as_ref();
    if settings.and_then(|s| s.deletion_protection_enabled) != Some(true) {
        return Ok(());
    }
    let name = &replica.name;
    Err(
        Error::refused(format!("replica {name} is protected against deletion")).hint(format!(
            "gcloud sql instances patch {name} --no-deletion-protection --project {project}"
        )),
    )
}

impl InstanceRestore {
    /// Deletes the replicas that were written down.
    pub(super) async fn delete_replicas(&self, ctx: &Ctx, begun: &Begun) -> Result<()> {
        delete_replicas(&self.sql, ctx, &begun.replicas, self.limit).await
    }

    /// Makes the replicas again that were written down.
    pub(super) async fn recreate_replicas(&self, ctx: &Ctx, begun: &Begun) -> Result<Vec<String>> {
        recreate_replicas(&self.sql, ctx, &begun.replicas, self.limit).await?;
        Ok(begun.replicas.iter().map(|r| r.name.clone()).collect())
    }
}

/// The replicas of an instance that is to go, as the API describes them.
///
/// # Errors
/// One is protected against deletion; the API could not be asked.
pub(super) async fn describe_replicas(
    sql: &CloudSql,
    ctx: &Ctx,
    primary: &DatabaseInstance,
) -> Result<Vec<DatabaseInstance>> {
    let mut replicas = Vec::new();
    for replica in &primary.replica_names {
        let found = sql.neighbour(replica).describe_anywhere(ctx).await?;
        refuse_protected(&found, &sql.name().project)?;
        replicas.push(found);
    }
    Ok(replicas)
}

/// Deletes these very replicas. One that was made since then is another.
///
/// # Errors
/// One is protected against it; the API refused.
pub(super) async fn delete_replicas(
    primary: &CloudSql,
    ctx: &Ctx,
    replicas: &[DatabaseInstance],
    limit: Duration,
) -> Result<()> {
    for replica in replicas {
        let sql = primary.neighbour(&replica.name);
        let Some(now) = sql.look(ctx).await? else {
            continue;
        };
        if !is_same(&now, replica) {
            continue;
        }
        refuse_protected(&now, &sql.name().project)?;
        sql.delete(ctx, replica, limit).await?;
    }
    Ok(())
}

/// Makes replicas again.
///
/// *Repeats:* one that is there is left.
///
/// # Errors
/// The API refused; one was not made in time.
pub(super) async fn recreate_replicas(
    primary: &CloudSql,
    ctx: &Ctx,
    replicas: &[DatabaseInstance],
    limit: Duration,
) -> Result<()> {
    for replica in replicas {
        let sql = primary.neighbour(&replica.name);
        let what = format!("replica {}", replica.name);
        let insert = || async {
            if sql.get().await?.is_some() {
                return Ok(None);
            }
            let insert = sql.instances.insert().set_project(&sql.name().project);
            let begun = insert.set_body(blueprint(replica)).send().await?;
            Ok(Some(begun.name))
        };
        let failed = format!("could not begin to make {what}");
        match sql.when_free(ctx, &failed, limit, insert).await? {
            Some(name) => sql.wait_for(ctx, &what, &name, limit).await.map(|_| ())?,
            // Whoever asked for it before may still be waiting for it.
            None => sql.wait_until_free(ctx, limit).await?,
        }
        if sql.look(ctx).await?.is_none() {
            return Err(Error::new(
                crate::ErrorKind::Server,
                format!("{what} was asked for, and is not there"),
            ));
        }
        ctx.events.info(format!("{what} was made again"));
    }
    Ok(())
}

impl CloudSql {
    /// Another instance of the same project.
    pub(super) fn neighbour(&self, instance: &str) -> Self {
        let mut other = self.clone();
        other.rename(instance);
        other
    }

    /// Deletes this very instance, and no other of its name.
    ///
    /// *Repeats:* one that is gone is no error.
    ///
    /// # Errors
    /// The API refused; it did not go in time.
    pub(super) async fn delete(
        &self,
        ctx: &Ctx,
        instance: &DatabaseInstance,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("the deletion of instance {}", self.name());
        let delete = || async {
            match self.get().await? {
                Some(now) if is_same(&now, instance) => {}
                _ => return Ok(None),
            }
            let delete = self.instances.delete().set_project(&self.name().project);
            match delete.set_instance(&self.name().instance).send().await {
                Err(e) if e.http_status_code() == Some(404) => Ok(None),
                answered => answered.map(|operation| Some(operation.name)),
            }
        };
        let failed = format!("could not begin {what}");
        match self.when_free(ctx, &failed, limit, delete).await? {
            Some(name) => self.wait_for(ctx, &what, &name, limit).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
