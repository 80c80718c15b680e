//! Which worker one is.

use crate::environment::Environment;
use crate::error::{Error, Result};

/// Where engines that number their tasks from 0 say which one a process is.
const VARIABLES: [&str; 4] = [
    // https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
    "JOB_COMPLETION_INDEX",
    // https://cloud.google.com/run/docs/container-contract#jobs-env-vars
    "CLOUD_RUN_TASK_INDEX",
    // https://cloud.google.com/batch/docs/create-run-basic-job
    "BATCH_TASK_INDEX",
    // https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
    "AWS_BATCH_JOB_ARRAY_INDEX",
];

/// The number of this worker, from 0: `given`, or what the engine that started it says in its
/// environment.
///
/// # Errors
/// Nobody says it, or what is said is no number.
pub fn index_from(given: Option<u32>, environment: &Environment) -> Result<u32> {
    if let Some(given) = given {
        return Ok(given);
    }
    let said = VARIABLES
        .iter()
        .find_map(|name| Some((name, environment.get(name)?)));
    let Some((name, value)) = said else {
        return Err(
            Error::usage("nothing says which worker this one is").hint(format!(
                "give --index, or start it by an engine that sets one of {}",
                VARIABLES.join(", ")
            )),
        );
    };
    value
        .parse()
        .map_err(|e| Error::usage(format!("{name} is {value:?}, which is no number")).caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_counts_more_than_what_the_engine_says() {
        let engine = |value| Environment::of([("JOB_COMPLETION_INDEX", value)]);
        assert_eq!(index_from(None, &engine("7")).expect("a number"), 7);
        assert_eq!(index_from(Some(2), &engine("7")).expect("a number"), 2);
        let cloud_run = Environment::of([("CLOUD_RUN_TASK_INDEX", "0")]);
        assert_eq!(index_from(None, &cloud_run).expect("a number"), 0);
        assert!(index_from(None, &engine("-1")).is_err());
        assert!(index_from(None, &Environment::default()).is_err());
    }
}
