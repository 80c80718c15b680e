//! One instance, and the clients of the API that concerns it.

use google_cloud_gax::error::Error as ApiError;
use google_cloud_sql_v1::client::{
    SqlBackupRunsService, SqlBackupsService, SqlDatabasesService, SqlInstancesService,
    SqlOperationsService, SqlUsersService,
};
use google_cloud_sql_v1::model::{Backup, DatabaseInstance};

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
    pub(super) kept: SqlBackupsService,
    pub(super) users: SqlUsersService,
    pub(super) databases: SqlDatabasesService,
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
        let kept = google.configure(api, SqlBackupsService::builder());
        let users = google.configure(api, SqlUsersService::builder());
        let databases = google.configure(api, SqlDatabasesService::builder());
        Ok(Self {
            instances: instances.build().await.map_err(unusable)?,
            runs: runs.build().await.map_err(unusable)?,
            operations: operations.build().await.map_err(unusable)?,
            kept: kept.build().await.map_err(unusable)?,
            users: users.build().await.map_err(unusable)?,
            databases: databases.build().await.map_err(unusable)?,
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

    pub(super) fn rename(&mut self, instance: &str) {
        instance.clone_into(&mut self.name.instance);
    }

    /// What the API says of it.
    ///
    /// # Errors
    /// There is no such instance, or it is in another region than its name says; the API could not be
    /// asked.
    pub(crate) async fn describe(&self, ctx: &Ctx) -> Result<DatabaseInstance> {
        let found = self.describe_anywhere(ctx).await?;
        if found.region != self.name.region {
            return Err(Error::refused(format!(
                "instance {} is in {:?}, not in {:?}",
                self.name.instance, found.region, self.name.region
            ))
            .hint(self.list_command()));
        }
        Ok(found)
    }

    /// The same, in whatever region it is.
    ///
    /// # Errors
    /// There is no such instance; the API could not be asked.
    pub(super) async fn describe_anywhere(&self, ctx: &Ctx) -> Result<DatabaseInstance> {
        self.look(ctx).await?.ok_or_else(|| {
            let message = format!("there is no instance {}", self.name);
            Error::new(ErrorKind::Unreachable, message).hint(self.list_command())
        })
    }

    /// What the API says of it, if it is there.
    ///
    /// # Errors
    /// The API could not be asked.
    pub(super) async fn look(&self, ctx: &Ctx) -> Result<Option<DatabaseInstance>> {
        let what = format!("could not look at instance {}", self.name);
        let get = || self.get();
        self.google.ask(ctx, GoogleApi::Sql, &what, get).await
    }

    /// The same in one request.
    pub(super) async fn get(&self) -> Result<Option<DatabaseInstance>, ApiError> {
        let get = self.instances.get().set_project(&self.name.project);
        match get.set_instance(&self.name.instance).send().await {
            Err(e) if e.http_status_code() == Some(404) => Ok(None),
            found => found.map(Some),
        }
    }

    /// A backup that outlives its instance, if it is there.
    ///
    /// # Errors
    /// The API could not be asked.
    pub(super) async fn kept_backup(&self, ctx: &Ctx, name: &str) -> Result<Option<Backup>> {
        let what = format!("could not look for backup {name}");
        let get = || self.kept.get_backup().set_name(name).send();
        self.google.ask_maybe(ctx, GoogleApi::Sql, &what, get).await
    }

    /// The instance's backups that can outlive it, in one request for each page.
    pub(super) async fn all_kept(&self) -> Result<Vec<Backup>, ApiError> {
        let (mut backups, mut page) = (Vec::new(), String::new());
        loop {
            let list = self
                .kept
                .list_backups()
                .set_page_size(500)
                .set_page_token(&page);
            let list = list.set_parent(format!("projects/{}", self.name.project));
            let list = list.set_filter(format!("instance:{}", self.name.instance));
            let answer = list.send().await?;
            // The filter may let others through whose names begin alike.
            let own = |b: &Backup| b.instance.rsplit('/').next() == Some(&self.name.instance);
            backups.extend(answer.backups.into_iter().filter(own));
            page = answer.next_page_token;
            if page.is_empty() {
                return Ok(backups);
            }
        }
    }

    fn list_command(&self) -> String {
        format!("gcloud sql instances list --project {}", self.name.project)
    }
}
