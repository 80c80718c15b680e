//! Cloud SQL's Admin API, with a real PostgreSQL server behind each instance.
//! <https://cloud.google.com/sql/docs/postgres/admin-api>

mod backup_runs;
mod backups;
mod bucket_files;
mod connect;
mod databases;
mod delete;
mod instance;
mod instances;
mod machine;
mod operations;
mod resource;
mod restore;
mod users;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;

pub(crate) use self::backups::Backup;
pub(crate) use self::instance::{Instance, Order};
pub(crate) use self::machine::Machine;
use super::Storage;
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::operations::Operations;
use crate::state::{State, lock};

/// All instances and their backups.
pub(crate) struct Sql {
    state: Arc<State>,
    storage: Arc<Storage>,
    operations: Operations,
    instances: Mutex<BTreeMap<(String, String), Arc<Instance>>>,
    backups: Mutex<Vec<Arc<Backup>>>,
    /// The same for all servers: a backup of one is restored to another.
    admin_password: String,
    /// Held while it is decided whether an operation may begin.
    gate: Mutex<()>,
}

pub(crate) fn register(state: &Arc<State>, storage: &Arc<Storage>) -> Arc<Sql> {
    let sql = Arc::new(Sql {
        state: state.clone(),
        storage: storage.clone(),
        operations: Operations::default(),
        instances: Mutex::default(),
        backups: Mutex::default(),
        admin_password: Uuid::new_v4().simple().to_string(),
        gate: Mutex::default(),
    });
    instances::register(state, &sql);
    delete::register(state, &sql);
    operations::register(state, &sql);
    databases::register(state, &sql);
    users::register(state, &sql);
    backup_runs::register(state, &sql);
    backups::register(state, &sql);
    restore::register(state, &sql);
    bucket_files::register(state, &sql);
    connect::register(state, &sql);
    sql
}

impl Sql {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Instance>>> {
        lock(&self.instances)
    }

    fn all_backups(&self) -> MutexGuard<'_, Vec<Arc<Backup>>> {
        lock(&self.backups)
    }

    /// An instance, if it is there.
    pub(crate) fn find(&self, project: &str, name: &str) -> Option<Arc<Instance>> {
        let key = (project.to_owned(), name.to_owned());
        self.all().get(&key).cloned()
    }

    /// The instance that a call names.
    fn named(&self, call: &Call) -> Result<Arc<Instance>> {
        let found = self.find(call.param("project"), call.param("instance"));
        found.ok_or_else(no_instance)
    }

    /// Stops all servers.
    pub(crate) fn stop(&self) {
        for instance in std::mem::take(&mut *self.all()).into_values() {
            if let Some(machine) = instance.machine() {
                machine.kill();
            }
        }
    }
}

fn no_instance() -> ApiError {
    let said = "The Cloud SQL instance does not exist.";
    ApiError::new(404, said).reason("instanceDoesNotExist")
}

/// A request that is understood and cannot be done.
fn invalid(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(400, format!("Invalid request: {why}."))
}
