//! Exit code 3: a guard refuses, says what to do, and nothing was touched. And what only looks
//! changes nothing either.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::world::{ASIDE, Point, State, Target, World};

/// Runs `rebuild ARGS`, which must be refused for a reason that contains `why`, without a trace.
async fn refused(target: &Target<'_>, args: &[&str], why: &str) {
    let before = (target.world.catalog().await, State::of(target).await);
    let run = target.rebuild(args).await.expect(3);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(
        said.contains(why),
        "{args:?} says nothing of {why:?}: {said}"
    );
    target.world.settle().await;
    assert_eq!(target.world.catalog().await, before.0, "{args:?}");
    State::of(target).await.expect(&before.1, "after a refusal");
}

#[tokio::test]
async fn production_needs_its_name_typed() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target.edit_spec("environment = \"test\"", "environment = \"Production\"");
    target.rebuild(&["plan"]).await.expect(0);
    refused(&target, &["run"], "--confirm app").await;
    refused(&target, &["run", "--confirm", "postgres"], "--confirm app").await;
    target.rebuild(&["run", "--confirm", "app"]).await.expect(0);
    refused(&target, &["rollback"], "--confirm app").await;
    target
        .rebuild(&["rollback", "--confirm", "app"])
        .await
        .expect(0);
}

/// Whoever may write to a spec decides which programs its reader runs.
#[tokio::test]
async fn a_spec_that_everybody_may_write_to_is_not_taken_unnamed() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let mode = |mode| {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(target.spec_file(), mode).expect("chmod");
    };
    mode(0o666);
    for verb in ["plan", "run", "status"] {
        refused(&target, &[verb], "everybody may write to rebuild.toml").await;
    }
    target
        .rebuild(&["-f", "./rebuild.toml", "plan"])
        .await
        .expect(0);
    mode(0o644);
    target.rebuild(&["plan"]).await.expect(0);
}

#[tokio::test]
async fn a_plan_of_another_state_is_stale() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target
        .rebuild(&["plan", "--out", "plan.json"])
        .await
        .expect(0);
    target.sql("alter table public.host add note text").await;
    refused(&target, &["run", "--plan", "plan.json"], "plan").await;
    target.sql("alter table public.host drop note").await;
    target.add_to_spec("\n[backup.more]\n");
    target
        .rebuild(&["run", "--plan", "plan.json"])
        .await
        .expect(2);
    target.edit_spec("\n[backup.more]\n", "");
    let file = target.folder.join("schema").join("04_code.sql");
    let text = std::fs::read_to_string(&file).expect("a schema file");
    // With and without a look at what the files make.
    for look in [
        &["plan", "--out", "plan.json"][..],
        &["plan", "--no-drift", "--out", "plan.json"],
    ] {
        target.rebuild(look).await.expect(0);
        // Not a word of the schema changes by it.
        std::fs::write(&file, format!("{text}\nselect 1;\n")).expect("edited");
        refused(&target, &["run", "--plan", "plan.json"], "04_code.sql").await;
        std::fs::write(&file, &text).expect("as it was");
    }
    target.add_to_spec("keep_days = 1\n");
    refused(&target, &["run", "--plan", "plan.json"], "plan").await;
}

#[tokio::test]
async fn a_session_that_may_not_be_ended_stays() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target.edit_spec(
        "end_sessions = true",
        "end_sessions = { applications = [\"batch*\"] }",
    );
    let session = target.session().await;
    refused(&target, &["plan"], "\"a test\"").await;
    refused(&target, &["run"], "\"a test\"").await;
    let alive = session
        .query_one("select 1", &[])
        .await
        .expect("the session lives");
    assert_eq!(alive.get::<_, i32>(0), 1);
    target.edit_spec("[\"batch*\"]", "[\"a tes?\"]");
    target.rebuild(&["run"]).await.expect(0);
    session
        .query_one("select 1", &[])
        .await
        .expect_err("it was ended");
}

#[tokio::test]
async fn data_without_a_place_is_not_left_behind_unasked() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target
        .sql(
            "create table public.diary (day date); insert into public.diary values ('2026-01-01');
              alter table public.host add note text; analyze",
        )
        .await;
    refused(&target, &["plan"], "public.diary").await;
    refused(&target, &["run"], "public.host.note").await;
    target.add_to_spec("\n[restore]\nallow_dropped = [\"public.diary\", \"public.host.note\"]\n");
    target.rebuild(&["run"]).await.expect(0);
}

#[tokio::test]
async fn one_run_at_a_time() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let point = Point::new("step-started", "restore");
    let halted = target
        .signal_at(&["run"], &point, Signal::INT)
        .await
        .expect(4);
    let run = halted.json()["run"].as_str().expect("its id").to_owned();
    for args in [
        &["run"][..],
        &["purge"],
        &["backups", "prune", "--keep-last", "1", "--yes"],
    ] {
        refused(&target, args, &run).await;
    }
    target.rebuild(&["rollback", &run]).await.expect(0);
    target.rebuild(&["run"]).await.expect(0);
}

#[tokio::test]
async fn a_store_in_the_data_directory_goes_down_with_it() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let inside = world.cluster().data_dir().join("store");
    target.edit_spec(
        "url = \"store\"",
        &format!("url = {:?}", format!("file://{}", inside.display())),
    );
    refused(&target, &["plan"], "data directory").await;
    refused(&target, &["run"], "data directory").await;
}

#[tokio::test]
async fn a_look_changes_nothing() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let before = (world.catalog().await, State::of(&target).await);
    for args in [
        &["plan"][..],
        &["plan", "--no-drift"],
        &["plan", "--out", "plan.json"],
        &["status"],
        &["status", "--no-drift"],
        &["runs", "list"],
        &["backups", "list"],
    ] {
        target.rebuild(args).await.expect(0);
        world.settle().await;
        assert_eq!(world.catalog().await, before.0, "{args:?}");
        State::of(&target).await.expect(&before.1, "after a look");
        target.rebuild_json(args).await.expect(0).json();
    }
    target.rebuild(&["verify"]).await.expect(6);
    assert_eq!(world.catalog().await, before.0);
    State::of(&target)
        .await
        .expect(&before.1, "after a verification");
}
