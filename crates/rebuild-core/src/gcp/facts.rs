//! What a plan says of Google Cloud.

use std::collections::HashMap;
use std::time::Duration;

use google_cloud_run_v2::model::task_template::Retries;
use google_cloud_run_v2::model::{Container, Job};

use super::cloud_run::{CloudRun, short};
use super::job::Overrides;
use super::service::{Standing, is_stopped, newest_serves, standing};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::GoogleApi;
use crate::model::{CloudRunJobFacts, CloudRunServiceFacts};

/// What a task has where the job does not say
/// (<https://cloud.google.com/run/docs/configuring/jobs/memory-limits>).
const USUAL_MILLI_VCPU: u64 = 1000;
const USUAL_MEMORY: u64 = 512 << 20;
const USUAL_TASK_SECONDS: u64 = 600;
const USUAL_RETRIES: i32 = 3;

/// A job that a run would execute.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// The step, for example `load/articles`.
    pub step: String,
    /// Its name.
    pub job: String,
    /// What the execution is told.
    pub overrides: Overrides,
}

/// What Cloud Run costs.
#[derive(Clone, Debug)]
pub struct Prices {
    /// A vCPU for a second.
    pub vcpu_second: f64,
    /// A GiB for a second.
    pub gib_second: f64,
    /// The currency.
    pub currency: String,
}

/// What is known of something, or why nothing is.
pub(crate) type Seen<T> = Result<T, String>;

impl CloudRun {
    /// What a job would use at most. One that cannot be seen is no failure: a step before it may make it.
    ///
    /// # Errors
    /// The API could not be asked.
    pub async fn job_facts(
        &self,
        ctx: &Ctx,
        planned: &PlannedJob,
        prices: Option<&Prices>,
    ) -> Result<Seen<CloudRunJobFacts>> {
        let name = self.job_name(&planned.job);
        let what = format!("job {} in {}", planned.job, self.region);
        let request = || self.jobs.get_job().set_name(&name).send();
        let asked = self.google.ask_maybe(ctx, GoogleApi::Run, &what, request);
        Ok(match asked.await {
            Ok(Some(job)) => Ok(facts(&self.region, planned, &job, prices)),
            Ok(None) => Err(format!("{what}: there is none yet")),
            Err(e) => Err(unseen(e)?),
        })
    }

    /// How a service is. One that may not be seen is no failure.
    ///
    /// # Errors
    /// The API could not be asked.
    pub async fn service_facts(
        &self,
        ctx: &Ctx,
        service: &str,
        deleted: bool,
    ) -> Result<Seen<CloudRunServiceFacts>> {
        let found = match self.service(ctx, service).await {
            Ok(found) => found,
            Err(e) => return Ok(Err(unseen(e)?)),
        };
        // One that is paused is left alone.
        let deleted = deleted && !found.as_ref().is_some_and(is_stopped);
        let state = found.map(|now| {
            let mut state = match standing(&now) {
                Standing::Ready => {
                    format!("revision {} is ready", short(&now.latest_ready_revision))
                }
                Standing::NotYet(how) => format!("changing: {how}"),
                Standing::Failed(why) => format!("not ready: {why}"),
            };
            if !newest_serves(&now) {
                state.push_str(", and the traffic goes to another revision");
            }
            state
        });
        Ok(Ok(CloudRunServiceFacts {
            service: service.to_owned(),
            region: self.region.clone(),
            state,
            deleted,
        }))
    }
}

/// The answer of an API that says no; an error where there is none.
fn unseen(e: Error) -> Result<String> {
    match e.kind() {
        ErrorKind::Server => Ok(e.chain()),
        _ => Err(e),
    }
}

fn facts(
    region: &str,
    planned: &PlannedJob,
    job: &Job,
    prices: Option<&Prices>,
) -> CloudRunJobFacts {
    let template = job.template.clone().unwrap_or_default();
    let task = template.template.unwrap_or_default();
    let limit = |name: &str, usual: u64| {
        let of = |container: &Container| limit_of(container, name);
        let limits: u64 = task.containers.iter().filter_map(of).sum();
        if limits == 0 { usual } else { limits }
    };
    let own = task.timeout.and_then(|t| Duration::try_from(t).ok());
    let timeout = planned.overrides.task_timeout.or(own);
    let retries = match task.retries {
        Some(Retries::MaxRetries(retries)) => retries,
        _ => USUAL_RETRIES,
    };
    let unlimited = Overrides {
        most_tasks: None,
        ..planned.overrides.clone()
    };
    let mut facts = CloudRunJobFacts {
        step: planned.step.clone(),
        job: planned.job.clone(),
        region: region.to_owned(),
        tasks: planned.overrides.tasks(template.task_count),
        tasks_wanted: unlimited.tasks(template.task_count),
        milli_vcpu: limit("cpu", USUAL_MILLI_VCPU),
        memory_bytes: limit("memory", USUAL_MEMORY),
        task_seconds: timeout.map_or(USUAL_TASK_SECONDS, |t| t.as_secs()),
        attempts: u32::try_from(retries).unwrap_or(0) + 1,
        cost: None,
    };
    facts.cost = prices.map(|prices| cost(&facts, prices));
    facts
}

/// A limit of a container, in thousandths of a vCPU or in bytes.
fn limit_of(container: &Container, name: &str) -> Option<u64> {
    let limits: &HashMap<String, String> = &container.resources.as_ref()?.limits;
    let text = limits.get(name)?;
    match name {
        "cpu" => quantity(text).map(|milli| u64::try_from(milli).unwrap_or(u64::MAX)),
        _ => quantity(text).map(|milli| u64::try_from(milli / 1000).unwrap_or(u64::MAX)),
    }
}

/// A quantity as Kubernetes writes it, in thousandths
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
fn quantity(text: &str) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let all: u128 = format!("{whole}{part}").parse().ok()?;
    Some(all.checked_mul(factor)? / scale)
}

/// What the job costs at most.
fn cost(facts: &CloudRunJobFacts, prices: &Prices) -> String {
    let seconds = f64::from(facts.tasks) * f64::from(facts.attempts) * facts.task_seconds as f64;
    let vcpu = facts.milli_vcpu as f64 / 1000.0 * prices.vcpu_second;
    let memory = facts.memory_bytes as f64 / f64::from(1 << 30) * prices.gib_second;
    let most = seconds * (vcpu + memory);
    format!("{most:.2} {}", prices.currency)
}

#[cfg(test)]
mod tests {
    use google_cloud_run_v2::model::{ExecutionTemplate, ResourceRequirements, TaskTemplate};

    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, milli) in [
            ("1", Some(1000)),
            ("500m", Some(500)),
            ("1.5", Some(1500)),
            ("512Mi", Some(512 * 1024 * 1024 * 1000)),
            ("2G", Some(2_000_000_000_000)),
            ("2Gi", Some(2 * 1024 * 1024 * 1024 * 1000)),
            ("x", None),
            ("", None),
            ("1x", None),
        ] {
            assert_eq!(quantity(text), milli, "{text}");
        }
    }

    #[test]
    fn a_job_is_counted_with_its_retries_and_prices() {
        let limits = [("cpu", "2"), ("memory", "1Gi")];
        let resources = ResourceRequirements::new().set_limits(limits);
        let task = TaskTemplate::new()
            .set_containers([Container::new().set_resources(resources)])
            .set_timeout(google_cloud_wkt::Duration::clamp(100, 0))
            .set_max_retries(1);
        let template = ExecutionTemplate::new()
            .set_task_count(10)
            .set_template(task);
        let job = Job::new().set_template(template);
        let mut planned = PlannedJob {
            step: "load/a".into(),
            job: "a".into(),
            overrides: Overrides::default(),
        };
        let prices = Prices {
            vcpu_second: 0.01,
            gib_second: 0.02,
            currency: "EUR".into(),
        };
        let found = facts("l", &planned, &job, Some(&prices));
        assert_eq!((found.tasks, found.attempts), (10, 2));
        assert_eq!((found.milli_vcpu, found.memory_bytes), (2000, 1 << 30));
        assert_eq!(found.task_seconds, 100);
        // 10 tasks, 2 attempts, 100 seconds, 2 vCPU and 1 GiB.
        assert_eq!(found.cost.as_deref(), Some("80.00 EUR"));
        planned.overrides.most_tasks = std::num::NonZeroU32::new(4);
        planned.overrides.task_timeout = Some(Duration::from_secs(7));
        let found = facts("l", &planned, &job, None);
        assert_eq!((found.tasks, found.tasks_wanted), (4, 10));
        assert_eq!((found.task_seconds, found.cost), (7, None));
    }
}
