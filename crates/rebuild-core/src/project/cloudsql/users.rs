//! The users that an instance is to have.

use std::sync::Arc;
use std::time::Duration;

use crate::cloudsql::{CloudSql, InstanceUser, UserLogin, UsersFirst};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::project::Project;
use crate::spec::InstanceUserKind;
use crate::traits::Provision;

/// How long a user may take, with the wait for other operations of the instance.
const MADE_WITHIN: Duration = Duration::from_secs(3600);

impl Project {
    /// The users of the spec.
    pub(super) fn instance_users(&self) -> Vec<InstanceUser> {
        let named = self.spec.target.cloudsql.iter();
        let users = named.flat_map(|named| &named.users);
        let users = users.map(|user| InstanceUser {
            name: user.name.clone(),
            login: match user.kind {
                InstanceUserKind::BuiltIn => UserLogin::Password(user.password.clone()),
                InstanceUserKind::IamUser => UserLogin::IamUser,
                InstanceUserKind::IamServiceAccount => UserLogin::IamServiceAccount,
            },
        });
        users.collect()
    }

    /// Those of a new instance: the one that a run works as, and those of the spec.
    pub(super) fn users_of_new_instance(&self) -> Vec<InstanceUser> {
        let own = InstanceUser {
            name: self.endpoint.user.clone(),
            login: UserLogin::Password(self.endpoint.password()),
        };
        let mut others = self.instance_users();
        if self.endpoint.password().is_none() && others.iter().any(|user| user.name == own.name) {
            // How it gets in is said there.
            return others;
        }
        others.retain(|user| user.name != own.name);
        std::iter::once(own).chain(others).collect()
    }

    /// Those that the instance does not have. Of one that is replaced, what it has goes with it.
    pub(super) async fn missing_users(&self, ctx: &Ctx, sql: &CloudSql) -> Result<Vec<String>> {
        let users = self.instance_users();
        if users.is_empty() || self.spec.replaced_instance().is_some() {
            return Ok(Vec::new());
        }
        sql.missing_users(ctx, &users).await
    }

    /// Makes the users of the spec that the instance does not have: their names. A run does so too, before
    /// it makes the database.
    ///
    /// *Repeats:* one that is there is left as it is, with the password it has. *Destroys:* nothing.
    ///
    /// # Errors
    /// The spec names no instance, or no users; the API refused, or took too long.
    pub async fn make_instance_users(&self) -> Result<Vec<String>> {
        let users = self.instance_users();
        let Some(instance) = self.instance.as_ref().filter(|_| !users.is_empty()) else {
            return Err(Error::usage(
                "the spec has no [[target.cloudsql.users]] that could be made",
            ));
        };
        let ctx = self.ctx();
        instance.sql.make_users(&ctx, &users, MADE_WITHIN).await
    }

    /// `database`, with the users of the spec first.
    pub(in crate::project) fn with_instance_users(
        &self,
        database: Arc<dyn Provision>,
    ) -> Arc<dyn Provision> {
        let users = self.instance_users();
        match &self.instance {
            Some(instance) if !users.is_empty() => Arc::new(UsersFirst {
                sql: instance.sql.clone(),
                users,
                limit: MADE_WITHIN,
                database,
            }),
            _ => database,
        }
    }

    /// `why` the target cannot be looked at, with the users that are missing as a reason.
    pub(in crate::project) async fn with_missing_users(&self, ctx: &Ctx, why: Error) -> Error {
        let Some(instance) = self.instance.as_ref() else {
            return why;
        };
        match self.missing_users(ctx, &instance.sql).await {
            Ok(missing) if why.kind() == ErrorKind::Server && !missing.is_empty() => {
                let missing = missing.join(", ");
                why.hint(format!(
                    "the instance does not have its user {missing} yet; make it first: rebuild instance users"
                ))
            }
            _ => why,
        }
    }
}
