//! Cloud Run: jobs whose containers are programs of this machine, and services that say how they are.
//! <https://cloud.google.com/run/docs/reference/rest>

mod changes;
mod executions;
mod jobs;
mod names;
mod operations;
mod programs;
mod services;
mod tasks;
mod v1;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use self::executions::Execution;
use self::operations::Operation;
use self::services::Service;
use super::Logging;
use crate::state::State;

/// Everything in Cloud Run, by full names.
pub(crate) struct Run {
    state: Arc<State>,
    logging: Arc<Logging>,
    /// What stands for an image: a command and its first arguments.
    programs: Mutex<HashMap<String, Vec<String>>>,
    jobs: Mutex<BTreeMap<String, Value>>,
    /// The oldest first.
    executions: Mutex<Vec<Arc<Execution>>>,
    services: Mutex<BTreeMap<String, Service>>,
    operations: Mutex<HashMap<String, Operation>>,
}

pub(crate) fn register(state: &Arc<State>, logging: &Arc<Logging>) -> Arc<Run> {
    let run = Arc::new(Run {
        state: state.clone(),
        logging: logging.clone(),
        programs: Mutex::default(),
        jobs: Mutex::default(),
        executions: Mutex::default(),
        services: Mutex::default(),
        operations: Mutex::default(),
    });
    jobs::register(state, &run);
    executions::register(state, &run);
    services::register(state, &run);
    operations::register(state, &run);
    v1::register(state, &run);
    run
}
