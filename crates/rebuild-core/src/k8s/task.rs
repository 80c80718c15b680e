//! After-steps, loads and migrations that the cluster runs.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::job::{ClusterJob, JobSource};
use super::{Cluster, WorkloadKind, WorkloadRef};
use crate::command::Redaction;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::Task;

/// How a Job in the cluster finds the server. It gets no password: its manifest names the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The Service, if the database is behind one, and its port.
    pub service: Option<(String, u16)>,
    /// The role.
    pub user: String,
}

impl ServiceAddress {
    /// True for a variable that a Job gets from the run, and that nothing else may set.
    pub fn sets(&self, name: &str) -> bool {
        match name {
            "PGDATABASE" | "PGUSER" | "PGAPPNAME" | "REBUILD_RUN" | "REBUILD_DATABASE" => true,
            "PGHOST" | "PGPORT" => self.service.is_some(),
            _ => false,
        }
    }

    /// Libpq's variables for the database `name`, and those that say which run it is for.
    pub fn variables(&self, ctx: &Ctx, name: &str) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PGDATABASE", name.to_owned()),
            ("PGUSER", self.user.clone()),
            ("PGAPPNAME", format!("rebuild/{}", ctx.run)),
            ("REBUILD_RUN", ctx.run.to_string()),
            ("REBUILD_DATABASE", name.to_owned()),
        ];
        if let Some((service, port)) = &self.service {
            variables.push(("PGHOST", service.clone()));
            variables.push(("PGPORT", port.to_string()));
        }
        let owned = variables.into_iter().map(|(k, v)| (k.to_owned(), v));
        owned.collect()
    }
}

/// A Job as a [`Task`]. It finds the database in its environment: PGDATABASE, PGUSER, and PGHOST
/// and PGPORT where the spec names a Service.
pub struct JobTask {
    /// Where it runs.
    pub cluster: Cluster,
    /// Its name in the spec.
    pub name: String,
    /// What it is made from.
    pub source: JobSource,
    /// More variables.
    pub env: Vec<(String, String)>,
    /// How it finds the database.
    pub address: ServiceAddress,
    /// How long it may take.
    pub limit: Duration,
    /// What must not show in its logs.
    pub redaction: Redaction,
}

#[async_trait]
impl Task for JobTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let mut env = self.address.variables(ctx, &db.name);
        // The spec's come later and may refer to them.
        if let Some((name, _)) = self.env.iter().find(|(name, _)| self.address.sets(name)) {
            return Err(Error::usage(format!(
                "{}: env.{name} is set by the run, and cannot be set by the spec",
                self.name
            )));
        }
        env.extend(self.env.iter().cloned());
        let job = ClusterJob {
            cluster: self.cluster.clone(),
            source: self.source.clone(),
            env,
            indexed: None,
            limit: self.limit,
            redaction: self.redaction.clone(),
        };
        job.run(ctx).await
    }
}

/// A rollout restart as a [`Task`]: every pod is replaced, and waited for.
pub struct RestartTask {
    /// Where it runs.
    pub cluster: Cluster,
    /// Its name in the spec.
    pub name: String,
    /// What is restarted.
    pub workload: WorkloadRef,
    /// How long it may take.
    pub limit: Duration,
}

#[async_trait]
impl Task for RestartTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, ctx: &Ctx, _db: &Identity) -> Result<()> {
        let what = format!("could not restart {}", self.workload);
        let name = &self.workload.name;
        // As `kubectl rollout restart` does it.
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": {
            "kubectl.kubernetes.io/restartedAt": Timestamp::now().to_string(),
        }}}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        match self.workload.kind {
            WorkloadKind::Deployment => {
                let api = self.cluster.api::<Deployment>();
                let restart = || api.patch(name, &params, &patch);
                self.cluster.ask(ctx, &what, restart).await?;
            }
            WorkloadKind::StatefulSet => {
                let api = self.cluster.api::<StatefulSet>();
                let restart = || api.patch(name, &params, &patch);
                self.cluster.ask(ctx, &what, restart).await?;
            }
            WorkloadKind::CronJob => {
                return Err(Error::usage(format!(
                    "{} has nothing to restart",
                    self.workload
                )));
            }
        }
        self.cluster
            .wait_for_rollout(ctx, &self.workload, self.limit)
            .await
    }
}
