//! Asking the service for an instance, once.

use std::time::Duration;

use google_cloud_sql_v1::model::DatabaseInstance;

use super::{CloudSql, InstanceUser, UserLogin};
use crate::error::Result;
use crate::event::Ctx;
use crate::google::GoogleApi;

/// The label of an instance that was made here: by which run, or what else.
const MADE_BY: &str = "rebuild-run";

/// The user that a new instance has, and whose password is given with it.
const FIRST_USER: &str = "postgres";

pub(super) fn is_made_by(instance: &DatabaseInstance, by: &str) -> bool {
    let settings = instance.settings.as_ref();
    settings.is_some_and(|s| s.user_labels.get(MADE_BY).is_some_and(|it| it == by))
}

impl CloudSql {
    /// Asks for an instance, marks it as made `by` somebody, and waits until that has ended.
    ///
    /// *Repeats:* one that was asked for by the same is not asked for again. *Destroys:* nothing.
    ///
    /// # Errors
    /// The service does not give the name again; it could not be made, or not in time.
    pub(super) async fn insert(
        &self,
        ctx: &Ctx,
        mut wanted: DatabaseInstance,
        by: &str,
        users: &[InstanceUser],
        limit: Duration,
    ) -> Result<()> {
        let name = self.name();
        let labels = &mut wanted.settings.get_or_insert_default().user_labels;
        labels.insert(MADE_BY.to_owned(), by.to_owned());
        let first = users.iter().find(|user| user.name == FIRST_USER);
        if let Some(UserLogin::Password(Some(password))) = first.map(|user| &user.login) {
            password.expose().clone_into(&mut wanted.root_password);
        }
        let what = format!("the making of instance {name}");
        let failed = format!("could not begin {what}");
        let begin = || async {
            match self.get().await? {
                // An earlier try has begun it.
                Some(now) if is_made_by(&now, by) => Ok(None),
                _ => {
                    let insert = self.instances.insert().set_project(&name.project);
                    let begun = insert.set_body(wanted.clone()).send().await?;
                    Ok(Some(begun.name))
                }
            }
        };
        let google = self.google();
        match google.asked(ctx, GoogleApi::Sql, &failed, begin).await? {
            Ok(None) => Ok(()),
            Ok(Some(operation)) => {
                let waited = self.wait_for(ctx, &what, &operation, limit);
                waited.await.map(|_| ())
            }
            Err(e) => {
                let error = google.refusal(GoogleApi::Sql, &failed, &e);
                Err(match e.http_status_code() {
                    Some(409) => error.hint(
                        "the service may not give the name of a deleted instance again at once: give the \
                         same command again later",
                    ),
                    _ => error,
                })
            }
        }
    }
}
