//! A first instance
//! (<https://cloud.google.com/sql/docs/postgres/create-instance>).

use std::collections::BTreeMap;
use std::time::Duration;

use google_cloud_sql_v1::model::ip_configuration::SslMode;
use google_cloud_sql_v1::model::settings::Edition;
use google_cloud_sql_v1::model::{
    BackupConfiguration, DatabaseFlags, DatabaseInstance, IpConfiguration, Settings,
    SqlAvailabilityType, SqlDatabaseVersion,
};

use super::insert::is_made_by;
use super::{CloudSql, InstanceName, InstanceUser};
use crate::error::{Error, Result};
use crate::event::Ctx;

/// What an instance that no run has made is labelled with.
const BY: &str = "instance-create";

/// An instance as it is asked for.
///
/// What is not said here is as careful as the service can be: automated backups with point-in-time recovery
/// are on, backups outlive the instance, and a connection must be encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceOrder {
    /// The version as the API writes it, for example `POSTGRES_17`.
    pub version: String,
    /// The machine type, for example `db-custom-2-7680`.
    pub tier: String,
    /// The edition as the API writes it, for example `ENTERPRISE`; without it, the service's choice.
    pub edition: Option<String>,
    /// The disk's size in GB; without it, the service's choice.
    pub disk_gb: Option<i64>,
    /// Whether a second zone stands by.
    pub regional: bool,
    /// The network that the instance gets an address in, in the place of a public one:
    /// `projects/PROJECT/global/networks/NETWORK`.
    pub private_network: Option<String>,
    /// Database flags.
    pub flags: BTreeMap<String, String>,
    /// Whether the instance cannot be deleted before this is taken off.
    pub deletion_protection: bool,
}

impl InstanceOrder {
    /// The body of the request.
    fn body(&self, name: &InstanceName) -> DatabaseInstance {
        let address = match &self.private_network {
            None => IpConfiguration::new().set_ipv4_enabled(true),
            Some(network) => IpConfiguration::new()
                .set_ipv4_enabled(false)
                .set_private_network(network),
        };
        let backups = BackupConfiguration::new()
            .set_enabled(true)
            .set_point_in_time_recovery_enabled(true);
        let flag = |(name, value)| DatabaseFlags::new().set_name(name).set_value(value);
        let mut settings = Settings::new()
            .set_tier(&self.tier)
            .set_availability_type(match self.regional {
                true => SqlAvailabilityType::Regional,
                false => SqlAvailabilityType::Zonal,
            })
            .set_ip_configuration(address.set_ssl_mode(SslMode::EncryptedOnly))
            .set_backup_configuration(backups)
            .set_retain_backups_on_delete(true)
            .set_deletion_protection_enabled(self.deletion_protection)
            .set_database_flags(self.flags.iter().map(flag));
        settings.data_disk_size_gb = self.disk_gb;
        if let Some(edition) = &self.edition {
            settings.edition = Edition::from(edition.as_str());
        }
        DatabaseInstance::new()
            .set_name(&name.instance)
            .set_region(&name.region)
            .set_database_version(SqlDatabaseVersion::from(self.version.as_str()))
            .set_settings(settings)
    }
}

impl CloudSql {
    /// Makes an instance that is not there, with `users`, and waits until it can be used. True if it was
    /// made, false if it was there already.
    ///
    /// *Repeats:* one that this has made, or begun to, is waited for and gets the users that it lacks.
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal if the name is that of an instance that this has not made; the API refused; it could not
    /// be made, or not in time: `limit` is for each operation.
    pub async fn create(
        &self,
        ctx: &Ctx,
        order: &InstanceOrder,
        users: &[InstanceUser],
        limit: Duration,
    ) -> Result<bool> {
        let name = self.name();
        let there = self.look(ctx).await?;
        match &there {
            Some(now) if !is_made_by(now, BY) => {
                return Err(Error::refused(format!(
                    "there is an instance {:?} in {} already, which was not made by this",
                    name.instance, name.project
                ))
                .hint("name another one in target.cloudsql.instance"));
            }
            Some(_) => {}
            None => {
                ctx.events.info(format!("making instance {name}"));
                Box::pin(self.insert(ctx, order.body(name), BY, users, limit)).await?;
            }
        }
        self.wait_until_free(ctx, limit).await?;
        self.wait_until_runnable(ctx, limit).await?;
        self.make_users(ctx, users, limit).await?;
        Ok(there.is_none())
    }
}
