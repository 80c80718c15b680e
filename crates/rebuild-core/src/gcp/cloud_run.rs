//! Cloud Run in one region.

use google_cloud_run_v2::client::{Executions, Jobs, Services};

use crate::error::Result;
use crate::google::{Google, GoogleApi, no_client};

/// Cloud Run in one region of a project.
#[derive(Clone, Debug)]
pub struct CloudRun {
    pub(super) google: Google,
    pub(super) region: String,
    pub(super) jobs: Jobs,
    pub(super) executions: Executions,
    pub(super) services: Services,
}

impl CloudRun {
    /// The region `region` of the project. Nothing is asked yet.
    ///
    /// # Errors
    /// There is no client, for example without certificates to trust.
    pub async fn open(google: &Google, region: &str) -> Result<Self> {
        let api = GoogleApi::Run;
        let refused = |e| no_client(api, &e);
        let jobs = google.configure(api, Jobs::builder()).build().await;
        let executions = google.configure(api, Executions::builder()).build().await;
        let services = google.configure(api, Services::builder()).build().await;
        Ok(Self {
            google: google.clone(),
            region: region.to_owned(),
            jobs: jobs.map_err(refused)?,
            executions: executions.map_err(refused)?,
            services: services.map_err(refused)?,
        })
    }

    /// `projects/…/locations/…`.
    pub(super) fn parent(&self) -> String {
        format!(
            "projects/{}/locations/{}",
            self.google.project(),
            self.region
        )
    }

    pub(super) fn job_name(&self, job: &str) -> String {
        format!("{}/jobs/{job}", self.parent())
    }

    pub(super) fn service_name(&self, service: &str) -> String {
        format!("{}/services/{service}", self.parent())
    }

    /// What a person types to see more.
    pub(super) fn by_hand(&self, command: &str) -> String {
        format!(
            "gcloud run {command} --region {} --project {}",
            self.region,
            self.google.project()
        )
    }
}

/// The last part of a resource's name.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
