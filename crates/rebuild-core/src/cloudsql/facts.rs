//! What is to be known of an instance before anything in it is touched.

use google_cloud_sql_v1::model::{BackupConfiguration, DatabaseInstance};

use super::CloudSql;
use super::operation::{is_done, kind};
use super::runs;
use crate::error::{Result, clean};
use crate::event::Ctx;
use crate::model::InstanceFacts;

/// How many of its backups are shown.
const SHOWN: usize = 5;

/// What the API says of an instance, without what was asked for besides.
fn facts(name: String, instance: &DatabaseInstance) -> InstanceFacts {
    let settings = instance.settings.clone().unwrap_or_default();
    let none = BackupConfiguration::default();
    let backups = settings.backup_configuration.as_ref().unwrap_or(&none);
    let word = |text: Option<&str>| clean(text.unwrap_or("unknown"));
    let final_backup = settings.final_backup_config.as_ref();
    InstanceFacts {
        name,
        state: word(instance.state.name()),
        version: word(instance.database_version.name()),
        tier: clean(&settings.tier),
        edition: word(settings.edition.name()),
        availability: word(settings.availability_type.name()),
        disk_gb: settings.data_disk_size_gb,
        deletion_protection: settings.deletion_protection_enabled == Some(true),
        automated_backups: backups.enabled == Some(true),
        kept_backups: (backups.backup_retention_settings.as_ref()).and_then(|r| r.retained_backups),
        point_in_time_recovery: backups.point_in_time_recovery_enabled == Some(true),
        log_days: backups.transaction_log_retention_days,
        backups_outlive_it: settings.retain_backups_on_delete == Some(true)
            || final_backup.is_some_and(|f| f.enabled == Some(true)),
        replicas: instance.replica_names.iter().map(|r| clean(r)).collect(),
        replica_of: Some(clean(&instance.master_instance_name)).filter(|name| !name.is_empty()),
        addresses: (instance.ip_addresses.iter())
            .map(|a| {
                format!(
                    "{} ({})",
                    clean(&a.ip_address),
                    word(a.r#type.name()).to_lowercase()
                )
            })
            .collect(),
        service_account: clean(&instance.service_account_email_address),
        ..InstanceFacts::default()
    }
}

impl CloudSql {
    /// What is to be known of the instance.
    ///
    /// # Errors
    /// There is no such instance; the API could not be asked.
    pub async fn facts(&self, ctx: &Ctx) -> Result<InstanceFacts> {
        let mut found = facts(self.name().to_string(), &self.describe(ctx).await?);
        let operations = self.operations(ctx).await?;
        found.operations = operations
            .iter()
            .filter(|o| !is_done(o))
            .map(kind)
            .collect();
        let mut backups = self.backup_runs(ctx).await?;
        // Those that have not begun are the newest.
        backups.sort_by_key(|run| std::cmp::Reverse(runs::when(run.enqueued_time.as_ref())));
        found.backups = backups.iter().take(SHOWN).map(runs::facts).collect();
        Ok(found)
    }
}
