//! Making an instance.

use google_cloud_sql_v1::model::{DatabaseFlags, DatabaseInstance, SqlDatabaseVersion};

use super::{InstanceChanges, InstanceReplacement};
use crate::cloudsql::insert::is_made_by;
use crate::cloudsql::replicas::blueprint;
use crate::error::{Error, Result};
use crate::event::Ctx;

/// `old` with what is to be other about it.
fn changed(old: &DatabaseInstance, changes: &InstanceChanges) -> DatabaseInstance {
    let mut wanted = blueprint(old);
    if let Some(version) = &changes.version {
        wanted.database_version = SqlDatabaseVersion::from(version.as_str());
    }
    let settings = wanted.settings.get_or_insert_default();
    if let Some(tier) = &changes.tier {
        settings.tier.clone_from(tier);
    }
    if let Some(size) = changes.disk_gb {
        settings.data_disk_size_gb = Some(size);
    }
    for (name, value) in &changes.flags {
        settings.database_flags.retain(|flag| flag.name != *name);
        let flag = DatabaseFlags::new().set_name(name).set_value(value);
        settings.database_flags.push(flag);
    }
    wanted
}

impl InstanceReplacement {
    /// Makes an instance like `old`, with `changes`, unless this run has made it already, and waits until
    /// it can be used.
    ///
    /// *Repeats:* one that this run has begun to make is waited for. *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal if another one has the name; the service does not give the name again; it could not be
    /// made, or not in time.
    pub(super) async fn make(
        &self,
        ctx: &Ctx,
        old: &DatabaseInstance,
        changes: &InstanceChanges,
    ) -> Result<()> {
        let name = self.sql.name();
        if let Some(now) = self.sql.look(ctx).await? {
            self.refuse_other(ctx, &now)?;
        } else {
            ctx.events.info(format!("making instance {name}"));
            let (wanted, run) = (changed(old, changes), ctx.run.as_str());
            let making = self.sql.insert(ctx, wanted, run, &self.users, self.limit);
            Box::pin(making).await?;
        }
        self.sql.wait_until_free(ctx, self.limit).await?;
        self.sql.wait_until_runnable(ctx, self.limit).await
    }

    fn refuse_other(&self, ctx: &Ctx, now: &DatabaseInstance) -> Result<()> {
        if is_made_by(now, ctx.run.as_str()) {
            return Ok(());
        }
        Err(Error::refused(format!(
            "somebody else has made an instance {} in the meantime",
            self.sql.name()
        ))
        .hint("find out who, before you go on or back"))
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_sql_v1::model::Settings;

    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_was() {
        let flag = |name: &str, value: &str| DatabaseFlags::new().set_name(name).set_value(value);
        let settings = Settings::new()
            .set_tier("db-f1-micro")
            .set_settings_version(7)
            .set_data_disk_size_gb(100)
            .set_database_flags([flag("log_min_messages", "info"), flag("autovacuum", "on")]);
        let old = DatabaseInstance::new()
            .set_name("main")
            .set_region("europe-west1")
            .set_database_version(SqlDatabaseVersion::Postgres15)
            .set_etag("an etag")
            .set_settings(settings);
        let same = changed(&old, &InstanceChanges::default());
        let kept = same.settings.clone().expect("settings");
        assert_eq!((&*same.name, &*same.etag), ("main", ""));
        assert_eq!((&*kept.tier, kept.settings_version), ("db-f1-micro", None));
        assert_eq!(kept.database_flags.len(), 2);

        let changes = InstanceChanges {
            version: Some("POSTGRES_17".to_owned()),
            disk_gb: Some(20),
            flags: [("autovacuum".to_owned(), "off".to_owned())].into(),
            ..InstanceChanges::default()
        };
        assert_eq!(
            changes.describe(),
            ["version POSTGRES_17", "disk GB 20", "flag autovacuum=off"]
        );
        let other = changed(&old, &changes);
        assert_eq!(other.database_version, SqlDatabaseVersion::Postgres17);
        let settings = other.settings.expect("settings");
        assert_eq!(settings.data_disk_size_gb, Some(20));
        assert_eq!(settings.database_flags.len(), 2);
        let flag = settings
            .database_flags
            .iter()
            .find(|f| f.name == "autovacuum");
        assert_eq!(flag.map(|f| &*f.value), Some("off"));
    }
}
