//! One instance, and the clients of the API that concerns it.

use google_cloud_sql_v1::client::{
    SqlBackupRunsService, SqlInstancesService, SqlOperationsService,
};
use google_cloud_sql_v1::model::DatabaseInstance;

use super::InstanceName;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::{Google, GoogleApi, no_client};

/// One instance of Cloud SQL. Clones share their connections.
#[derive(Clone, Debug)]
pub struct CloudSql {
    google: Google,
    name: InstanceName,
    pub(super) instances: SqlInstancesService,
    pub(super) runs: SqlBackupRunsService,
    pub(super) operations: SqlOperationsService,
}

impl CloudSql {
    /// The instance `name`. Nothing is asked of the API yet.
    ///
    /// # Errors
    /// The clients cannot be made.
    pub async fn open(google: Google, name: InstanceName) -> Result<Self> {
        let api = GoogleApi::Sql;
        let unusable = |e| no_client(api, &e);
        let instances = google.configure(api, SqlInstancesService::builder());
        let runs = google.configure(api, SqlBackupRunsService::builder());
        let operations = google.configure(api, SqlOperationsService::builder());
        Ok(Self {
            instances: instances.build().await.map_err(unusable)?,
            runs: runs.build().await.map_err(unusable)?,
            operations: operations.build().await.map_err(unusable)?,
            google,
            name,
        })
    }

    /// Its connection name.
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    pub(super) fn google(&self) -> &Google {
        &self.google
    }

    /// What the API says of it.
    ///
    /// # Errors
    /// There is no such instance, or it is in another region than its name says; the API could not be
    /// asked.
    pub(super) async fn describe(&self, ctx: &Ctx) -> Result<DatabaseInstance> {
        let what = format!("could not look at instance {}", self.name);
        let get = || {
            self.instances
                .get()
                .set_project(&self.name.project)
                .set_instance(&self.name.instance)
                .send()
        };
        let found = self
            .google
            .ask_maybe(ctx, GoogleApi::Sql, &what, get)
            .await?;
        let list = format!("gcloud sql instances list --project {}", self.name.project);
        let Some(found) = found else {
            let message = format!("there is no instance {}", self.name);
            return Err(Error::new(ErrorKind::Unreachable, message).hint(list));
        };
        if found.region != self.name.region {
            return Err(Error::refused(format!(
                "instance {} is in {:?}, not in {:?}",
                self.name.instance, found.region, self.name.region
            ))
            .hint(list));
        }
        Ok(found)
    }
}
