//! Backends that answer as they are told and refuse every call that nobody expects.

use std::sync::Arc;

use super::world::World;
use crate::engine::{Backends, Engine};
use crate::error::{Error, ErrorKind};
use crate::model::{BackupId, Identity, Outcome, Verdict};
use crate::plan::Strategy;
use crate::testing::sim::SERVER;
use crate::traits::{
    BackupMode, BackupSummary, MockBackup, MockLock, MockPreserver, MockProvision, MockRestorer,
    MockSchemaApplier, MockTask, MockTeardown, MockVerifier, MockWorkload, PutBack, RestoreReport,
    Retired, SchemaApplied, WorkloadState,
};

/// A mock of each contract, to which a test adds what it allows.
pub(super) struct Mocks {
    pub(super) lock: MockLock,
    pub(super) backup: MockBackup,
    pub(super) teardown: MockTeardown,
    pub(super) network: MockTask,
    pub(super) provision: MockProvision,
    pub(super) schema: MockSchemaApplier,
    pub(super) restorer: MockRestorer,
    pub(super) migrator: MockSchemaApplier,
    pub(super) preserver: MockPreserver,
    pub(super) seed: MockTask,
    pub(super) verifier: MockVerifier,
    pub(super) web: MockWorkload,
    pub(super) smoke: MockTask,
}

/// The target, as the plan pins it.
pub(super) fn app() -> Identity {
    Identity {
        server: SERVER.to_owned(),
        name: "app".to_owned(),
        uid: "1".to_owned(),
    }
}

/// What the run makes, under `name`.
pub(super) fn made(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        uid: "2".to_owned(),
        ..app()
    }
}

pub(super) fn summary(id: &BackupId) -> BackupSummary {
    BackupSummary {
        id: id.clone(),
        of: app(),
        mode: BackupMode::Full,
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        tables: 1,
        rows: 3,
        large_objects: 0,
        stored_bytes: 24,
    }
}

pub(super) fn passed() -> Verdict {
    verdict(Outcome::Passed)
}

pub(super) fn verdict(outcome: Outcome) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.add("rows", "3 rows", outcome);
    verdict
}

pub(super) fn running() -> WorkloadState {
    WorkloadState {
        running: true,
        detail: serde_json::json!({ "replicas": 3 }),
    }
}

pub(super) fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Server, format!("{what} broke"))
}

impl Mocks {
    /// Nothing is allowed but to ask for names.
    pub(super) fn new() -> Self {
        let mut mocks = Self {
            lock: MockLock::new(),
            backup: MockBackup::new(),
            teardown: MockTeardown::new(),
            network: MockTask::new(),
            provision: MockProvision::new(),
            schema: MockSchemaApplier::new(),
            restorer: MockRestorer::new(),
            migrator: MockSchemaApplier::new(),
            preserver: MockPreserver::new(),
            seed: MockTask::new(),
            verifier: MockVerifier::new(),
            web: MockWorkload::new(),
            smoke: MockTask::new(),
        };
        let name = "network".to_owned();
        mocks.network.expect_name().return_const(name);
        mocks.seed.expect_name().return_const("seed".to_owned());
        mocks.web.expect_name().return_const("web".to_owned());
        mocks.smoke.expect_name().return_const("smoke".to_owned());
        mocks
    }

    /// The lock is there for the taking, and stays.
    pub(super) fn lock_is_free(&mut self) {
        self.lock.expect_acquire().returning(|_| Ok(()));
        self.lock.expect_assert_held().returning(|_| Ok(()));
        self.lock.expect_release().returning(|_| Ok(()));
    }

    /// The workload is stopped once, and started once, as it was before.
    pub(super) fn web_stops_and_starts(&mut self) {
        self.web.expect_look().returning(|_| Ok(running()));
        let stop = self.web.expect_stop().times(1);
        stop.withf(|_, before| *before == running())
            .returning(|_, _| Ok(()));
        let start = self.web.expect_start().times(1);
        start
            .withf(|_, before| *before == running())
            .returning(|_, _| Ok(()));
    }

    /// One backup is taken, of the pinned target.
    pub(super) fn backup_is_taken(&mut self) {
        let take = self.backup.expect_take().times(1);
        take.withf(|_, target, _, mode| *target == app() && *mode == BackupMode::Full)
            .returning(|_, _, id, _| Ok(summary(id)));
    }

    /// One backup is taken, and proven.
    pub(super) fn backup_is_proven(&mut self) {
        self.backup_is_taken();
        let check = self.backup.expect_check().times(1);
        check.returning(|_, id| Ok((summary(id), passed())));
    }

    /// The infrastructure is applied, once.
    pub(super) fn network_is_applied(&mut self) {
        let apply = self.network.expect_run().times(1);
        apply.withf(|_, db| *db == app()).returning(|_, _| Ok(()));
    }

    /// A new database is made and filled, once, and its marks can be read.
    pub(super) fn database_is_built(&mut self) {
        self.network_is_applied();
        let provision = self.provision.expect_provision().times(1);
        provision.returning(|_, request| Ok(made(&request.name)));
        let apply = self.schema.expect_apply().times(1);
        apply.returning(|_, _, _| Ok(SchemaApplied::default()));
        let restore = self.restorer.expect_restore().times(1);
        restore.returning(|_, _, _| Ok(RestoreReport::default()));
        let migrate = self.migrator.expect_apply().times(1);
        migrate.returning(|_, _, _| Ok(SchemaApplied::default()));
        let put_back = self.preserver.expect_put_back().times(1);
        put_back.returning(|_, _, _| Ok(PutBack::default()));
        self.seed.expect_run().times(1).returning(|_, _| Ok(()));
        let finish = self.restorer.expect_finish().times(1);
        finish.returning(|_, _, _| Ok(()));
        self.teardown.expect_marks().returning(|_, _| Ok(0.into()));
    }

    /// What is called `app` is still the target.
    pub(super) fn target_is_in_place(&mut self) {
        let look = self.teardown.expect_look();
        look.returning(|_, name| Ok((name == "app").then(app)));
    }

    /// What the run made is thrown away, once, and it is that and nothing else.
    pub(super) fn staged_is_discarded(&mut self) {
        let discard = self.provision.expect_discard().times(1);
        discard
            .withf(|_, db| db.uid == made("").uid && db.name.starts_with("app_new_"))
            .returning(|_, _| Ok(()));
    }

    /// The target is never moved and never destroyed.
    pub(super) fn target_is_left_alone(&mut self) {
        self.teardown.expect_retire().never();
        self.teardown.expect_reinstate().never();
        self.teardown.expect_purge().never();
    }

    /// Nothing is made, moved or destroyed.
    pub(super) fn nothing_is_built(&mut self) {
        self.target_is_left_alone();
        self.provision.expect_provision().never();
        self.provision.expect_discard().never();
        self.provision.expect_settle().never();
    }

    pub(super) fn engine(self, world: &World) -> Engine {
        world.engine_of(Backends {
            lock: Arc::new(self.lock),
            backup: Arc::new(self.backup),
            teardown: Arc::new(self.teardown),
            infrastructure: vec![Arc::new(self.network)],
            provision: Arc::new(self.provision),
            schema: Arc::new(self.schema),
            restorer: Arc::new(self.restorer),
            migrator: Some(Arc::new(self.migrator)),
            preserver: Some(Arc::new(self.preserver)),
            fixtures: None,
            loads: vec![Arc::new(self.seed)],
            verifier: Arc::new(self.verifier),
            workloads: vec![Arc::new(self.web)],
            tasks: vec![Arc::new(self.smoke)],
        })
    }
}

pub(super) fn retired(request: &crate::traits::RetireRequest) -> Retired {
    Retired {
        old: request.target.clone(),
        retired_name: request.retired_name.clone(),
        successor: request.successor.clone(),
        successor_marks: serde_json::Value::Null,
        shut_out_ms: 7,
    }
}

pub(super) const STRATEGIES: [Strategy; 2] = [Strategy::Aside, Strategy::InPlace];
