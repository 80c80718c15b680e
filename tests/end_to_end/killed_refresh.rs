//! A refresh is killed at every boundary of every step that it tells of, and one command brings
//! the target to the new state or back to the old one.

use rustix::process::Signal;

use crate::world::{Point, Scene, State, Target, World};

/// The name that leads to a database is that of one whole one, old or new, and nothing staged and
/// nothing of the source is left.
async fn settled(target: &Target<'_>, old: (u32, &State), new: &State, ending: &str, at: &str) {
    let in_place = target.oid().await == old.0;
    assert_eq!(in_place, ending == "rolled-back", "{at}: {ending}");
    let state = State::of(target).await;
    state.expect(if in_place { old.1 } else { new }, at);
    assert!(
        target.name_of(old.0).await.is_some(),
        "{at}: the old one is there"
    );
    let staged = format!("{}_new_", target.name);
    let mut names = target.world.databases().await;
    names.retain(|name| name.starts_with(&staged));
    // What was in service is kept when the old one comes back.
    assert!(names.len() <= usize::from(in_place), "{at}: {names:?}");
    assert!(!target.store().join("sources").exists(), "{at}");
}

/// True if the run's journal says that the rows are there.
async fn has_restored(target: &Target<'_>) -> bool {
    let shown = target.rebuild_json(&["runs", "show"]).await.json();
    let mut steps = shown["steps"].as_array().expect("steps").iter();
    steps.any(|step| step["id"] == "restore" && step["status"] == "done")
}

#[tokio::test]
async fn a_refresh_killed_at_every_step_goes_on_or_back() {
    let world = World::start().await;
    world.make_production().await;
    let first = world.target_of("first", Scene::Refresh).await;
    let old = State::of(&first).await;
    let run = first.rebuild_json(&["run"]).await.expect(0);
    let points = run.points();
    let new = State::of(&first).await;
    assert_eq!(new.tables["public.person"].0, 201);
    assert!(points.len() > 20, "{points:?}");
    first.drop_databases().await;

    // Until the rows are there, the moment at which the source was held goes with the program.
    let place = |event: &str, step: &str| {
        let wanted = Point::new(event, step);
        points
            .iter()
            .position(|p| *p == wanted)
            .expect("a point of the run")
    };
    let held = place("step-finished", "source")..place("step-finished", "restore");
    let (mut resumed, mut struck) = (0, 0);
    for (i, point) in points.iter().enumerate() {
        let verb = if i.is_multiple_of(3) {
            "rollback"
        } else {
            "resume"
        };
        let at = format!("killed at {point:?}, then {verb}");
        // The last event comes when it is all but over: a kill may come too late to strike.
        let mut killed = None;
        for attempt in 0..8 {
            let name = format!("round_{i}_{attempt}");
            let target = world.target_of(&name, Scene::Refresh).await;
            let oid = target.oid().await;
            if target
                .signal_at(&["run"], point, Signal::KILL)
                .await
                .was_killed()
            {
                killed = Some((target, oid));
                break;
            }
            target.drop_databases().await;
        }
        let (target, oid) = killed.unwrap_or_else(|| panic!("{at}: it always ended first"));
        struck += 1;
        assert!(
            target.name_of(oid).await.is_some(),
            "{at}: the old one is gone"
        );
        // A kill may come some steps late.
        let lost = held.contains(&i) && !has_restored(&target).await;
        let run = target.rebuild_json(&[verb]).await;
        let ending = run.json()["ending"].as_str().expect("an ending").to_owned();
        settled(&target, (oid, &old), &new, &ending, &at).await;
        match (verb, ending.as_str()) {
            ("resume", "done") => {
                assert!(!lost, "{at}: of which moment are the rows?");
                resumed += 1;
            }
            // The next refresh is none the worse for it.
            ("resume", "rolled-back") => {
                target.rebuild_json(&["run"]).await.expect(0);
                State::of(&target).await.expect(&new, &at);
            }
            ("rollback", "rolled-back") => {}
            _ => panic!("{at}: {ending}"),
        }
        target.drop_databases().await;
    }
    assert_eq!(struck, points.len());
    assert!(resumed > 5, "{resumed} went on");
}
