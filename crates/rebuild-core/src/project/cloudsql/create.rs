//! A first instance.

use crate::cloudsql::{CloudSql, InstanceName, InstanceOrder};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::spec::{AvailabilitySpec, CreateInstanceSpec, EditionSpec};

impl Project {
    /// Makes the instance that `target.cloudsql` names, as `target.cloudsql.create` says, with the user of
    /// `target.url` and those of the spec. Its name, and true if it was made, or false if an earlier call
    /// has made it. The instance need not be reachable from here, so a project that was
    /// [opened for its store](Self::open_store) will do.
    ///
    /// *Repeats:* one that an earlier call has made, or begun to, is waited for, and gets the users that it
    /// lacks. *Destroys:* nothing.
    ///
    /// # Errors
    /// The spec does not say what to make, or nobody could log in; the name is that of an instance that
    /// this has not made; the API refused, or took too long.
    pub async fn create_instance(&self) -> Result<(InstanceName, bool)> {
        let (named, google) = match (&self.spec.target.cloudsql, &self.google) {
            (Some(named), Some(google)) => (named, google),
            _ => return Err(Error::usage("the spec names no instance (target.cloudsql)")),
        };
        let Some(create) = &named.create else {
            return Err(Error::usage(
                "the spec does not say what to make (target.cloudsql.create)",
            ));
        };
        let users = self.users_of_new_instance();
        let own = &self.endpoint.user;
        let has_password = self.endpoint.password().is_some();
        let is_named = named.users.iter().any(|user| user.name == *own);
        if !has_password && !is_named {
            return Err(Error::usage(format!(
                "user {own:?} could not log in to the new instance: give it a password (target.password), \
                 or name it in [[target.cloudsql.users]]"
            )));
        }
        let sql = CloudSql::open(google.clone(), super::name(named)?).await?;
        let (ctx, limit) = (self.ctx(), create.timeout.0);
        let made = Box::pin(sql.create(&ctx, &order(create), &users, limit)).await?;
        Ok((sql.name().clone(), made))
    }
}

fn order(create: &CreateInstanceSpec) -> InstanceOrder {
    let edition = create.edition.map(|edition| match edition {
        EditionSpec::Enterprise => "ENTERPRISE",
        EditionSpec::EnterprisePlus => "ENTERPRISE_PLUS",
    });
    InstanceOrder {
        version: create.version.clone(),
        tier: create.tier.clone(),
        edition: edition.map(str::to_owned),
        disk_gb: create.disk_gb,
        regional: create.availability == AvailabilitySpec::Regional,
        private_network: create.private_network.clone(),
        flags: create.flags.clone(),
        deletion_protection: create.deletion_protection,
    }
}
