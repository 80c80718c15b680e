//! What the parts of a server share.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tempfile::TempDir;
use tokio::sync::watch;

use crate::access::{Access, Logins};
use crate::discovery::Catalog;
use crate::fault::Faults;
use crate::operations::OperationFaults;
use crate::postgres;
use crate::record::Records;
use crate::registry::Registry;

pub(crate) struct State {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) registry: Registry,
    pub(crate) url: String,
    pub(crate) home: TempDir,
    pub(crate) operation_faults: OperationFaults,
    /// How often an operation is shown as running at least.
    pub(crate) shown_running: u32,
    pub(crate) stop: watch::Sender<bool>,
    /// Where the servers of instances ask about logins.
    pub(crate) logins: Logins,
    access: Mutex<Access>,
    records: Mutex<Records>,
    faults: Mutex<Faults>,
    denied: Mutex<BTreeSet<String>>,
    forbidden: Mutex<BTreeSet<String>>,
}

impl State {
    pub(crate) fn new(
        url: String,
        access: Access,
        logins: Logins,
        shown_running: u32,
    ) -> io::Result<Self> {
        // Servers that run as another user must reach their folders; what is secret in here has
        // permissions of its own. Sockets have short paths, so where temporary files usually are
        // does not matter.
        let home = tempfile::Builder::new()
            .prefix("tg-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/tmp")?;
        let files = home.path().join("files");
        std::fs::create_dir(&files)?;
        postgres::give(&files)?;
        Ok(Self {
            catalog: Catalog::get(),
            registry: Registry::default(),
            url,
            home,
            operation_faults: OperationFaults::default(),
            shown_running,
            stop: watch::Sender::new(false),
            logins,
            access: Mutex::new(access),
            records: Mutex::default(),
            faults: Mutex::default(),
            denied: Mutex::default(),
            forbidden: Mutex::default(),
        })
    }

    /// The folder of all that is large. It belongs to the account that servers run as, so that they
    /// can remove it when this process is killed.
    pub(crate) fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    pub(crate) fn access(&self) -> MutexGuard<'_, Access> {
        lock(&self.access)
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// The ids of methods that nobody may call.
    pub(crate) fn denied(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.denied)
    }

    /// The ids of methods whose call is a violation.
    pub(crate) fn forbidden(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.forbidden)
    }
}

/// Locks, also after a panic in another thread of the test: what is kept here has no halves.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
