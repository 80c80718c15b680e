//! `run --rehearse`: the whole run on a copy, with the real `terraform`, and nothing of it left.

use std::path::Path;

use rustix::process::Signal;

use crate::infrastructure::{target, terraform};
use crate::world::{ASIDE, IN_PLACE, Point, Run, State, Target, World};

/// The state of the workspace that the spec names, before and after.
const OWN: &str = "infra/terraform.tfstate";

const MAIN: &str = r#"
resource "terraform_data" "network" {}
resource "terraform_data" "place" {
  input = terraform.workspace
  provisioner "local-exec" { command = "echo made in ${terraform.workspace} >> log" }
  provisioner "local-exec" {
    when = destroy
    command = "echo destroyed in ${self.input} >> log"
  }
}
"#;

/// A migrator and what a rehearsal must not do: each writes its name down.
const REACHES_OUT: &str = r#"
[migrate]
argv = ["psql", "-qc", "create table public.migrated (at_database text default current_database())"]

[[workload]]
name = "web"
stop = ["sh", "-c", "echo stopped >> ../reached"]
start = ["sh", "-c", "echo started >> ../reached"]

[[load]]
name = "some"
command = ["psql", "-qc", "insert into public.migrated default values"]

[[after]]
name = "tell"
command = ["sh", "-c", "echo told >> ../reached"]

[[verify]]
kind = "http"
url = "http://127.0.0.1:1/never"

[hooks]
on_success = ["sh", "-c", "echo hooked >> ../reached"]
on_failure = ["sh", "-c", "echo hooked >> ../reached"]
"#;

/// What a rehearsal must leave as it was.
#[derive(Debug, PartialEq)]
struct Before {
    catalog: Vec<String>,
    target: State,
    own: Option<Vec<u8>>,
    selected: Option<String>,
    workspaces: Vec<String>,
    backups: Vec<String>,
}

impl Before {
    async fn of(target: &Target<'_>) -> Self {
        target.world.settle().await;
        let selected = target.folder.join("infra/.terraform/environment");
        Self {
            catalog: target.world.catalog().await,
            target: State::of(target).await,
            own: std::fs::read(target.folder.join(OWN)).ok(),
            // Without the file it is the default.
            selected: std::fs::read_to_string(selected)
                .ok()
                .filter(|selected| selected != "default"),
            workspaces: names(&target.folder.join("infra/terraform.tfstate.d")),
            backups: names(&target.store()),
        }
    }
}

/// What is in a folder; nothing if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.map(|e| e.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What the provisioners wrote.
fn log(target: &Target<'_>) -> String {
    std::fs::read_to_string(target.folder.join("infra/log")).unwrap_or_default()
}

#[track_caller]
fn says(run: &Run, wanted: &str) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(wanted), "{wanted:?} is not in:\n{said}");
}

/// The ids of the steps that a report lists as done.
fn steps(run: &Run) -> Vec<String> {
    let report = run.json();
    let steps = report["steps"].as_array().expect("steps").iter();
    let done = steps.filter(|step| step["seconds"].is_number());
    done.map(|step| step["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn the_whole_run_is_done_on_a_copy_and_nothing_of_it_is_left() {
    let world = World::start().await;
    for strategy in [ASIDE, IN_PLACE] {
        let target = target(&world, strategy, MAIN, REACHES_OUT).await;
        target.edit_spec("environment = \"test\"", "environment = \"production\"");
        target.edit_spec("end_sessions = true", "end_sessions = false");
        let reached = target.folder.join("reached");
        // Somebody is at work in the target, and nobody asks them to leave.
        let busy = target.session().await;
        busy.batch_execute("begin; update public.person set team = 'mine' where id = 7")
            .await
            .expect("a transaction that is open");
        let before = Before::of(&target).await;
        let run = target.rebuild_json(&["run", "--rehearse", "one"]).await;
        let run = run.expect(0);
        assert_eq!(Before::of(&target).await, before, "{strategy}");
        busy.batch_execute("rollback").await.expect("still there");
        assert!(!reached.exists(), "{:?}", std::fs::read_to_string(&reached));
        assert_eq!(log(&target), "made in one\ndestroyed in one\n");

        let report = run.json();
        assert_eq!(report["ending"], "done");
        let database = format!("{}_rehearsal_one", target.name);
        assert_eq!(report["database"], *database);
        let steps = steps(&run);
        for step in [
            "rehearsal-workspace-net",
            "rehearsal-copy",
            "backup",
            "check-backup",
            "infrastructure-net",
            "provision",
            "migrate",
            "load-some",
            "verify",
            "verify-live",
            "rehearsal-purge",
            "rehearsal-clean",
        ] {
            assert!(steps.iter().any(|s| s == step), "{step} in {steps:?}");
        }
        let left_out = report["not_rehearsed"].to_string();
        for what in ["workload", "after", "http", "hooks", "quiesce"] {
            assert!(left_out.contains(what), "{what} in {left_out}");
        }
        let busy_one = report["in_the_way"].to_string();
        assert!(busy_one.contains("\\\"a test\\\""), "{busy_one}");
        let gone = report["gone"].to_string();
        for what in [&*database, "workspace one of", "backups and journals in"] {
            assert!(gone.contains(what), "{what} in {gone}");
        }
        busy.close().await;
        target.drop_databases().await;
    }
}

#[tokio::test]
async fn one_that_fails_says_what_failed_and_cleans_up_too() {
    let world = World::start().await;
    let target = target(&world, ASIDE, MAIN, "").await;
    target.add_to_spec("\n[migrate]\nargv = [\"sh\", \"-c\", \"echo no such column; exit 3\"]\n");
    let before = Before::of(&target).await;
    let run = target.rebuild_json(&["run", "--rehearse", "two"]).await;
    let run = run.expect(1);
    assert_eq!(Before::of(&target).await, before);
    assert_eq!(run.json()["ending"], "rolled-back");
    assert!(run.json()["error"].to_string().contains("exit code 3"));
    says(&run, "no such column");
    assert_eq!(log(&target), "made in two\ndestroyed in two\n");
    let text = target
        .rebuild(&["run", "--rehearse", "two"])
        .await
        .expect(1);
    says(&text, "rehearsal two failed after");
    says(
        &text,
        "\nMade, and gone again\n  database \"aside_rehearsal_two\"",
    );

    // The copy can be made, and the plan on it is refused, as that of the run is.
    let tables = target.folder.join("schema/02_tables.sql");
    let text = std::fs::read_to_string(&tables).expect("the tables");
    std::fs::write(&tables, text.replace("    note text,\n", "")).expect("written");
    let rehearsal = target.rebuild(&["run", "--rehearse", "two"]).await;
    says(
        &rehearsal.expect(3),
        "this data has no place in the new schema",
    );
    assert_eq!(Before::of(&target).await, before);
}

#[tokio::test]
async fn one_that_was_killed_is_cleaned_up_by_the_same_command() {
    let world = World::start().await;
    let target = target(&world, ASIDE, MAIN, "").await;
    let before = Before::of(&target).await;
    for (event, step) in [
        ("step-finished", "rehearsal-workspace-net"),
        // Of the copy, which comes first.
        ("step-started", "provision"),
        ("step-started", "infrastructure-net"),
        ("step-finished", "promote"),
        ("step-started", "rehearsal-clean"),
    ] {
        let args = ["run", "--rehearse", "three"];
        let point = Point::new(event, step);
        let killed = target.signal_at(&args, &point, Signal::KILL).await;
        assert!(killed.was_killed(), "{point:?} {killed:?}");
    }
    let listed = target.rebuild(&["backups", "list"]).await.expect(0);
    assert!(!listed.stdout.contains("bak-"), "{listed:?}");
    let listed = target.rebuild(&["runs", "list"]).await.expect(0);
    assert!(!listed.stdout.contains("run-"), "{listed:?}");
    let args = ["run", "--rehearse", "three"];
    // Asked to stop it cleans up by itself.
    let point = Point::new("step-started", "restore");
    let stopped = target.signal_at(&args, &point, Signal::INT).await;
    assert_eq!(stopped.code(), Some(1), "{stopped:?}");
    says(&stopped, "an earlier rehearsal three is cleaned up first");
    assert_eq!(stopped.json()["left"], serde_json::json!([]));
    assert!(!target.store().join("rehearsals").exists());
    let point = Point::new("step-started", "check-backup");
    let killed = target.signal_at(&args, &point, Signal::KILL).await;
    assert!(killed.was_killed(), "{killed:?}");
    let run = target.rebuild_json(&args).await.expect(0);
    says(&run, "an earlier rehearsal three is cleaned up first");
    assert_eq!(Before::of(&target).await, before);
    let log = log(&target);
    let times = |what: &str| log.matches(what).count();
    // One was killed before it could begin.
    assert_eq!(times("made in three"), times("destroyed in three"), "{log}");
}

#[tokio::test]
async fn what_no_rehearsal_made_is_refused_and_stays() {
    let world = World::start().await;
    let target = target(&world, ASIDE, MAIN, "").await;
    let admin = world.admin().await;
    let theirs = "create database aside_rehearsal_four";
    admin.batch_execute(theirs).await.expect("a database");
    let before = Before::of(&target).await;
    let run = target.rebuild(&["run", "--rehearse", "four"]).await;
    says(&run.expect(3), "\"aside_rehearsal_four\" (oid ");
    assert_eq!(Before::of(&target).await, before);

    let mut new = std::process::Command::new(terraform());
    let new = new.args(["-chdir=infra", "workspace", "new", "five"]);
    let made = new.current_dir(&target.folder).output();
    assert!(made.expect("terraform").status.success());
    let before = Before::of(&target).await;
    assert_eq!(before.selected.as_deref(), Some("five"));
    let run = target.rebuild(&["run", "--rehearse", "five"]).await;
    says(&run.expect(3), "terraform workspace five exists already");
    assert_eq!(Before::of(&target).await, before);
    // Whatever is selected in the folder stays so.
    let run = target.rebuild(&["run", "--rehearse", "six"]).await;
    let run = run.expect(0);
    says(&run, "rehearsal six went through after");
    says(
        &run,
        "\nMade, and gone again\n  database \"aside_rehearsal_six\"",
    );
    assert_eq!(Before::of(&target).await, before);
    for name in ["default", "a b", ""] {
        target.rebuild(&["run", "--rehearse", name]).await.expect(2);
    }
}

#[tokio::test]
async fn what_cannot_be_removed_is_told_with_the_command_that_goes_on() {
    let world = World::start().await;
    let stubborn =
        "resource \"terraform_data\" \"kept\" {\n lifecycle { prevent_destroy = true }\n}";
    let target = target(&world, ASIDE, stubborn, "").await;
    let before = Before::of(&target).await;
    let args = ["run", "--rehearse", "seven"];
    let run = target.rebuild_json(&args).await.expect(5);
    assert_eq!(run.json()["ending"], "stuck");
    assert_eq!(run.json()["next"], "rebuild run --rehearse seven");
    assert!(run.json()["left"].to_string().contains("workspace seven"));
    assert_eq!(Before::of(&target).await.catalog, before.catalog);
    // Begun again it does not go on as if nothing was there.
    let run = target.rebuild_json(&args).await.expect(5);
    assert!(run.json()["steps"].as_array().expect("steps").is_empty());
    std::fs::write(target.folder.join("infra/main.tf"), MAIN).expect("main.tf");
    target.rebuild(&args).await.expect(0);
    assert_eq!(Before::of(&target).await, before);
}
