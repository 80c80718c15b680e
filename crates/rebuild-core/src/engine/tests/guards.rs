//! What a run must never call once something is wrong.

use super::mocks::{Mocks, STRATEGIES, app, broken, made, passed, running, summary, verdict};
use super::world::{World, ending, plan, run_id, step_ids};
use crate::engine::{Engine, Report, RollbackOptions};
use crate::error::{Error, ErrorKind};
use crate::model::{BackupId, Outcome, Verdict};
use crate::plan::Strategy;
use crate::traits::{BackupMode, BackupSummary, SchemaApplied};

async fn run(mocks: Mocks, strategy: Strategy) -> Report {
    let world = World::new();
    let plan = plan(&world.sim, strategy);
    let engine = mocks.engine(&world);
    engine.run(run_id(), plan).await.expect("a report")
}

fn assert_rolled_back(report: &Report, because: &str) {
    assert_eq!(ending(report), "rolled back", "{report:?}");
    let error = report.error.as_deref().unwrap_or_default();
    assert!(error.contains(because), "{error:?} lacks {because:?}");
}

#[tokio::test]
async fn a_target_that_another_run_has_is_not_touched() {
    let world = World::new();
    let mut mocks = Mocks::new();
    let acquire = mocks.lock.expect_acquire().times(1);
    acquire.returning(|_| Err(Error::refused("another run has the target")));
    let run = run_id();
    let plan = plan(&world.sim, Strategy::Aside);
    let e = mocks
        .engine(&world)
        .run(run.clone(), plan)
        .await
        .expect_err("the lock is taken");
    assert!(e.is_refusal(), "{e:?}");
    let e = world.engine().resume(&run, "spec").await;
    assert!(e.is_err(), "the run has left no journal");
}

#[tokio::test]
async fn a_failed_backup_moves_and_makes_nothing() {
    for strategy in STRATEGIES {
        let mut mocks = Mocks::new();
        mocks.lock_is_free();
        mocks.web_stops_and_starts();
        let take = mocks.backup.expect_take().times(1);
        take.returning(|_, _, _, _| Err(broken("the store")));
        mocks.nothing_is_built();
        let report = run(mocks, strategy).await;
        assert_rolled_back(&report, "the store broke");
    }
}

#[tokio::test]
async fn a_migrator_that_comes_to_another_version_than_planned_is_not_promoted() {
    for (found, because) in [
        (
            Some("0002"),
            "is alembic at 0002, and the plan has alembic at 0001",
        ),
        (
            None,
            "is without a migration tool's table, and the plan has alembic at 0001",
        ),
    ] {
        let world = World::new();
        let mut plan = plan(&world.sim, Strategy::Aside);
        plan.survey.new_migration = Some(("alembic".to_owned(), "0001".to_owned()));
        let mut mocks = Mocks::new();
        mocks.lock_is_free();
        mocks.web_stops_and_starts();
        mocks.backup_is_proven();
        mocks.network_is_applied();
        let provision = mocks.provision.expect_provision().times(1);
        provision.returning(|_, request| Ok(made(&request.name)));
        let apply = mocks.schema.expect_apply().times(1);
        apply.returning(move |_, _, _| {
            Ok(SchemaApplied {
                migration: found.map(|version| ("alembic".to_owned(), version.to_owned())),
                ..SchemaApplied::default()
            })
        });
        mocks.restorer.expect_restore().never();
        mocks.target_is_in_place();
        mocks.target_is_left_alone();
        mocks.staged_is_discarded();
        let engine = mocks.engine(&world);
        let report = engine.run(run_id(), plan).await.expect("a report");
        assert_rolled_back(&report, because);
    }
}

/// What a check may answer that proves nothing.
type Unproven = (&'static str, fn(&mut BackupSummary), fn() -> Verdict);

const UNPROVEN: [Unproven; 5] = [
    (
        "7 rows",
        |_| {},
        || verdict(Outcome::Failed(vec!["7 rows".into()])),
    ),
    (
        "not run",
        |_| {},
        || verdict(Outcome::NotRun("no time".into())),
    ),
    ("not proven", |_| {}, Verdict::default),
    ("not of", |s| s.of = made("app"), passed),
    ("rows", |s| s.mode = BackupMode::SchemaOnly, passed),
];

#[tokio::test]
async fn a_backup_that_is_not_proven_moves_and_makes_nothing() {
    for strategy in STRATEGIES {
        for (because, change, verdict) in UNPROVEN {
            let mut mocks = Mocks::new();
            mocks.lock_is_free();
            mocks.web_stops_and_starts();
            mocks.backup_is_taken();
            let check = mocks.backup.expect_check().times(1);
            check.returning(move |_, id| {
                let mut summary = summary(id);
                change(&mut summary);
                Ok((summary, verdict()))
            });
            mocks.nothing_is_built();
            let report = run(mocks, strategy).await;
            assert_rolled_back(&report, because);
        }
    }
}

#[tokio::test]
async fn a_failed_verification_discards_the_staged_database_once() {
    for answer in [
        || Ok(verdict(Outcome::Failed(vec!["2 rows are missing".into()]))),
        || Ok(verdict(Outcome::NotRun("2 rows are missing".into()))),
        || Err(Error::new(ErrorKind::Server, "2 rows are missing")),
    ] {
        let mut mocks = Mocks::new();
        mocks.lock_is_free();
        mocks.web_stops_and_starts();
        mocks.backup_is_proven();
        mocks.database_is_built();
        let verify = mocks.verifier.expect_verify().times(1);
        verify.returning(move |_, _| answer());
        mocks.target_is_in_place();
        mocks.target_is_left_alone();
        mocks.staged_is_discarded();
        let report = run(mocks, Strategy::Aside).await;
        assert_rolled_back(&report, "2 rows are missing");
    }
}

/// Mocks of a run whose lock is gone when the promote asks for it.
fn lock_lost_before_the_promote() -> Mocks {
    let steps = step_ids(&plan(&World::new().sim, Strategy::Aside));
    let before = steps.iter().position(|s| s == "promote").expect("a step");
    let mut mocks = Mocks::new();
    let held = mocks.lock.expect_assert_held().times(before);
    held.returning(|_| Ok(()));
    let lost = mocks.lock.expect_assert_held().times(1);
    lost.returning(|_| Err(Error::refused("the lock is lost")));
    mocks.lock.expect_release().returning(|_| Ok(()));
    mocks.backup_is_proven();
    mocks.database_is_built();
    let verify = mocks.verifier.expect_verify().times(1);
    verify.returning(|_, _| Ok(passed()));
    mocks.target_is_left_alone();
    mocks
}

#[tokio::test]
async fn without_the_lock_nothing_is_promoted() {
    let mut mocks = lock_lost_before_the_promote();
    mocks.lock.expect_acquire().times(2).returning(|_| Ok(()));
    mocks.web_stops_and_starts();
    mocks.target_is_in_place();
    mocks.staged_is_discarded();
    let report = run(mocks, Strategy::Aside).await;
    assert_rolled_back(&report, "the lock is lost");
}

/// Somebody else has the lock by then: nothing may be undone either.
#[tokio::test]
async fn without_the_lock_nothing_is_undone() {
    let mut mocks = lock_lost_before_the_promote();
    mocks.lock.expect_acquire().times(1).returning(|_| Ok(()));
    let again = mocks.lock.expect_acquire().times(1);
    again.returning(|_| Err(Error::refused("another run has the target")));
    mocks.web.expect_look().returning(|_| Ok(running()));
    mocks.web.expect_stop().times(1).returning(|_, _| Ok(()));
    mocks.provision.expect_discard().never();
    let report = run(mocks, Strategy::Aside).await;
    assert_eq!(ending(&report), "halted", "{report:?}");
    assert!(report.next.is_some_and(|next| next.contains("resume")));
}

/// Mocks of a run whose promote ends with an error that says nothing of its effect.
fn promote_without_an_answer() -> Mocks {
    let mut mocks = Mocks::new();
    mocks.lock_is_free();
    mocks.web_stops_and_starts();
    mocks.backup_is_proven();
    mocks.database_is_built();
    let verify = mocks.verifier.expect_verify().times(1);
    verify.returning(|_, _| Ok(passed()));
    let retire = mocks.teardown.expect_retire().times(1);
    retire.returning(|_, _| Err(Error::new(ErrorKind::Deadline, "no answer to the commit")));
    mocks.teardown.expect_purge().never();
    let reinstate = mocks.teardown.expect_reinstate().times(1);
    reinstate
        .withf(|_, retired| {
            let back = retired.successor.as_ref();
            retired.old == app() && back.is_some_and(|new| new.name.starts_with("app_new_"))
        })
        .returning(|_, _| Ok(()));
    mocks
}

/// The commit went through: what was in service is kept.
#[tokio::test]
async fn a_promote_whose_answer_was_lost_is_looked_at_and_not_done_twice() {
    let mut mocks = promote_without_an_answer();
    let look = mocks.teardown.expect_look().times(1);
    look.returning(|_, name| Ok((name == "app").then(|| made("app"))));
    mocks.provision.expect_discard().never();
    let report = run(mocks, Strategy::Aside).await;
    assert_rolled_back(&report, "no answer to the commit");
    assert!(report.left.iter().any(|l| l.contains("app_new_")));
}

/// The commit did not go through: what was never in service is thrown away.
#[tokio::test]
async fn a_promote_that_did_not_happen_is_looked_at_and_its_database_discarded() {
    let mut mocks = promote_without_an_answer();
    mocks.target_is_in_place();
    mocks.staged_is_discarded();
    let report = run(mocks, Strategy::Aside).await;
    assert_rolled_back(&report, "no answer to the commit");
}

/// Whether the commit went through cannot be told: nothing is undone until it can.
#[tokio::test]
async fn a_promote_that_cannot_be_looked_at_halts() {
    let world = World::new();
    let mut mocks = Mocks::new();
    mocks.lock_is_free();
    mocks.web.expect_look().returning(|_| Ok(running()));
    mocks.web.expect_stop().times(1).returning(|_, _| Ok(()));
    mocks.backup_is_proven();
    mocks.database_is_built();
    let verify = mocks.verifier.expect_verify().times(1);
    verify.returning(|_, _| Ok(passed()));
    let retire = mocks.teardown.expect_retire().times(1);
    retire.returning(|_, _| Err(Error::new(ErrorKind::Deadline, "no answer to the commit")));
    let look = mocks.teardown.expect_look().times(1);
    look.returning(|_, _| Err(Error::new(ErrorKind::Unreachable, "no server")));
    mocks.teardown.expect_reinstate().never();
    mocks.provision.expect_discard().never();
    let plan = plan(&world.sim, Strategy::Aside);
    let report = mocks.engine(&world).run(run_id(), plan).await;
    let report = report.expect("a report");
    assert_eq!(ending(&report), "halted", "{report:?}");
}

/// A run that is done, and an engine over `mocks` that may purge what it set aside.
async fn done(world: &World, mut mocks: Mocks) -> (crate::model::RunId, Engine) {
    let run = run_id();
    let plan = plan(&world.sim, Strategy::Aside);
    let report = world.engine().run(run.clone(), plan).await;
    assert_eq!(ending(&report.expect("a report")), "done");
    mocks.lock.expect_acquire().returning(|_| Ok(()));
    mocks.lock.expect_release().returning(|_| Ok(()));
    (run, mocks.engine(world))
}

#[tokio::test]
async fn nothing_is_purged_without_a_proven_backup_or_the_typed_name() {
    for (because, change, verdict) in UNPROVEN {
        let world = World::new();
        let mut mocks = Mocks::new();
        mocks.teardown.expect_purge().never();
        let check = mocks.backup.expect_check().times(1);
        check.returning(move |_, id: &BackupId| {
            let mut summary = summary(id);
            change(&mut summary);
            Ok((summary, verdict()))
        });
        let (run, engine) = done(&world, mocks).await;
        let e = engine.purge(&run, None).await.expect_err(because);
        assert!(e.is_refusal(), "{e:?}");
        for wrong in ["", "ap", "app ", "APP"] {
            let e = engine.purge(&run, Some(wrong)).await.expect_err(wrong);
            assert!(e.is_refusal(), "{e:?}");
        }
        // The refusals were not recorded as a purge: there is still a way back.
        let engine = world.engine();
        let back = engine.rollback(&run, RollbackOptions::default()).await;
        assert_eq!(ending(&back.expect("a report")), "rolled back");
    }
}

#[tokio::test]
async fn a_proven_backup_or_the_typed_name_purges_the_old_database() {
    for typed in [None, Some("app")] {
        let world = World::new();
        let mut mocks = Mocks::new();
        let purge = mocks.teardown.expect_purge().times(1);
        purge
            .withf(|_, aside, _| aside.old == app() && aside.retired_name.starts_with("app_old_"))
            .returning(|_, aside, permit| permit.spend_on(&aside.old));
        if typed.is_none() {
            let check = mocks.backup.expect_check().times(1);
            check.returning(|_, id| Ok((summary(id), passed())));
        }
        let (run, engine) = done(&world, mocks).await;
        engine.purge(&run, typed).await.expect("purged");
    }
}

#[tokio::test]
async fn a_purge_that_failed_is_half_way_and_what_was_not_proven_is_not() {
    let world = World::new();
    let mut mocks = Mocks::new();
    let purge = mocks.teardown.expect_purge().times(1);
    purge.returning(|_, _, _| Err(Error::new(ErrorKind::Unreachable, "the connection broke")));
    let (run, engine) = done(&world, mocks).await;
    let refused = engine.purge(&run, Some("ap")).await.expect_err("a typo");
    assert!(!refused.is_half_way(), "{refused:?}");
    let failed = engine.purge(&run, Some("app")).await.expect_err("broken");
    assert!(failed.is_half_way(), "{failed:?}");
}
