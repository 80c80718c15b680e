//! The end of what runs have begun in Cloud Run.

use std::collections::BTreeSet;
use std::time::Duration;

use super::steps;
use crate::command::Redaction;
use crate::error::Result;
use crate::event::Ctx;
use crate::gcp::{CloudRun, CloudRunJob, Overrides};
use crate::model::{RunId, StepMark};
use crate::project::Project;
use crate::spec::Spec;

impl Project {
    /// Ends the executions of Cloud Run that one of `runs` has begun by `spec` and that go on: a line each.
    ///
    /// # Errors
    /// They cannot be found, or ended.
    pub(in crate::project) async fn cancel_executions(
        &self,
        ctx: &Ctx,
        spec: &Spec,
        runs: &[RunId],
    ) -> Result<Vec<String>> {
        let mut jobs = BTreeSet::new();
        for task in steps(spec).into_iter().filter_map(|step| step.task) {
            if let Some(job) = &task.job {
                jobs.insert((self.region(task.region.as_ref())?, job.clone()));
            }
        }
        let mut cancelled = Vec::new();
        for (region, job) in jobs {
            let job = CloudRunJob {
                run: CloudRun::open(self.google()?, &region).await?,
                job,
                mark: StepMark::once("cancel"),
                overrides: Overrides::default(),
                env: Vec::new(),
                limit: Duration::ZERO,
                redaction: Redaction::new(&self.endpoint.password()),
            };
            let ended = job.cancel_of(ctx, runs).await?;
            let line = |name: String| format!("execution {name} of the job {:?}", job.job);
            cancelled.extend(ended.into_iter().map(line));
        }
        Ok(cancelled)
    }
}
