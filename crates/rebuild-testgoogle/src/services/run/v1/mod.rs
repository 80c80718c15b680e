//! The older API, which `gcloud run` speaks: the same jobs and services in the form of Knative's objects.
//! A region is named by the host (`REGION-run.googleapis.com`), not by the path.
//! <https://cloud.google.com/run/docs/reference/rest/v1/namespaces.services>

mod annotations;
mod containers;
mod executions;
mod jobs;
mod meta;
mod services;

use std::sync::Arc;

use super::Run;
use crate::state::State;

pub(super) fn register(state: &State, run: &Arc<Run>) {
    jobs::register(state, run);
    executions::register(state, run);
    services::register(state, run);
}

pub(super) use self::services::listed;
