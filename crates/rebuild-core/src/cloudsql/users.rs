//! The users of an instance (<https://cloud.google.com/sql/docs/postgres/users>).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use google_cloud_sql_v1::model::User;
use google_cloud_sql_v1::model::user::SqlUserType;

use super::CloudSql;
use crate::error::Result;
use crate::event::Ctx;
use crate::google::GoogleApi;
use crate::model::Identity;
use crate::secret::Secret;
use crate::traits::{Provision, ProvisionRequest};

/// A user of an instance.
#[derive(Clone, Debug)]
pub struct InstanceUser {
    /// Its name: that of its role.
    pub name: String,
    /// How it gets in.
    pub login: UserLogin,
}

/// How a user gets in.
#[derive(Clone, Debug)]
pub enum UserLogin {
    /// With a password. Where none is known the user is not made, and must be there.
    Password(Option<Secret>),
    /// With a token of the person who it is.
    IamUser,
    /// With a token of the service account that it is, whose address is its name without
    /// `.gserviceaccount.com`.
    IamServiceAccount,
}

impl InstanceUser {
    /// What the API is to make, if enough is known of it.
    fn wanted(&self) -> Option<User> {
        let user = User::new().set_name(&self.name);
        match &self.login {
            UserLogin::Password(None) => None,
            UserLogin::Password(Some(password)) => Some(user.set_password(password.expose())),
            UserLogin::IamUser => Some(user.set_type(SqlUserType::CloudIamUser)),
            UserLogin::IamServiceAccount => {
                Some(user.set_type(SqlUserType::CloudIamServiceAccount))
            }
        }
    }
}

impl CloudSql {
    /// The names of those of `users` that the instance does not have and that can be made.
    ///
    /// # Errors
    /// The API could not be asked.
    pub async fn missing_users(&self, ctx: &Ctx, users: &[InstanceUser]) -> Result<Vec<String>> {
        let name = self.name();
        let what = format!("could not ask for the users of instance {name}");
        let list = || async {
            let list = self.users.list().set_project(&name.project);
            list.set_instance(&name.instance).send().await
        };
        let google = self.google();
        let there = google.ask(ctx, GoogleApi::Sql, &what, list).await?;
        let known = |user: &&InstanceUser| there.items.iter().any(|known| known.name == user.name);
        let missing = users.iter().filter(|user| user.wanted().is_some());
        let missing = missing.filter(|user| !known(user));
        Ok(missing.map(|user| user.name.clone()).collect())
    }

    /// Makes those of `users` that are not there: their names. One whose password is not known is passed
    /// over. A user that the API makes has the rights of
    /// [`cloudsqlsuperuser`](https://cloud.google.com/sql/docs/postgres/users#default-users) if it has a
    /// password, and none if it gets in with a token.
    ///
    /// *Repeats:* one that is there is left as it is, with the password it has. *Destroys:* nothing.
    ///
    /// # Errors
    /// The API refused; one was not made within `limit`.
    pub async fn make_users(
        &self,
        ctx: &Ctx,
        users: &[InstanceUser],
        limit: Duration,
    ) -> Result<Vec<String>> {
        let name = self.name();
        let mut made = Vec::new();
        for user in users {
            let Some(wanted) = user.wanted() else {
                continue;
            };
            let what = format!("user {:?} of instance {name}", user.name);
            let begin = || async {
                let list = self.users.list().set_project(&name.project);
                let there = list.set_instance(&name.instance).send().await?;
                if there.items.iter().any(|known| known.name == user.name) {
                    return Ok(None);
                }
                let insert = self.users.insert().set_project(&name.project);
                let insert = insert.set_instance(&name.instance).set_body(wanted.clone());
                Ok(Some(insert.send().await?.name))
            };
            let failed = format!("could not make {what}");
            let begun = self.when_free(ctx, &failed, limit, begin).await?;
            if let Some(operation) = begun {
                self.wait_for(ctx, &what, &operation, limit).await?;
                ctx.events.info(format!("{what} is made"));
                made.push(user.name.clone());
            }
        }
        Ok(made)
    }
}

/// [`Provision`] of a database in an instance whose users are made first. What is discarded later is the
/// database alone: the users may have been given rights by others, and stay.
pub struct UsersFirst {
    /// The instance.
    pub sql: CloudSql,
    /// Its users.
    pub users: Vec<InstanceUser>,
    /// How long each may take, with the wait for other operations.
    pub limit: Duration,
    /// What makes the database.
    pub database: Arc<dyn Provision>,
}

#[async_trait]
impl Provision for UsersFirst {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        self.database.look(ctx, name).await
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        let making = self.sql.make_users(ctx, &self.users, self.limit);
        making.await?;
        self.database.provision(ctx, request).await
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        self.database.discard(ctx, made).await
    }

    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        like: Option<&'a Identity>,
    ) -> Result<()> {
        self.database.settle(ctx, made, like).await
    }
}
