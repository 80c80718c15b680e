//! What a whole run calls, in which order, and with what.

use mockall::Sequence;

use super::mocks::{Mocks, STRATEGIES, app, made, passed, retired, running, summary};
use super::world::{World, ending, plan, run_id};
use crate::plan::Strategy;
use crate::traits::{BackupMode, PutBack, RestoreReport, SchemaApplied};

/// Expects one call, after those that were expected before it.
macro_rules! then {
    ($seq:ident, $expectation:expr, $answer:expr) => {
        $expectation
            .times(1)
            .in_sequence(&mut $seq)
            .returning($answer)
    };
}

/// Each step is preceded by a look whether the lock is still held, and the lock is what a run
/// begins and ends with.
#[tokio::test]
async fn a_run_asks_for_the_lock_before_each_step_and_takes_the_steps_in_order() {
    for strategy in STRATEGIES {
        let world = World::new();
        let mut mocks = Mocks::new();
        expect_in_order(&mut mocks, strategy);
        let plan = plan(&world.sim, strategy);
        let engine = mocks.engine(&world);
        let report = engine.run(run_id(), plan).await.expect("a report");
        assert_eq!(ending(&report), "done", "{:?}", report.error);
        assert_eq!(report.shut_out_ms, Some(7));
    }
}

fn expect_in_order(m: &mut Mocks, strategy: Strategy) {
    let mut seq = Sequence::new();
    let aside = strategy == Strategy::Aside;
    let staged = move |name: &str| name.starts_with("app_new_") == aside;
    macro_rules! held {
        () => {
            then!(seq, m.lock.expect_assert_held(), |_| Ok(()))
        };
    }
    macro_rules! retire {
        () => {
            then!(seq, m.teardown.expect_retire(), |_, request| Ok(retired(
                request
            )))
            .withf(move |_, r| {
                r.target == app()
                    && r.retired_name.starts_with("app_old_")
                    && r.successor.is_some() == aside
                    && r.unchanged_since.is_some()
            })
        };
    }
    then!(seq, m.lock.expect_acquire(), |_| Ok(()));
    held!();
    then!(seq, m.web.expect_look(), |_| Ok(running()));
    then!(seq, m.web.expect_stop(), |_, _| Ok(()));
    held!();
    then!(seq, m.backup.expect_take(), |_, _, id, _| Ok(summary(id)))
        .withf(|_, target, _, mode| *target == app() && *mode == BackupMode::Full);
    held!();
    then!(seq, m.backup.expect_check(), |_, id| Ok((
        summary(id),
        passed()
    )));
    if !aside {
        held!();
        retire!();
    }
    held!();
    then!(seq, m.network.expect_run(), |_, _| Ok(())).withf(|_, db| *db == app());
    held!();
    then!(seq, m.provision.expect_provision(), |_, request| Ok(made(
        &request.name
    )))
    .withf(move |_, request| staged(&request.name) && request.like == Some(app()));
    held!();
    then!(seq, m.schema.expect_apply(), |_, _, _| Ok(
        SchemaApplied::default()
    ))
    .withf(move |_, db, _| staged(&db.name));
    held!();
    then!(seq, m.restorer.expect_restore(), |_, _, _| Ok(
        RestoreReport::default()
    ))
    .withf(move |_, db, _| staged(&db.name));
    held!();
    then!(seq, m.migrator.expect_apply(), |_, _, _| Ok(
        SchemaApplied::default()
    ))
    .withf(move |_, db, _| staged(&db.name));
    if aside {
        held!();
        then!(seq, m.preserver.expect_put_back(), |_, _, _| Ok(
            PutBack::default()
        ))
        .withf(move |_, old, db| *old == app() && staged(&db.name));
    }
    held!();
    then!(seq, m.seed.expect_run(), |_, _| Ok(()));
    held!();
    then!(seq, m.restorer.expect_finish(), |_, _, _| Ok(()));
    held!();
    then!(seq, m.verifier.expect_verify(), |_, _| Ok(passed()))
        .withf(move |_, r| staged(&r.db.name) && r.backup.is_some() && !r.live);
    // The marks are part of the intent, so they come before the act.
    held!();
    then!(seq, m.teardown.expect_marks(), |_, _| Ok(0.into())).withf(move |_, db| staged(&db.name));
    if aside {
        retire!();
    } else {
        then!(seq, m.provision.expect_settle(), |_, _, _| Ok(()))
            .withf(|_, db, like| *db == made("app") && *like == Some(&app()));
    }
    held!();
    then!(seq, m.web.expect_start(), |_, _| Ok(())).withf(|_, before| *before == running());
    held!();
    then!(seq, m.smoke.expect_run(), |_, _| Ok(())).withf(|_, db| *db == made("app"));
    held!();
    then!(seq, m.verifier.expect_verify(), |_, _| Ok(passed()))
        .withf(|_, r| r.db == made("app") && r.live);
    then!(seq, m.lock.expect_release(), |_| Ok(()));
}
