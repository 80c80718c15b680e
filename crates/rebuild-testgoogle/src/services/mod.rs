//! The services, a file or a folder each. A service keeps what it has in a struct of its own, and
//! its `register` names the handler of each method that it answers:
//!
//! ```ignore
//! pub(crate) fn register(state: &Arc<State>) -> Arc<Jobs> {
//!     let jobs = Arc::new(Jobs::new(state));
//!     state.registry.on("run.projects.locations.jobs.get", &jobs, get);
//!     jobs
//! }
//!
//! async fn get(jobs: Arc<Jobs>, call: Call) -> Result { ... }
//! ```

mod sql;
mod storage;

use std::sync::Arc;

pub(crate) use self::sql::{Instance, Machine, Order, Sql};
pub(crate) use self::storage::Storage;
use crate::state::State;

/// All services of a server.
pub(crate) struct Services {
    pub(crate) storage: Arc<Storage>,
    pub(crate) sql: Arc<Sql>,
}

impl Services {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        let storage = storage::register(state);
        Self {
            sql: sql::register(state, &storage),
            storage,
        }
    }
}
