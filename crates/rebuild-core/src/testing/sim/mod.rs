//! A server in memory: every contract over a table of names, for sweeps that need thousands of
//! runs. It keeps the promises that the conformance suites ask of a real backend, and it counts
//! what was destroyed.

mod copies;
mod places;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::engine::Backends;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, RunId};
use crate::traits::{BackupMode, BackupSummary, Lock, Task, Workload, WorkloadState};

/// The system identifier of every simulated server.
pub const SERVER: &str = "7000000000000000001";

/// One simulated database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimDatabase {
    /// Its name now.
    pub name: String,
    /// The run that made it, while it is staged.
    pub made_by: Option<RunId>,
    /// The schema's version.
    pub schema: u32,
    /// Its rows.
    pub rows: Vec<u64>,
}

/// One simulated backup.
#[derive(Clone, Debug)]
pub struct SimBackup {
    /// What it was taken of.
    pub of: Identity,
    /// What that held, without rows unless the mode is [`BackupMode::Full`].
    pub database: SimDatabase,
    /// How much it holds.
    pub mode: BackupMode,
    /// The number of rows there were.
    pub counted: usize,
}

impl SimBackup {
    fn summary(&self, id: &BackupId) -> BackupSummary {
        BackupSummary {
            id: id.clone(),
            of: self.of.clone(),
            mode: self.mode,
            taken_at: Timestamp::UNIX_EPOCH,
            tables: 1,
            rows: self.counted as u64,
            large_objects: 0,
            stored_bytes: 8 * self.database.rows.len() as u64,
        }
    }
}

/// What the server holds and what has happened to it.
#[derive(Debug, Default)]
pub struct SimState {
    /// Databases by oid.
    pub databases: BTreeMap<u32, SimDatabase>,
    /// Finished backups.
    pub backups: BTreeMap<BackupId, SimBackup>,
    /// Whether each workload runs.
    pub workloads: BTreeMap<String, bool>,
    /// The run that holds the lock.
    pub lock: Option<RunId>,
    /// Every database that was dropped.
    pub dropped: Vec<SimDatabase>,
    /// What the verifier is to complain about, before and after the promote.
    pub complaints: (Vec<String>, Vec<String>),
    next_oid: u32,
}

/// A simulated server; clones share it.
#[derive(Clone, Default)]
pub struct Sim(Arc<Mutex<SimState>>);

impl Sim {
    /// A server with one database `app`, oid 1, of schema version 1 with three rows, and one
    /// running workload `web`.
    pub fn with_app() -> Self {
        let sim = Self::default();
        {
            let mut state = sim.state();
            state.next_oid = 1;
            state.databases.insert(
                1,
                SimDatabase {
                    name: "app".to_owned(),
                    made_by: None,
                    schema: 1,
                    rows: vec![10, 20, 30],
                },
            );
            state.workloads.insert("web".to_owned(), true);
        }
        sim
    }

    /// The state, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, SimState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity of the database that carries `name`.
    pub fn identity(&self, name: &str) -> Option<Identity> {
        self.state().find(name).map(|oid| identity(oid, name))
    }

    /// Every contract on this server, with the workload `web`, the infrastructure `network`, the load `seed` and the
    /// after-step `smoke`.
    pub fn backends(&self) -> Backends {
        Backends {
            lock: Arc::new(self.clone()),
            backup: Arc::new(self.clone()),
            teardown: Arc::new(self.clone()),
            infrastructure: vec![Arc::new(SimTask("network"))],
            provision: Arc::new(self.clone()),
            schema: Arc::new(self.clone()),
            restorer: Arc::new(self.clone()),
            migrator: Some(Arc::new(self.clone())),
            preserver: Some(Arc::new(self.clone())),
            fixtures: None,
            loads: vec![Arc::new(SimTask("seed"))],
            verifier: Arc::new(self.clone()),
            workloads: vec![Arc::new(SimWorkload(self.clone(), "web".to_owned()))],
            tasks: vec![Arc::new(SimTask("smoke"))],
        }
    }

    /// What a crash of the client does to the server: its sessions end, and its lock with them.
    pub fn client_died(&self) {
        self.state().lock = None;
    }
}

impl SimState {
    fn find(&self, name: &str) -> Option<u32> {
        self.databases
            .iter()
            .find(|(_, d)| d.name == name)
            .map(|(oid, _)| *oid)
    }

    /// The database of that oid, whatever it is called now.
    fn moved(&mut self, identity: &Identity) -> Result<&mut SimDatabase> {
        self.databases
            .get_mut(&oid(identity)?)
            .ok_or_else(|| Error::refused(format!("{identity} no longer exists")))
    }

    /// The database of that oid, which must have that name.
    fn database(&mut self, identity: &Identity) -> Result<&mut SimDatabase> {
        let db = self.moved(identity)?;
        if db.name == identity.name {
            Ok(db)
        } else {
            Err(Error::refused(format!(
                "{identity} is called {:?} now",
                db.name
            )))
        }
    }

    fn backup(&self, id: &BackupId) -> Result<&SimBackup> {
        self.backups
            .get(id)
            .ok_or_else(|| Error::refused(format!("there is no backup {id}")))
    }
}

fn identity(oid: u32, name: &str) -> Identity {
    Identity {
        server: SERVER.to_owned(),
        name: name.to_owned(),
        uid: oid.to_string(),
    }
}

fn oid(identity: &Identity) -> Result<u32> {
    if identity.server != SERVER {
        return Err(Error::refused(format!("{identity} is on another server")));
    }
    identity
        .uid
        .parse()
        .map_err(|_| Error::corrupt(format!("{:?} is not an oid", identity.uid)))
}

#[async_trait]
impl Lock for Sim {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        let mut state = self.state();
        match &state.lock {
            Some(holder) if *holder != ctx.run => {
                Err(Error::refused(format!("{holder} has the target")))
            }
            _ => {
                state.lock = Some(ctx.run.clone());
                Ok(())
            }
        }
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        if self.state().lock.as_ref() == Some(&ctx.run) {
            Ok(())
        } else {
            Err(Error::refused("the lock is not held"))
        }
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        let mut state = self.state();
        if state.lock.as_ref() == Some(&ctx.run) {
            state.lock = None;
        }
        Ok(())
    }
}

struct SimWorkload(Sim, String);

#[async_trait]
impl Workload for SimWorkload {
    fn name(&self) -> String {
        self.1.clone()
    }

    async fn look(&self, _: &Ctx) -> Result<WorkloadState> {
        Ok(WorkloadState {
            running: self.0.state().workloads[&self.1],
            detail: serde_json::Value::Null,
        })
    }

    async fn stop(&self, _: &Ctx, _: &WorkloadState) -> Result<()> {
        self.0.state().workloads.insert(self.1.clone(), false);
        Ok(())
    }

    async fn start(&self, _: &Ctx, before: &WorkloadState) -> Result<()> {
        self.0
            .state()
            .workloads
            .insert(self.1.clone(), before.running);
        Ok(())
    }
}

struct SimTask(&'static str);

#[async_trait]
impl Task for SimTask {
    fn name(&self) -> String {
        self.0.to_owned()
    }

    async fn run(&self, _: &Ctx, _: &Identity) -> Result<()> {
        Ok(())
    }
}
