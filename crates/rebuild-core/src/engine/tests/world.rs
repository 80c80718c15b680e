//! A target, a plan, a store, and the questions every test asks afterwards.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::engine::{Backends, Boundary, Engine, Report};
use crate::error::{Error, ErrorKind};
use crate::event::Events;
use crate::model::RunId;
use crate::plan::{Plan, PlannedInfrastructure, Rules, Strategy};
use crate::store::Store;
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};

pub(super) struct World {
    pub(super) sim: Sim,
    pub(super) store: Store,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            sim: Sim::with_app(),
            store: Store::over(Arc::new(object_store::memory::InMemory::new())),
        }
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine_of(self.sim.backends())
    }

    pub(super) fn engine_of(&self, backends: Backends) -> Engine {
        Engine::new(
            backends,
            self.store.clone(),
            Events::none(),
            CancellationToken::new(),
        )
    }

    /// An engine that fails at one boundary, once, and says whether it did.
    pub(super) fn engine_that_fails_at(
        &self,
        step: &str,
        boundary: Boundary,
        kind: ErrorKind,
    ) -> (Engine, Arc<Mutex<u32>>) {
        let struck = Arc::new(Mutex::new(0));
        let count = struck.clone();
        let aim = step.to_owned();
        let engine = self.engine().at_boundaries(Arc::new(move |step, at| {
            if step == aim && at == boundary {
                *count.lock().expect("no panic") += 1;
                return Err(Error::new(kind, format!("struck at {step} {at}")));
            }
            Ok(())
        }));
        (engine, struck)
    }

    /// The target's name leads to the old database, whole, and nothing else was left in its way.
    pub(super) fn assert_old(&self, when: &str) {
        let state = self.sim.state();
        let app = &state.databases[&1];
        assert_eq!(app.name, "app", "{when}");
        assert_eq!(app.schema, 1, "{when}");
        assert_eq!(app.rows, [10, 20, 30], "{when}");
        assert!(state.workloads["web"], "{when}: web runs again");
    }

    /// The target's name leads to a new database with every row, and the old one is kept.
    pub(super) fn assert_new(&self, when: &str) {
        let id = self.sim.identity("app").expect("the name leads somewhere");
        assert_ne!(id.uid, "1", "{when}");
        let state = self.sim.state();
        let uid: u32 = id.uid.parse().expect("an oid");
        let app = &state.databases[&uid];
        assert_eq!(
            (app.schema, app.rows.as_slice()),
            (2, &[10, 20, 30][..]),
            "{when}"
        );
        assert_eq!(state.databases[&1].rows, [10, 20, 30], "{when}");
        assert!(state.workloads["web"], "{when}: web runs again");
    }

    /// At every instant a whole copy exists: the original by oid, or a backup.
    pub(super) fn assert_a_copy_exists(&self, when: &str) {
        let state = self.sim.state();
        let original = state
            .databases
            .get(&1)
            .is_some_and(|d| d.rows == [10, 20, 30]);
        let backup = state
            .backups
            .values()
            .any(|b| b.database.rows == [10, 20, 30]);
        assert!(original || backup, "{when}: no copy is left");
    }
}

pub(super) fn plan(sim: &Sim, strategy: Strategy) -> Plan {
    let workloads = ["web".to_owned()];
    let tasks = ["smoke".to_owned()];
    let rules = Rules {
        strategy,
        migrates: true,
        // In place the old database is renamed by then; specs refuse that.
        preserves: strategy == Strategy::Aside,
        loads: &["seed".to_owned()],
        workloads: &workloads,
        tasks: &tasks,
        may_end: &|_| true,
        ..rules()
    };
    let mut survey = survey(sim.identity("app").expect("app"));
    survey.infrastructure = vec![network()];
    Plan::build(&rules, survey).expect("a plan")
}

/// What a tool is to change.
pub(super) fn network() -> PlannedInfrastructure {
    let changes = serde_json::json!({
        "tool": "tofu", "version": "1.9.1", "workspace": "default", "digest": "0",
        "changes": [{ "address": "a.b", "kind": "a", "action": "create" }],
    });
    PlannedInfrastructure {
        name: "network".to_owned(),
        changes: serde_json::from_value(changes).expect("changes"),
        by_hand: "tofu plan".to_owned(),
    }
}

/// The steps of a plan and the undo steps that a failure at its end would take.
pub(super) fn step_ids(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.id.clone()).collect()
}

pub(super) fn run_id() -> RunId {
    RunId::generate()
}

pub(super) fn ending(report: &Report) -> String {
    report.ending.to_string()
}
