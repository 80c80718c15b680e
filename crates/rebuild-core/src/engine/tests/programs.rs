//! Other programs than those that began a run.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::world::{World, ending, plan, run_id};
use crate::engine::{Boundary, Engine, Programs, RollbackOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Program};
use crate::plan::{Strategy, ToolFacts};

/// Programs that change when a test says so.
struct Told(Mutex<Program>);

impl Told {
    fn new(version: &str, pg_dump: &str) -> Arc<Self> {
        let tool = ToolFacts {
            name: "pg_dump".to_owned(),
            path: "/usr/bin/pg_dump".to_owned(),
            major: 15,
            version: pg_dump.to_owned(),
        };
        Arc::new(Self(Mutex::new(Program {
            version: version.to_owned(),
            binary: Some(format!("{version:0>64}")),
            tools: vec![tool],
        })))
    }

    fn upgrade(&self) {
        self.0.lock().expect("no panic").tools[0].version = "15.20".to_owned();
    }
}

#[async_trait]
impl Programs for Told {
    async fn look(&self) -> Result<Program> {
        Ok(self.0.lock().expect("no panic").clone())
    }
}

/// Programs of which one is gone.
struct Gone;

#[async_trait]
impl Programs for Gone {
    async fn look(&self) -> Result<Program> {
        Err(Error::refused("there is no pg_dump"))
    }
}

/// An engine that stops before it verifies, once it has begun.
fn stopping(world: &World) -> Engine {
    let (engine, _) =
        world.engine_that_fails_at("verify", Boundary::BeforeIntent, ErrorKind::Interrupted);
    engine
}

#[tokio::test]
async fn another_version_that_takes_a_run_up_says_so() {
    let ways: [fn(&World) -> Engine; 2] = [World::engine, stopping];
    for (n, way) in ways.into_iter().enumerate() {
        let world = World::new();
        let run = run_id();
        let plan = plan(&world.sim, Strategy::Aside);
        let spec = plan.spec_digest.clone();
        let first = Told::new("1.0", "15.18");
        let engine = stopping(&world).run_by(first.clone());
        let report = engine.run(run.clone(), plan).await.expect("a report");
        assert_eq!((ending(&report).as_str(), report.notes), ("halted", vec![]));
        // The same one has nothing to say.
        let engine = stopping(&world).run_by(first);
        let report = engine.resume(&run, &spec).await.expect("a report");
        assert_eq!((ending(&report).as_str(), report.notes), ("halted", vec![]));

        let engine = way(&world).run_by(Told::new("1.1", "15.20"));
        let report = match n {
            0 => engine.resume(&run, &spec).await,
            _ => engine.rollback(&run, RollbackOptions::default()).await,
        };
        let report = report.expect("a report");
        let said = report.notes.join("\n");
        assert!(said.contains("rebuild 1.0 has worked on this run, and this is rebuild 1.1"));
        assert!(said.contains("pg_dump was 15.18 in /usr/bin/pg_dump, and is 15.20"));
        assert_eq!(ending(&report), ["done", "rolled back"][n]);
        let journal = Journal::open(&world.store, &run).await.expect("a journal");
        let last = journal.state().program().expect("recorded");
        assert_eq!(last.version, "1.1");
    }
}

/// A run whose client programs are upgraded as `step` begins, and its report.
async fn upgraded_at(world: &World, step: &'static str) -> crate::engine::Report {
    let programs = Told::new("1.0", "15.18");
    let upgraded = programs.clone();
    let engine = world.engine().at_boundaries(Arc::new(move |at, boundary| {
        if (at, boundary) == (step, Boundary::AfterIntent) {
            upgraded.upgrade();
        }
        Ok(())
    }));
    let plan = plan(&world.sim, Strategy::Aside);
    let report = engine.run_by(programs).run(run_id(), plan).await;
    report.expect("a report")
}

#[tokio::test]
async fn client_programs_that_change_in_mid_run_stop_it_at_the_next_step() {
    for step in ["stop-web", "backup", "restore", "verify"] {
        let world = World::new();
        let report = upgraded_at(&world, step).await;
        assert_eq!(ending(&report), "rolled back", "{step}");
        let why = report.error.expect("an error");
        assert!(
            why.contains("15.18 in /usr/bin/pg_dump, and is 15.20"),
            "{step}: {why}"
        );
        world.assert_old(step);
    }
}

#[tokio::test]
async fn no_client_program_takes_a_database_out_of_service() {
    for step in ["promote", "start-web", "after-smoke"] {
        let world = World::new();
        let report = upgraded_at(&world, step).await;
        assert_eq!(ending(&report), "done", "{step}: {report:?}");
        world.assert_new(step);
    }
}

#[tokio::test]
async fn a_client_program_that_is_gone_does_not_stop_the_way_back() {
    let world = World::new();
    let run = run_id();
    let engine = stopping(&world).run_by(Told::new("1.0", "15.18"));
    let plan = plan(&world.sim, Strategy::Aside);
    engine.run(run.clone(), plan).await.expect("a report");
    let engine = world.engine().run_by(Arc::new(Gone));
    let report = engine.rollback(&run, RollbackOptions::default()).await;
    let report = report.expect("a report");
    assert_eq!(
        (ending(&report).as_str(), report.notes),
        ("rolled back", vec![])
    );
    world.assert_old("gone");
}

#[tokio::test]
async fn a_run_is_not_resumed_with_another_spec() {
    let world = World::new();
    let run = run_id();
    let report = stopping(&world)
        .run(run.clone(), plan(&world.sim, Strategy::Aside))
        .await;
    assert_eq!(ending(&report.expect("a report")), "halted");
    let records = || async {
        let runs = crate::store::Name::new("runs").expect("a name");
        world.store.list(&runs).await.expect("records").len()
    };
    let before = records().await;
    let e = world.engine().resume(&run, "another").await;
    let e = e.expect_err("another spec");
    assert!(e.is_refusal(), "{e:?}");
    let hint = e.advice().expect("a way out");
    assert!(hint.contains("rebuild rollback"), "{hint}");
    assert_eq!(records().await, before, "nothing was written");
}
