//! Bringing an instance back from the backup that outlived it.

use std::time::Duration;

use google_cloud_sql_v1::model::database_instance::SqlInstanceState;
use google_cloud_sql_v1::model::{DatabaseInstance, Settings};

use super::kept::{Kept, Side};
use super::{InstanceChanges, InstanceReplacement};
use crate::cloudsql::InstanceCopy;
use crate::cloudsql::replicas::{delete_replicas, describe_replicas, recreate_replicas, settings};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;

/// How long is waited before settings of an instance that is in service again are left as they are.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

impl InstanceReplacement {
    /// Makes the instance what it was. What stands under its name is backed up first, and is restored
    /// over, or makes room if it is of another version.
    ///
    /// *Repeats:* goes on where it was cut. *Destroys:* what stands there; the backup of it stays.
    ///
    /// # Errors
    /// There is no whole backup of the old instance; the API refused; something does not come in time.
    pub(super) async fn bring_back(&self, ctx: &Ctx, kept: &Kept, other: &str) -> Result<()> {
        let old = kept.instance()?;
        // Its deletion may have been begun by a process that is no more. A backup that does not end may be
        // why it is brought back, and is not in the way.
        self.sql.wait_until_it_stays(ctx, self.limit).await?;
        let backup = match self.sql.look(ctx).await? {
            Some(now) if kept.is(&now) => return Ok(()),
            _ => self.whole_kept_of(ctx, Side::Old).await?,
        };
        let new = self.write_down(ctx, other).await?;
        Box::pin(self.make_room(ctx, old, &new)).await?;
        match self.sql.look(ctx).await? {
            Some(now) if new.is(&now) => self.make_like(ctx, old, &now).await?,
            _ => self.make(ctx, old, &InstanceChanges::default()).await?,
        }
        let name = backup.name;
        let from = InstanceCopy::Kept(name.clone());
        let restoring = self.sql.overwrite(ctx, &from, &new.operations, self.limit);
        Box::pin(restoring).await?;
        ctx.events.info(format!(
            "{} has brought the old instance back, and stays; once you are sure: {}",
            from.describe(),
            self.delete_command(&name)
        ));
        Ok(())
    }

    fn delete_command(&self, backup: &str) -> String {
        let project = &self.sql.name().project;
        format!("gcloud sql backups delete {backup} --project {project}")
    }

    /// What stands under the name, if anything does.
    async fn write_down(&self, ctx: &Ctx, other: &str) -> Result<Kept> {
        if let Some(written) = Kept::read(&self.store, &ctx.run, Side::New).await? {
            return Ok(written);
        }
        let now = self.sql.look(ctx).await?;
        let replicas = match &now {
            Some(now) => describe_replicas(&self.sql, ctx, now).await?,
            None => Vec::new(),
        };
        let operations = self.sql.operations(ctx).await?;
        let known = operations.into_iter().map(|o| o.name).collect();
        let new = Kept::new(other, now, replicas, known);
        new.write(&self.store, &ctx.run, Side::New).await
    }

    async fn make_room(&self, ctx: &Ctx, old: &DatabaseInstance, new: &Kept) -> Result<()> {
        let Some(now) = self.sql.look(ctx).await?.filter(|now| new.is(now)) else {
            return Ok(());
        };
        if now.state == SqlInstanceState::Failed {
            // It could not be made, and never was a server.
            return self.sql.delete(ctx, &now, self.limit).await;
        }
        self.sql.wait_until_runnable(ctx, self.limit).await?;
        let backup = self.keep(ctx, Side::New).await?;
        ctx.events.warn(format!(
            "the new instance is kept as well, as {}; once nobody misses a row of it: {}",
            backup.name,
            self.delete_command(&backup.name)
        ));
        delete_replicas(&self.sql, ctx, &new.replicas, self.limit).await?;
        if now.database_version == old.database_version {
            return Ok(());
        }
        self.remove(ctx, new, Side::New).await
    }

    /// Gives `now` the settings that `old` had.
    async fn make_like(
        &self,
        ctx: &Ctx,
        old: &DatabaseInstance,
        now: &DatabaseInstance,
    ) -> Result<()> {
        match unlike(old, now) {
            None => Ok(()),
            Some(wanted) => self.patch(ctx, wanted).await,
        }
    }

    /// Gives the old instance its settings back, if it never went. If it is busy for long, they stay, and
    /// that is told: the rows are in service, and nobody waits for a setting.
    ///
    /// # Errors
    /// The API refused.
    pub(super) async fn settle(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        let old = kept.instance()?;
        let now = self.sql.look(ctx).await?.filter(|now| kept.is(now));
        let Some(wanted) = now.and_then(|now| unlike(old, &now)) else {
            return Ok(());
        };
        let limit = SETTLES_WITHIN.min(self.limit);
        match self.sql.wait_until_free(ctx, limit).await {
            Err(e) if e.kind() == ErrorKind::Deadline => {
                ctx.events.warn(format!(
                    "{e}; so settings of it stay as the run changed them. Once it is free: {}",
                    self.settle_command(&wanted)
                ));
                Ok(())
            }
            waited => {
                waited?;
                self.patch(ctx, wanted).await
            }
        }
    }

    /// What sets back by hand what [`Self::keep`] and [`Self::remove`] change.
    fn settle_command(&self, wanted: &Settings) -> String {
        let name = self.sql.name();
        let flag = |wanted: Option<bool>, flag: &str| match wanted {
            Some(true) => format!(" --{flag}"),
            _ => format!(" --no-{flag}"),
        };
        format!(
            "gcloud sql instances patch {} --project {}{}{}",
            name.instance,
            name.project,
            flag(wanted.retain_backups_on_delete, "retain-backups-on-delete"),
            flag(wanted.deletion_protection_enabled, "deletion-protection"),
        )
    }

    /// Makes the replicas again that went with the instance.
    pub(super) async fn replicas_again(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        recreate_replicas(&self.sql, ctx, &kept.replicas, self.limit).await
    }
}

/// The settings that `old` had, unless `now` has them. A disk that has grown stays as it is.
fn unlike(old: &DatabaseInstance, now: &DatabaseInstance) -> Option<Settings> {
    let mut wanted = settings(old);
    let there = settings(now);
    wanted.data_disk_size_gb = wanted.data_disk_size_gb.max(there.data_disk_size_gb);
    (wanted != there).then_some(wanted)
}
