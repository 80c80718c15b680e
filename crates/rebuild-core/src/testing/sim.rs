//! A server in memory: every contract over a table of names, for sweeps that need thousands of
//! runs. It keeps the promises that the conformance suites ask of a real backend, and it counts
//! what was destroyed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::engine::Backends;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, RunId, Verdict};
use crate::traits::{
    Backup, BackupMode, BackupSummary, DestroyPermit, Lock, Provision, ProvisionRequest,
    RestoreOutline, RestoreReport, Restorer, RetireRequest, Retired, SchemaApplied, SchemaApplier,
    SchemaState, Task, Teardown, Verifier, VerifyRequest, Workload, WorkloadState,
};

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

    /// Every contract on this server, with the workload `web` and the after-step `smoke`.
    pub fn backends(&self) -> Backends {
        Backends {
            lock: Arc::new(self.clone()),
            backup: Arc::new(self.clone()),
            teardown: Arc::new(self.clone()),
            provision: Arc::new(self.clone()),
            schema: Arc::new(self.clone()),
            restorer: Arc::new(self.clone()),
            fixtures: None,
            verifier: Arc::new(self.clone()),
            workloads: vec![Arc::new(SimWorkload(self.clone(), "web".to_owned()))],
            tasks: vec![Arc::new(SimTask)],
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

#[async_trait]
impl Backup for Sim {
    async fn list(&self, _: &Ctx) -> Result<Vec<BackupSummary>> {
        let state = self.state();
        Ok(state
            .backups
            .iter()
            .rev()
            .map(|(id, backup)| backup.summary(id))
            .collect())
    }

    async fn take(
        &self,
        _: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        let mut state = self.state();
        let mut database = state.database(target)?.clone();
        let counted = database.rows.len();
        if mode != BackupMode::Full {
            database.rows.clear();
        }
        let taken = SimBackup {
            of: target.clone(),
            database,
            mode,
            counted,
        };
        Ok(state.backups.entry(id.clone()).or_insert(taken).summary(id))
    }

    async fn check(&self, _: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let state = self.state();
        let backup = state.backup(id)?;
        let found = backup.database.rows.len();
        let complaints = if backup.mode == BackupMode::Full && found != backup.counted {
            vec![format!(
                "{} rows were counted, {found} are there",
                backup.counted
            )]
        } else {
            Vec::new()
        };
        let mut verdict = Verdict::default();
        verdict.add_complaints("rows", format!("{found} rows"), complaints);
        Ok((backup.summary(id), verdict))
    }

    async fn remove(&self, _: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        let mut state = self.state();
        if let Some(backup) = state.backups.get(id) {
            permit.spend_on(&backup.of)?;
            state.backups.remove(id);
        }
        Ok(())
    }
}

#[async_trait]
impl Provision for Sim {
    async fn look(&self, _: &Ctx, name: &str) -> Result<Option<Identity>> {
        Ok(self.identity(name))
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        let mut state = self.state();
        if let Some(oid) = state.find(&request.name) {
            let ours = state.databases[&oid].made_by.as_ref() == Some(&ctx.run);
            return if ours {
                Ok(identity(oid, &request.name))
            } else {
                Err(Error::refused(format!("{:?} exists", request.name)))
            };
        }
        state.next_oid += 1;
        let oid = state.next_oid;
        state.databases.insert(
            oid,
            SimDatabase {
                name: request.name.clone(),
                made_by: Some(ctx.run.clone()),
                ..SimDatabase::default()
            },
        );
        Ok(identity(oid, &request.name))
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        let mut state = self.state();
        let oid = oid(made)?;
        match state.databases.get(&oid) {
            None => Ok(()),
            Some(db) if db.made_by.as_ref() != Some(&ctx.run) => {
                Err(Error::refused(format!("{made} is not of {}", ctx.run)))
            }
            Some(_) => {
                if let Some(db) = state.databases.remove(&oid) {
                    state.dropped.push(db);
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Teardown for Sim {
    async fn look(&self, _: &Ctx, name: &str) -> Result<Option<Identity>> {
        Ok(self.identity(name))
    }

    async fn retire(&self, _: &Ctx, request: &RetireRequest) -> Result<Retired> {
        let retired = Retired {
            old: request.target.clone(),
            retired_name: request.retired_name.clone(),
            successor: request.successor.clone(),
            successor_marks: serde_json::Value::Null,
            shut_out_ms: 1,
        };
        let mut state = self.state();
        if state.moved(&request.target)?.name == request.retired_name {
            return Ok(retired);
        }
        let backup_rows = match &request.unchanged_since {
            Some(id) => Some(state.backup(id)?.database.rows.clone()),
            None => None,
        };
        let old = state.database(&request.target)?;
        if backup_rows.is_some_and(|rows| rows != old.rows) {
            return Err(Error::refused("rows were written after the snapshot"));
        }
        if state.find(&request.retired_name).is_some() {
            return Err(Error::refused("the name to retire it to is taken"));
        }
        if let Some(successor) = &request.successor {
            let new = state.database(successor)?;
            new.name.clone_from(&request.target.name);
            new.made_by = None;
        }
        let old = state.moved(&request.target)?;
        old.name.clone_from(&request.retired_name);
        Ok(retired)
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        let mut state = self.state();
        if state.moved(&retired.old)?.name == retired.old.name {
            return Ok(());
        }
        if let Some(holder) = state.find(&retired.old.name) {
            let successor = retired
                .successor
                .as_ref()
                .filter(|s| s.uid == holder.to_string())
                .ok_or_else(|| Error::refused("the name is taken"))?;
            let new = state.moved(successor)?;
            new.name.clone_from(&successor.name);
            new.made_by = Some(ctx.run.clone());
        }
        let old = state.moved(&retired.old)?;
        old.name.clone_from(&retired.old.name);
        Ok(())
    }

    async fn written_since(&self, _: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        let mut state = self.state();
        let Some(successor) = &retired.successor else {
            return Ok(Vec::new());
        };
        let old = state.moved(&retired.old)?.rows.clone();
        let new = state.moved(successor)?.rows.clone();
        Ok(if old == new {
            Vec::new()
        } else {
            vec!["public.t".to_owned()]
        })
    }

    async fn purge(&self, _: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        let mut state = self.state();
        let oid = oid(&retired.old)?;
        match state.databases.get(&oid) {
            None => Ok(()),
            Some(db) if db.name != retired.retired_name => {
                Err(Error::refused(format!("{} is in service", retired.old)))
            }
            Some(_) => {
                permit.spend_on(&retired.old)?;
                if let Some(db) = state.databases.remove(&oid) {
                    state.dropped.push(db);
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl SchemaApplier for Sim {
    async fn look(&self, _: &Ctx, db: &Identity) -> Result<SchemaState> {
        self.state().database(db)?;
        Ok(SchemaState::default())
    }

    async fn apply(&self, _: &Ctx, db: &Identity, _: &BackupId) -> Result<SchemaApplied> {
        self.state().database(db)?.schema = 2;
        Ok(SchemaApplied::default())
    }
}

#[async_trait]
impl Restorer for Sim {
    async fn outline(&self, _: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreOutline> {
        let mut state = self.state();
        state.database(db)?;
        state.backup(backup)?;
        Ok(RestoreOutline::default())
    }

    async fn restore(&self, _: &Ctx, db: &Identity, backup: &BackupId) -> Result<RestoreReport> {
        let mut state = self.state();
        let rows = state.backup(backup)?.database.rows.clone();
        state.database(db)?.rows = rows;
        Ok(RestoreReport::default())
    }
}

#[async_trait]
impl Verifier for Sim {
    async fn verify(&self, _: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let mut state = self.state();
        if let Some(id) = &request.backup {
            state.backup(id)?;
        }
        let mut complaints = if request.live {
            state.complaints.1.clone()
        } else {
            state.complaints.0.clone()
        };
        let db = state.database(&request.db)?;
        if db.schema != 2 || db.rows.is_empty() {
            complaints.push("the schema or the rows are missing".to_owned());
        }
        let mut verdict = Verdict::default();
        verdict.add_complaints("content", "1 table", complaints);
        Ok(verdict)
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

struct SimTask;

#[async_trait]
impl Task for SimTask {
    fn name(&self) -> String {
        "smoke".to_owned()
    }

    async fn run(&self, _: &Ctx, _: &Identity) -> Result<()> {
        Ok(())
    }
}
