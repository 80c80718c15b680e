//! Jobs of Cloud Run, executed to their end.

mod follow;
mod own;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use google_cloud_run_v2::model::run_job_request::Overrides as ApiOverrides;
use google_cloud_run_v2::model::run_job_request::overrides::ContainerOverride;
use google_cloud_run_v2::model::{EnvVar, Execution, ExecutionTemplate, Job};
use tokio::time::Instant;

use self::own::{RUN_VARIABLES, variables};
use super::cloud_run::{CloudRun, short};
use super::operation::failure;
use crate::command::Redaction;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::GoogleApi;
use crate::model::{Identity, StepMark};

/// What an execution is told otherwise than the job says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// How many tasks.
    pub tasks: Option<NonZeroU32>,
    /// How many at most, however many there would be.
    pub most_tasks: Option<NonZeroU32>,
    /// The arguments.
    pub args: Option<Vec<String>>,
    /// The container that gets them.
    pub container: Option<String>,
    /// How long one attempt of a task may take.
    pub task_timeout: Option<Duration>,
}

impl Overrides {
    /// How many tasks an execution of a job with so many has.
    pub(super) fn tasks(&self, own: i32) -> u32 {
        let own = u32::try_from(own).unwrap_or(1).max(1);
        let wanted = self.tasks.map_or(own, NonZeroU32::get);
        self.most_tasks
            .map_or(wanted, |most| wanted.min(most.get()))
    }
}

/// A job that is executed and followed.
#[derive(Clone)]
pub struct CloudRunJob {
    /// Where it is.
    pub run: CloudRun,
    /// Which.
    pub job: String,
    /// The step that it is executed for.
    pub mark: StepMark,
    /// What the execution is told.
    pub overrides: Overrides,
    /// Variables besides those of the job.
    pub env: Vec<(String, String)>,
    /// How long it may take in all.
    pub limit: Duration,
    /// What must not show in its log.
    pub redaction: Redaction,
}

impl CloudRunJob {
    /// Executes it for the database `db` and waits for its end. What its tasks print is passed on.
    ///
    /// *Repeats:* an execution that was begun for this step of the run and goes on is waited for; one
    /// that succeeded is taken for done, unless the step is done each time. Others are left alone.
    ///
    /// # Errors
    /// It failed, with the last lines of its log; it did not end in time, could not be followed, or the
    /// operator stopped (then it is cancelled); there is no such job, or it may not be executed.
    pub async fn run(&self, ctx: &Ctx, db: &Identity) -> Result<()> {
        let deadline = Instant::now() + self.limit;
        let before = self.own(ctx, db).await?;
        let going = before.iter().find(|execution| ended(execution).is_none());
        let name = match (going, before.first()) {
            (Some(going), _) => {
                let name = short(&going.name);
                ctx.events
                    .info(format!("execution {name} was begun before, and goes on"));
                going.name.clone()
            }
            (None, Some(last)) if !self.mark.each_time && ended(last) == Some(true) => {
                let name = short(&last.name);
                ctx.events
                    .info(format!("execution {name} of this run has succeeded before"));
                return Ok(());
            }
            _ => self.begin(ctx, db, &before).await?,
        };
        match self.follow(ctx, &name, deadline).await {
            Err(e) if e.kind() != ErrorKind::Program => Err(self.cancelled(ctx, &name, e).await),
            // It has ended.
            followed => followed,
        }
    }

    /// Begins an execution. Its name is the answer.
    async fn begin(&self, ctx: &Ctx, db: &Identity, before: &[Execution]) -> Result<String> {
        let (api, run) = (GoogleApi::Run, &self.run);
        let name = run.job_name(&self.job);
        let what = format!("could not read the job {:?}", self.job);
        let job = run
            .google
            .ask(ctx, api, &what, || {
                run.jobs.get_job().set_name(&name).send()
            })
            .await?;
        let overrides = self.overriding(ctx, db, &job);
        let tasks = overrides.task_count.max(1);
        let known: HashSet<&str> = before.iter().map(|e| &*e.name).collect();
        let what = format!("could not execute the job {:?}", self.job);
        let look = || async {
            let own = self.own(ctx, db).await?;
            let new = own.into_iter().find(|e| !known.contains(&*e.name));
            Ok(new.map(|execution| (execution.name, None)))
        };
        let request = || async {
            let request = run.jobs.run_job().set_name(&name);
            let begun = request.set_overrides(overrides.clone()).send().await?;
            // The operation lasts as long as the execution, which is what is followed.
            let failed = failure(&begun);
            let execution = begun
                .metadata
                .and_then(|any| any.to_msg::<Execution>().ok());
            Ok((execution.map(|e| e.name).unwrap_or_default(), failed))
        };
        let asked = run.google.ask_once(ctx, api, &what, look, request).await?;
        let (mut begun, failed) = asked;
        if let Some(why) = failed {
            return Err(
                Error::new(ErrorKind::Server, what).caused_by(Error::new(ErrorKind::Server, why))
            );
        }
        if begun.is_empty() {
            let found = look().await?.map(|(name, _)| name);
            begun = found.ok_or_else(|| {
                let why = "the answer does not name the execution, and it is not listed";
                Error::new(ErrorKind::Server, what).caused_by(Error::new(ErrorKind::Server, why))
            })?;
        }
        let shown = short(&begun);
        let count = if tasks == 1 { "task" } else { "tasks" };
        ctx.events
            .info(format!("execution {shown} of {tasks} {count} was begun"));
        Ok(begun)
    }

    /// <https://cloud.google.com/run/docs/execute/jobs#override-job-configuration>
    fn overriding(&self, ctx: &Ctx, db: &Identity, job: &Job) -> ApiOverrides {
        let template: ExecutionTemplate = job.template.clone().unwrap_or_default();
        let containers = template.template.map(|t| t.containers).unwrap_or_default();
        let first = containers.first().map(|container| container.name.clone());
        let own = variables(ctx, &self.mark, db);
        let env = own.into_iter().chain(self.env.clone());
        let env = env.map(|(name, value)| EnvVar::new().set_name(name).set_value(value));
        let args = self.overrides.args.clone();
        let container = ContainerOverride::new()
            .set_name(
                self.overrides
                    .container
                    .clone()
                    .or(first)
                    .unwrap_or_default(),
            )
            .set_clear_args(args.as_ref().is_some_and(Vec::is_empty))
            .set_args(args.unwrap_or_default())
            .set_env(env);
        let timeout = self.overrides.task_timeout;
        let timeout = timeout.and_then(|t| google_cloud_wkt::Duration::try_from(t).ok());
        let tasks = self.overrides.tasks(template.task_count);
        ApiOverrides::new()
            .set_container_overrides([container])
            .set_task_count(i32::try_from(tasks).unwrap_or(i32::MAX))
            .set_or_clear_timeout(timeout)
    }
}

/// True for a variable that an execution gets from the run, and that nothing else may set.
pub fn is_set_by_run(name: &str) -> bool {
    RUN_VARIABLES.contains(&name)
}

/// How an execution ended: well or not; nothing while it goes on. Its condition `Completed` says it
/// (<https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions>).
fn ended(execution: &Execution) -> Option<bool> {
    use google_cloud_run_v2::model::condition::State;
    let completed = execution
        .conditions
        .iter()
        .find(|c| c.r#type == "Completed");
    match completed.map(|condition| &condition.state) {
        Some(State::ConditionSucceeded) => Some(true),
        Some(State::ConditionFailed) => Some(false),
        _ if execution.completion_time.is_some() && !execution.reconciling => {
            Some(execution.succeeded_count >= execution.task_count)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
