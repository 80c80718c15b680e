//! Loads, after-steps and migrations that Cloud Run does.

use std::time::Duration;

use async_trait::async_trait;

use super::cloud_run::CloudRun;
use super::job::{CloudRunJob, Overrides};
use crate::command::Redaction;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::Google;
use crate::model::{Identity, StepMark};
use crate::traits::Task;

pub use super::job::is_set_by_run;

/// How long a service that is only restarted if it has to be gets until it serves.
const SERVES_WITHIN: Duration = Duration::from_secs(60);

/// A job as a [`Task`]. It finds the database's name in PGDATABASE.
pub struct RunJobTask {
    /// The project.
    pub google: Google,
    /// The region.
    pub region: String,
    /// Its name in the spec.
    pub name: String,
    /// Which job.
    pub job: String,
    /// The step.
    pub mark: StepMark,
    /// What the execution is told.
    pub overrides: Overrides,
    /// More variables.
    pub env: Vec<(String, String)>,
    /// A variable besides PGDATABASE that gets the database's name.
    pub database_variable: Option<String>,
    /// How long it may take.
    pub limit: Duration,
    /// What must not show in its log.
    pub redaction: Redaction,
}

#[async_trait]
impl Task for RunJobTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let mut env = self.env.clone();
        let more = self.database_variable.iter();
        env.extend(more.map(|variable| (variable.clone(), db.name.clone())));
        if let Some((name, _)) = env.iter().find(|(name, _)| is_set_by_run(name)) {
            return Err(Error::usage(format!(
                "{}: env.{name} is set by the run, and cannot be set by the spec",
                self.name
            )));
        }
        let job = CloudRunJob {
            run: CloudRun::open(&self.google, &self.region).await?,
            job: self.job.clone(),
            mark: self.mark.clone(),
            overrides: self.overrides.clone(),
            env,
            limit: self.limit,
            redaction: self.redaction.clone(),
        };
        job.run(ctx, db).await
    }
}

/// A service that is deployed again as it is, as a [`Task`]: all of its instances are new, and waited
/// for.
pub struct RunRestartTask {
    /// The project.
    pub google: Google,
    /// The region.
    pub region: String,
    /// Its name in the spec.
    pub name: String,
    /// Which service.
    pub service: String,
    /// The step.
    pub mark: StepMark,
    /// Only if it does not serve.
    pub only_unhealthy: bool,
    /// How long it may take to be deployed, and then to serve.
    pub limit: Duration,
}

#[async_trait]
impl Task for RunRestartTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn run(&self, ctx: &Ctx, _db: &Identity) -> Result<()> {
        let run = CloudRun::open(&self.google, &self.region).await?;
        let service = &self.service;
        if self.only_unhealthy {
            let limit = SERVES_WITHIN.min(self.limit);
            match run.wait_until_serving(ctx, service, limit).await {
                Ok(_) => {
                    let serves = format!("service {service} serves, and is left as it is");
                    ctx.events.info(serves);
                    return Ok(());
                }
                Err(e) if matches!(e.kind(), ErrorKind::Deadline | ErrorKind::Server) => {
                    ctx.events.warn(e.chain());
                }
                Err(e) => return Err(e),
            }
        }
        let mark = self.mark.of_run(&ctx.run);
        run.redeploy(ctx, service, &mark, self.limit).await?;
        run.wait_until_serving(ctx, service, self.limit).await?;
        Ok(())
    }
}
