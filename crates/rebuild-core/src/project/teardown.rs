//! Who may be sent away, and what retires and purges.

use std::sync::Arc;

use super::Project;
use crate::error::Result;
use crate::postgres::{EndSessions, PgTeardown, TargetLock};
use crate::spec::{EndSessionsSpec, Spec};
use crate::traits::Teardown;

pub(super) fn policy(spec: &Spec) -> Result<EndSessions> {
    match &spec.quiesce.end_sessions {
        EndSessionsSpec::All(false) => Ok(EndSessions::None),
        EndSessionsSpec::All(true) => Ok(EndSessions::All),
        EndSessionsSpec::Matching(patterns) => {
            EndSessions::matching(&patterns.roles, &patterns.applications)
        }
    }
}

impl Project {
    pub(super) fn teardown(&self, lock: Arc<TargetLock>) -> Result<Arc<dyn Teardown>> {
        let watch = Arc::new(self.pg_backup());
        let teardown = PgTeardown::new(self.maintenance(), lock, policy(&self.spec)?, watch);
        #[cfg(feature = "cloudsql")]
        let teardown = match self.drop_by_api() {
            Some(dropper) => teardown.dropping_by(dropper),
            None => teardown,
        };
        Ok(Arc::new(teardown))
    }
}
