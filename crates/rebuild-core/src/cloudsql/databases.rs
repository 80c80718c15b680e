//! Databases of an instance, as the API drops them.

use std::time::Duration;

use async_trait::async_trait;

use super::CloudSql;
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::traits::DropDatabase;

/// How long that may take, with the wait for other operations on the instance.
const WITHIN: Duration = Duration::from_secs(30 * 60);

/// Drops by [`databases.delete`](https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/databases/delete),
/// which leaves an entry in the project's audit log. The API drops no database whose owner is another role than
/// `cloudsqlsuperuser`.
pub struct DropByApi(CloudSql);

impl DropByApi {
    /// Of this instance.
    pub fn new(sql: CloudSql) -> Self {
        Self(sql)
    }
}

#[async_trait]
impl DropDatabase for DropByApi {
    async fn drop_database(&self, ctx: &Ctx, name: &str) -> Result<()> {
        let sql = &self.0;
        let instance = sql.name();
        let what = format!("could not delete database {name} of instance {instance}");
        // One that was begun and whose answer was lost holds the instance; afterwards there is none.
        let begin = || async {
            let delete = sql.databases.delete().set_project(&instance.project);
            let delete = delete.set_instance(&instance.instance);
            match delete.set_database(name).send().await {
                Err(e) if e.http_status_code() == Some(404) => Ok(None),
                begun => begun.map(Some),
            }
        };
        let done = async {
            match sql.when_free(ctx, &what, WITHIN, begin).await? {
                Some(begun) => sql
                    .wait_for(ctx, &what, &begun.name, WITHIN)
                    .await
                    .map(drop),
                None => Ok(()),
            }
        };
        done.await.map_err(|e| match e.kind() {
            ErrorKind::Deadline | ErrorKind::Interrupted => e,
            _ => e.hint(
                "the API drops a database of cloudsqlsuperuser alone; without purge = \"api\" in \
                 [target.cloudsql], the run's own role drops it",
            ),
        })
    }
}
