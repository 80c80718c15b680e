//! Read replicas, which are in the way of a restore.

use google_cloud_sql_v1::model::DatabaseInstance;

use super::restore::{Begun, InstanceRestore};
use super::{CloudSql, runs};
use crate::error::{Error, Result};
use crate::event::Ctx;

/// What a replica is made from: what it was, without what the API alone says.
fn wanted(replica: &DatabaseInstance) -> DatabaseInstance {
    let mut settings = replica.settings.clone().unwrap_or_default();
    settings.settings_version = None;
    let mut wanted = DatabaseInstance::new()
        .set_name(&replica.name)
        .set_region(&replica.region)
        .set_database_version(replica.database_version.clone())
        .set_master_instance_name(&replica.master_instance_name)
        .set_settings(settings);
    wanted
        .replica_configuration
        .clone_from(&replica.replica_configuration);
    wanted
        .disk_encryption_configuration
        .clone_from(&replica.disk_encryption_configuration);
    wanted
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
    /// Deletes the replicas that were written down. One that was made since then is another.
    ///
    /// # Errors
    /// One is protected against it; the API refused.
    pub(super) async fn delete_replicas(&self, ctx: &Ctx, begun: &Begun) -> Result<()> {
        for replica in &begun.replicas {
            let sql = self.sql.neighbour(&replica.name);
            let Some(now) = sql.look(ctx).await? else {
                continue;
            };
            if runs::when(now.create_time.as_ref()) != runs::when(replica.create_time.as_ref()) {
                continue;
            }
            refuse_protected(&now, &sql.name().project)?;
            let what = format!("the deletion of replica {}", replica.name);
            let delete = || async {
                let delete = sql.instances.delete().set_project(&sql.name().project);
                match delete.set_instance(&sql.name().instance).send().await {
                    Err(e) if e.http_status_code() == Some(404) => Ok(None),
                    answered => answered.map(|operation| Some(operation.name)),
                }
            };
            let failed = format!("could not begin {what}");
            if let Some(name) = sql.when_free(ctx, &failed, self.limit, delete).await? {
                sql.wait_for(ctx, &what, &name, self.limit).await?;
            }
        }
        Ok(())
    }

    /// Makes the replicas again that were written down.
    ///
    /// *Repeats:* one that is there is left.
    ///
    /// # Errors
    /// The API refused; one was not made in time.
    pub(super) async fn recreate_replicas(&self, ctx: &Ctx, begun: &Begun) -> Result<Vec<String>> {
        for replica in &begun.replicas {
            let sql = self.sql.neighbour(&replica.name);
            let what = format!("replica {}", replica.name);
            let insert = || async {
                if sql.get().await?.is_some() {
                    return Ok(None);
                }
                let insert = sql.instances.insert().set_project(&sql.name().project);
                let begun = insert.set_body(wanted(replica)).send().await?;
                Ok(Some(begun.name))
            };
            let failed = format!("could not begin to make {what}");
            match self.sql.when_free(ctx, &failed, self.limit, insert).await? {
                Some(name) => sql
                    .wait_for(ctx, &what, &name, self.limit)
                    .await
                    .map(|_| ())?,
                // Whoever asked for it before may still be waiting for it.
                None => sql.wait_until_free(ctx, self.limit).await?,
            }
            if sql.look(ctx).await?.is_none() {
                return Err(Error::new(
                    crate::ErrorKind::Server,
                    format!("{what} was asked for, and is not there"),
                ));
            }
            ctx.events.info(format!("{what} was made again"));
        }
        Ok(begun.replicas.iter().map(|r| r.name.clone()).collect())
    }
}

impl CloudSql {
    /// Another instance of the same project.
    pub(super) fn neighbour(&self, instance: &str) -> Self {
        let mut other = self.clone();
        other.rename(instance);
        other
    }
}
