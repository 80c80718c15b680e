//! Commands that are told how a run ended.

use crate::world::{ASIDE, World};

const HOOKS: &str = r#"
[hooks]
on_success = ["sh", "-c", "echo \"good: $REBUILD_RUN $REBUILD_ENDING $REBUILD_TARGET\" >> told"]
on_failure = ["sh", "-c", "echo \"bad: $REBUILD_RUN $REBUILD_ENDING $REBUILD_TARGET: $REBUILD_ERROR\" >> told"]
"#;

#[tokio::test]
async fn a_hook_is_told_how_a_run_ended_and_changes_nothing_about_it() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target.add_to_spec(HOOKS);
    let told = target.spec_file().with_file_name("told");
    let last = || {
        let text = std::fs::read_to_string(&told).expect("a hook was called");
        text.lines().last().expect("a line").to_owned()
    };

    target.edit_spec("expect = 17", "expect = 18");
    let run = target.rebuild_json(&["run"]).await.expect(1).json();
    let id = run["run"].as_str().expect("an id").to_owned();
    let line = last();
    assert!(
        line.starts_with(&format!("bad: {id} rolled back app: ")),
        "{line}"
    );
    assert!(line.contains("17") && line.contains("18"), "{line}");

    target.edit_spec("expect = 18", "expect = 17");
    let run = target.rebuild_json(&["run"]).await.expect(0).json();
    let id = run["run"].as_str().expect("an id").to_owned();
    assert_eq!(last(), format!("good: {id} done app"));

    // A hook that fails is told of, and the run has ended as it has.
    target.edit_spec(
        "on_success = [\"sh\", \"-c\", \"echo",
        "on_success = [\"false\", \"echo",
    );
    let run = target.rebuild(&["run"]).await.expect(0);
    assert!(run.stderr.contains("the hook failed: "), "{}", run.stderr);
    assert_eq!(last(), format!("good: {id} done app"));
    target.drop_databases().await;
}
