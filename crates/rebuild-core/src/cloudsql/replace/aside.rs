//! Moving an instance out of the way, once there is a backup that outlives it.

use google_cloud_sql_v1::model::{DatabaseInstance, Settings};

use super::InstanceReplacement;
use super::kept::{Kept, Side};
use crate::cloudsql::Replicas;
use crate::cloudsql::replicas::{delete_replicas, describe_replicas};
use crate::error::{Error, Result};
use crate::event::Ctx;

impl InstanceReplacement {
    /// The instance that is to go and to come back.
    ///
    /// # Errors
    /// A refusal if it may not go: there is none, it is protected, or has replicas.
    pub(super) async fn collect(&self, ctx: &Ctx, server: &str) -> Result<Kept> {
        let instance = self.sql.describe(ctx).await?;
        self.refuse_replicas(&instance)?;
        self.refuse_protected(&instance)?;
        let replicas = describe_replicas(&self.sql, ctx, &instance).await?;
        let operations = self.sql.operations(ctx).await?;
        let known = operations.into_iter().map(|o| o.name).collect();
        Ok(Kept::new(server, Some(instance), replicas, known))
    }

    pub(super) fn refuse_replicas(&self, instance: &DatabaseInstance) -> Result<()> {
        if instance.replica_names.is_empty() || self.replicas == Replicas::Recreate {
            return Ok(());
        }
        Err(Error::refused(format!(
            "instance {} has replicas, and cannot be replaced as long as it has: {}",
            self.sql.name(),
            instance.replica_names.join(", ")
        ))
        .hint("delete them, or set target.cloudsql.replicas = \"recreate\""))
    }

    pub(super) fn refuse_protected(&self, instance: &DatabaseInstance) -> Result<()> {
        if !is_protected(instance) || self.lift_protection {
            return Ok(());
        }
        let name = self.sql.name();
        Err(
            Error::refused(format!("instance {name} is protected against deletion")).hint(format!(
                "set target.cloudsql.replace.lift_deletion_protection = true, or take it off: \
                 gcloud sql instances patch {} --no-deletion-protection --project {}",
                name.instance, name.project
            )),
        )
    }

    /// Deletes the instance that was written down, and no other, with its replicas.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* the instance. The backup of it stays, and is
    /// looked at before and after.
    ///
    /// # Errors
    /// There is no whole backup of it, then nothing has gone; the API refused.
    pub(super) async fn remove(&self, ctx: &Ctx, kept: &Kept, side: Side) -> Result<()> {
        let instance = kept.instance()?;
        self.whole_kept_of(ctx, side).await?;
        match self.sql.look(ctx).await? {
            Some(now) if kept.is(&now) => {
                delete_replicas(&self.sql, ctx, &kept.replicas, self.limit).await?;
                if is_protected(&now) {
                    self.refuse_protected(&now)?;
                    let name = self.sql.name();
                    let message =
                        format!("taking the protection against deletion off instance {name}");
                    ctx.events.info(message);
                    let unprotected = Settings::new().set_deletion_protection_enabled(false);
                    self.patch(ctx, unprotected).await?;
                }
                ctx.events
                    .info(format!("deleting instance {}", self.sql.name()));
                self.sql.delete(ctx, instance, self.limit).await?;
            }
            _ => {}
        }
        let backup = self.whole_kept_of(ctx, side).await?;
        ctx.events.info(format!(
            "the instance that was there is kept as {}",
            backup.name
        ));
        Ok(())
    }

    /// Changes these settings of the instance, and no others.
    pub(super) async fn patch(&self, ctx: &Ctx, settings: Settings) -> Result<()> {
        let name = self.sql.name();
        let what = format!("a change of the settings of instance {name}");
        let wanted = DatabaseInstance::new().set_settings(settings);
        let begin = || async {
            let patch = self.sql.instances.patch().set_project(&name.project);
            let patch = patch.set_instance(&name.instance);
            let begun = patch.set_body(wanted.clone()).send().await?;
            Ok(begun.name)
        };
        let failed = format!("could not begin {what}");
        let operation = self.sql.when_free(ctx, &failed, self.limit, begin).await?;
        let waited = self.sql.wait_for(ctx, &what, &operation, self.limit);
        waited.await.map(|_| ())
    }
}

pub(super) fn is_protected(instance: &DatabaseInstance) -> bool {
    let settings = instance.settings.as_ref();
    settings.and_then(|s| s.deletion_protection_enabled) == Some(true)
}
