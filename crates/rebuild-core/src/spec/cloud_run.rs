//! `cloud_run`: jobs and services of Cloud Run in the place of a command.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::gcp::part;
use super::{GcpSpec, Within};
use crate::error::{Error, Result};

/// `cloud_run` of a `[[load]]`, an `[[after]]`, `[schema.command]` or `[migrate]`: what Cloud Run does
/// in the place of a command. Either a `job` that is executed, or a service to `restart`.
///
/// A job finds the database's name in PGDATABASE. Where its server is, and who it is there, it knows
/// itself: by the Cloud SQL connection, the account and the secrets that it is deployed with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloudRunTaskSpec {
    /// The job, which is deployed already.
    pub job: Option<String>,
    /// A service that is deployed again as it is, so that all of its instances are new.
    pub restart: Option<String>,
    /// With `restart`: only if the service does not serve within a minute.
    pub only_unhealthy: bool,
    /// The region; without it, that of `[gcp]`.
    pub region: Option<String>,
    /// How many tasks the execution has; without it, as many as the job says.
    pub tasks: Option<NonZeroU32>,
    /// How many groups of work there are: more tasks than these have nothing to do.
    pub groups: Option<NonZeroU32>,
    /// With `groups`: at most so many tasks, in percent of the groups; without it, 100.
    pub max_percent_of_groups: Option<u32>,
    /// Arguments in the place of the job's own; an empty list takes them away.
    pub args: Option<Vec<String>>,
    /// The container that gets the arguments and the variables; without it, the job's first.
    pub container: Option<String>,
    /// How long one attempt of a task may take; without it, as long as the job says.
    pub task_timeout: Option<Within>,
    /// A variable besides PGDATABASE that gets the database's name.
    pub database_variable: Option<String>,
    /// Let rehearsals begin the job. Say so only of one that takes the database's name from these variables and
    /// from nowhere else: whatever it is deployed with is not looked at, and the target stays open to
    /// writers in a rehearsal.
    pub rehearse: bool,
}

impl CloudRunTaskSpec {
    /// The most tasks that the groups allow, if they say anything.
    pub fn most_tasks(&self) -> Option<NonZeroU32> {
        let groups = u64::from(self.groups?.get());
        let percent = u64::from(self.max_percent_of_groups.unwrap_or(100));
        let most = u32::try_from(groups * percent / 100).unwrap_or(u32::MAX);
        Some(NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN))
    }

    /// The first key that only a job has.
    fn of_a_job(&self) -> Option<&'static str> {
        let keys = [
            ("tasks", self.tasks.is_some()),
            ("groups", self.groups.is_some()),
            ("args", self.args.is_some()),
            ("container", self.container.is_some()),
            ("task_timeout", self.task_timeout.is_some()),
            ("database_variable", self.database_variable.is_some()),
            ("rehearse", self.rehearse),
        ];
        keys.into_iter()
            .find(|(_, given)| *given)
            .map(|(key, _)| key)
    }
}

/// `cloud_run` of a `[[workload]]`: a service that writes to the database. Its name, or more.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CloudRunWorkloadSpec {
    /// The service; it is scaled to no instances and back.
    Service(String),
    /// The same with more to say.
    More(CloudRunServiceSpec),
}

/// A service of Cloud Run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudRunServiceSpec {
    /// Its name.
    pub service: String,
    /// The region; without it, that of `[gcp]`.
    #[serde(default)]
    pub region: Option<String>,
    /// Delete it in the place of scaling it to nothing, and deploy it again from what it was. Its older
    /// revisions do not come back.
    #[serde(default)]
    pub delete: bool,
}

impl CloudRunWorkloadSpec {
    /// The service, by either form.
    pub fn service(&self) -> CloudRunServiceSpec {
        match self {
            Self::Service(service) => CloudRunServiceSpec {
                service: service.clone(),
                region: None,
                delete: false,
            },
            Self::More(more) => more.clone(),
        }
    }
}

/// Checks one task; `key` is where it stands, and `restarts` says whether a restart has a meaning
/// there.
///
/// # Errors
/// It names nothing to do, or more than one thing, or what does not fit together.
pub(super) fn check_task(
    key: &str,
    task: &CloudRunTaskSpec,
    gcp: &GcpSpec,
    restarts: bool,
) -> Result<()> {
    let wrong = |name: &str, why: &str| Err(Error::usage(format!("{key}{name}: {why}")));
    match (&task.job, &task.restart) {
        (Some(job), None) => part(&format!("{key}.job"), job)?,
        (None, Some(_)) if !restarts => {
            let why = "a restart does nothing to a database; only an [[after]] has it";
            return wrong(".restart", why);
        }
        (None, Some(service)) => part(&format!("{key}.restart"), service)?,
        _ => return wrong("", "names exactly one of job and restart"),
    }
    region(key, task.region.as_ref(), gcp)?;
    if let (Some(_), Some(name)) = (&task.restart, task.of_a_job()) {
        return wrong(
            &format!(".{name}"),
            "is said of a job, and this is a restart",
        );
    }
    if task.job.is_some() && task.only_unhealthy {
        return wrong(".only_unhealthy", "is said of a restart, and this is a job");
    }
    match (task.groups, task.max_percent_of_groups) {
        (_, Some(0 | 101..)) => wrong(".max_percent_of_groups", "is from 1 to 100"),
        (None, Some(_)) => wrong(".max_percent_of_groups", "means nothing without groups"),
        _ if task.database_variable.as_deref() == Some("") => {
            wrong(".database_variable", "is empty")
        }
        _ => Ok(()),
    }
}

/// Checks a service.
///
/// # Errors
/// A name that cannot be one; no region.
pub(super) fn check_service(key: &str, service: &CloudRunServiceSpec, gcp: &GcpSpec) -> Result<()> {
    part(key, &service.service)?;
    region(key, service.region.as_ref(), gcp)
}

/// Everything in Cloud Run is in a region.
pub(super) fn region(key: &str, own: Option<&String>, gcp: &GcpSpec) -> Result<()> {
    match own {
        Some(region) => part(&format!("{key}.region"), region),
        None if gcp.region.is_some() => Ok(()),
        None => Err(Error::usage(format!(
            "{key}.region: neither this nor gcp.region says where it is"
        ))),
    }
}
