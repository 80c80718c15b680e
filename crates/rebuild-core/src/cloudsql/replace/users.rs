//! The users of a new instance (<https://cloud.google.com/sql/docs/postgres/users>).

use google_cloud_sql_v1::model::User;

use super::InstanceReplacement;
use crate::error::Result;
use crate::event::Ctx;

impl InstanceReplacement {
    /// Makes the users that are not there.
    ///
    /// *Repeats:* one that is there is left as it is. *Destroys:* nothing.
    ///
    /// # Errors
    /// The API refused; one was not made in time.
    pub(super) async fn make_users(&self, ctx: &Ctx) -> Result<()> {
        let name = self.sql.name();
        for user in &self.users {
            let Some(password) = &user.password else {
                continue;
            };
            let what = format!("user {:?} of instance {name}", user.name);
            let begin = || async {
                let list = self.sql.users.list().set_project(&name.project);
                let there = list.set_instance(&name.instance).send().await?;
                if there.items.iter().any(|known| known.name == user.name) {
                    return Ok(None);
                }
                let wanted = User::new()
                    .set_name(&user.name)
                    .set_password(password.expose());
                let insert = self.sql.users.insert().set_project(&name.project);
                let insert = insert.set_instance(&name.instance).set_body(wanted);
                Ok(Some(insert.send().await?.name))
            };
            let failed = format!("could not make {what}");
            let begun = self.sql.when_free(ctx, &failed, self.limit, begin).await?;
            if let Some(operation) = begun {
                let made = self.sql.wait_for(ctx, &what, &operation, self.limit);
                made.await?;
                ctx.events.info(format!("{what} is made"));
            }
        }
        Ok(())
    }
}
