//! `[kubernetes.workers]`: the Job whose pods share a work.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Within;
use crate::error::{Error, Result};

/// `[kubernetes.workers]`: what the workers of `--workers k8s:N` are made from. Exactly one of `job`
/// and `cronjob`. Its container runs `rebuild worker` with a spec of the same store and database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkersSpec {
    /// The manifest of a Job, relative to the spec. How many pods it has is said on the command
    /// line.
    #[serde(default)]
    pub job: Option<String>,
    /// A CronJob, usually suspended, whose template is that of the Job.
    #[serde(default)]
    pub cronjob: Option<String>,
    /// How long all of the workers may take.
    #[serde(default = "half_a_day")]
    pub timeout: Within,
}

const fn half_a_day() -> Within {
    Within::seconds(12 * 3600)
}

/// Checks what it is made from.
///
/// # Errors
/// There is nothing, or more than one thing.
pub(super) fn check(workers: &WorkersSpec) -> Result<()> {
    if workers.job.is_some() == workers.cronjob.is_some() {
        return Err(Error::usage(
            "kubernetes.workers: names exactly one of job and cronjob",
        ));
    }
    Ok(())
}
