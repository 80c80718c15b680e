//! The services, a file or a folder each. A service keeps what it has in a struct of its own, and
//! its `register` names the handler of each method that it answers:
//!
//! ```text
//! pub(crate) fn register(state: &Arc<State>) -> Arc<Jobs> {
//!     let jobs = Arc::new(Jobs::new(state));
//!     state.registry.on("run.projects.locations.jobs.get", &jobs, get);
//!     jobs
//! }
//!
//! async fn get(jobs: Arc<Jobs>, call: Call) -> Result { ... }
//! ```

mod bigquery;
mod logging;
mod run;
mod sql;
mod storage;
mod transfer;

use std::sync::Arc;

pub(crate) use self::bigquery::BigQuery;
pub(crate) use self::logging::{LogLine, Logging};
pub(crate) use self::run::Run;
pub(crate) use self::sql::{Instance, Machine, Order, Sql};
pub(crate) use self::storage::Storage;
pub use self::transfer::TransferOutcome;
pub(crate) use self::transfer::Transfers;
use crate::state::State;

/// All services of a server.
pub(crate) struct Services {
    pub(crate) storage: Arc<Storage>,
    pub(crate) sql: Arc<Sql>,
    pub(crate) run: Arc<Run>,
    pub(crate) bigquery: Arc<BigQuery>,
    pub(crate) transfers: Arc<Transfers>,
}

impl Services {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        let storage = storage::register(state);
        let logging = logging::register(state);
        Self {
            run: run::register(state, &logging),
            bigquery: bigquery::register(state),
            transfers: transfer::register(state),
            sql: sql::register(state, &storage),
            storage,
        }
    }
}
