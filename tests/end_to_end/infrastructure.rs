//! An infrastructure-as-code tool in a run, with the real `terraform`: what is shown, what is applied,
//! and what stays.

use std::process::Command;
use std::sync::OnceLock;

use rebuild_core::testing;
use rustix::process::Signal;

use crate::world::{ASIDE, IN_PLACE, Point, Run, State, Target, World};

/// A value that must be seen nowhere.
const MARK: &str = "tr0ub4dor-mark";

const MAIN: &str = r#"
variable "password" { default = "none" }
resource "terraform_data" "network" {}
resource "terraform_data" "login" { input = var.password }
"#;

/// The second of three resources does `$1` when it is made for the first time, with the group of the tool
/// in G and the process that started it in R.
const INTERRUPTED: &str = r#"
resource "terraform_data" "first" {}
resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" {
    command = <<-EOT
      test ! -e begun || exit 0
      touch begun
      G=$(ps -o pgid= -p $$ | tr -d ' ')
      R=$(ps -o ppid= -p $G | tr -d ' ')
      $1
    EOT
  }
}
resource "terraform_data" "third" { depends_on = [terraform_data.second] }
"#;

/// The real terraform.
pub(crate) fn terraform() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = testing::programs_of("terraform").join("terraform");
        path.to_str().expect("UTF-8").to_owned()
    })
}

/// A target whose spec has the infrastructure `net`, of `files` and with `more` keys.
pub(crate) async fn target<'a>(
    world: &'a World,
    strategy: &str,
    files: &str,
    more: &str,
) -> Target<'a> {
    let target = world.target(&strategy.replace('-', "_"), strategy).await;
    std::fs::create_dir(target.folder.join("infra")).expect("a folder");
    write(&target, files);
    let program = terraform();
    target.add_to_spec(&format!(
        "\n[[infrastructure]]\nname = \"net\"\ntool = \"terraform\"\nprogram = {program:?}\n\
         folder = \"infra\"\n{more}\n"
    ));
    target
}

fn write(target: &Target<'_>, files: &str) {
    std::fs::write(target.folder.join("infra/main.tf"), files).expect("main.tf");
}

/// The addresses that terraform has recorded.
fn managed(target: &Target<'_>) -> Vec<String> {
    let Ok(state) = std::fs::read(target.folder.join("infra/terraform.tfstate")) else {
        return Vec::new();
    };
    let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
    let resources = state["resources"].as_array().expect("resources").iter();
    resources
        .map(|r| r["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[track_caller]
fn says(run: &Run, wanted: &str) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(wanted), "{wanted:?} is not in:\n{said}");
}

/// The run was taken back: the database is as before, and the report tells what of the infrastructure
/// stays.
async fn expect_old(target: &Target<'_>, run: &Run, old: &State, oid: u32) {
    assert_eq!(run.json()["ending"], "rolled-back");
    target.world.settle().await;
    assert_eq!(target.oid().await, oid);
    State::of(target).await.expect(old, "taken back");
    let left = run.json()["left"].to_string();
    let stays = "anything that terraform has changed for the infrastructure";
    assert!(left.contains(stays), "{left}");
    let command = format!("TF_WORKSPACE=default {} -chdir=", terraform());
    assert!(left.contains(&command), "{left}");
    let told = run.stderr.lines().filter(|line| line.contains(stays));
    assert_eq!(told.count(), 1, "{}", run.stderr);
}

#[tokio::test]
async fn it_is_shown_applied_with_the_rebuild_and_then_there_is_nothing_to_do() {
    let world = World::start().await;
    let variables = "variables = { password = \"${PASSWORD}\" }";
    let mut target = target(&world, ASIDE, MAIN, variables).await;
    target
        .environment
        .push(("PASSWORD".to_owned(), MARK.to_owned()));
    let mut runs = Vec::new();
    let plan = target.rebuild(&["plan", "--out", "plan.json"]).await;
    let plan = plan.expect(0);
    says(&plan, "\nInfrastructure\n  net: terraform 1.");
    says(
        &plan,
        "  create terraform_data.login\n    create terraform_data.network\n",
    );
    says(&plan, "apply net with terraform: 2 changes\n");
    says(&plan, "(net) stays when the run goes back");
    runs.push(plan);
    let status = target.rebuild(&["status"]).await.expect(0);
    says(&status, "workspace default, manages nothing");
    runs.push(status);
    assert_eq!(managed(&target), [""; 0], "a look applies nothing");

    let run = target.rebuild_json(&["run", "--plan", "plan.json"]).await;
    let run = run.expect(0);
    assert_eq!(managed(&target), ["login", "network"]);
    for name in ["login", "network"] {
        let will = format!("terraform workspace default will now create terraform_data.{name}");
        let told = run.stderr.find(&will).expect("it is told");
        let done = run.stderr.find("Apply complete!").expect("it is done");
        assert!(told < done, "{}", run.stderr);
    }
    let steps: Vec<String> = run.points().into_iter().map(|p| p.step).collect();
    let at = |step: &str| steps.iter().position(|s| s == step).expect(step);
    assert_eq!(at("infrastructure-net") + 2, at("provision"), "{steps:?}");
    assert_ne!(target.oid().await, 0);
    runs.push(run);

    let again = target.rebuild(&["plan"]).await.expect(0);
    says(&again, "apply net with terraform: nothing to do\n");
    assert!(!again.stdout.contains("stays when the run goes back"));
    runs.push(again);
    let status = target.rebuild(&["status"]).await.expect(0);
    says(
        &status,
        "workspace default, manages 2: terraform_data.login, terraform_data.network",
    );
    runs.push(status);
    let oid = target.oid().await;
    runs.push(target.rebuild(&["run"]).await.expect(0));
    assert_ne!(target.oid().await, oid, "rebuilt again");
    runs.push(target.rebuild(&["rollback"]).await.expect(0));
    assert_eq!(managed(&target), ["login", "network"]);

    for run in &runs {
        assert!(!format!("{run:?}").contains(MARK), "{run:?}");
    }
    // The tool's own record holds it.
    std::fs::remove_dir_all(target.folder.join("infra")).expect("removed");
    let mut grep = Command::new("grep");
    let found = grep.args(["-r", MARK, "."]).current_dir(&target.folder);
    let found = found.output().expect("grep");
    assert_eq!(found.status.code(), Some(1), "{found:?}");
}

#[tokio::test]
async fn what_has_changed_since_the_plan_is_refused() {
    let world = World::start().await;
    let target = target(&world, ASIDE, MAIN, "").await;
    target
        .rebuild(&["plan", "--out", "plan.json"])
        .await
        .expect(0);
    let before = world.catalog().await;
    for other in [
        format!("{MAIN}\nresource \"terraform_data\" \"more\" {{}}\n"),
        MAIN.replace("\"none\"", "\"other\""),
    ] {
        write(&target, &other);
        let run = target.rebuild(&["run", "--plan", "plan.json"]).await;
        let run = run.expect(3);
        says(
            &run,
            "what there is to do for the infrastructure \"net\" has changed",
        );
        assert_eq!(managed(&target), [""; 0]);
        assert_eq!(world.catalog().await, before);
    }
    write(&target, MAIN);
    target
        .rebuild(&["run", "--plan", "plan.json"])
        .await
        .expect(0);
}

#[tokio::test]
async fn what_goes_is_a_loss_and_production_needs_its_name_typed() {
    let world = World::start().await;
    let target = target(&world, ASIDE, MAIN, "").await;
    target.edit_spec("environment = \"test\"", "environment = \"Production\"");
    target
        .rebuild(&["run", "--confirm", "aside"])
        .await
        .expect(0);
    write(&target, "resource \"terraform_data\" \"network\" {}");
    let lost = "infrastructure net: delete terraform_data.login";
    let plan = target.rebuild_json(&["plan"]).await.expect(0);
    let losses = plan.json()["losses"].to_string();
    assert!(losses.contains(lost), "{losses}");
    says(&target.rebuild(&["run"]).await.expect(3), "--confirm aside");
    assert_eq!(managed(&target), ["login", "network"]);
    target
        .rebuild(&["run", "--confirm", "aside"])
        .await
        .expect(0);
    assert_eq!(managed(&target), ["network"]);
}

#[tokio::test]
async fn an_apply_that_fails_or_is_killed_takes_the_database_back_and_what_it_did_stays() {
    let world = World::start().await;
    for (strategy, end) in [(ASIDE, "exit 1"), (IN_PLACE, "kill -9 -$G; sleep 60")] {
        let target = target(&world, strategy, &INTERRUPTED.replace("$1", end), "").await;
        let (old, oid) = (State::of(&target).await, target.oid().await);
        let run = target.rebuild_json(&["run"]).await.expect(1);
        expect_old(&target, &run, &old, oid).await;
        let left = managed(&target);
        assert!(left.contains(&"first".to_owned()), "{left:?}");
        assert!(!left.contains(&"third".to_owned()), "{left:?}");
        // What is left to do is a plan like any other.
        target.rebuild(&["run"]).await.expect(0);
        assert_eq!(managed(&target), ["first", "second", "third"]);
        target.drop_databases().await;
    }
}

#[tokio::test]
async fn an_apply_that_is_cut_off_goes_on_where_the_run_does() {
    let world = World::start().await;
    for (strategy, end) in [
        (ASIDE, "kill -9 $R; kill -9 -$G; sleep 60"),
        // What is half made then is made anew.
        (IN_PLACE, "kill -INT $R; sleep 60"),
    ] {
        let target = target(&world, strategy, &INTERRUPTED.replace("$1", end), "").await;
        let (old, oid) = (State::of(&target).await, target.oid().await);
        let run = target.rebuild_json(&["run"]).await;
        if strategy == ASIDE {
            assert!(run.was_killed(), "{run:?}");
        } else {
            assert_eq!(run.code(), Some(4), "{run:?}");
            assert_eq!(run.json()["ending"], "halted");
        }
        let left = managed(&target);
        assert!(!left.contains(&"third".to_owned()), "{left:?}");
        let resumed = target.rebuild_json(&["resume"]).await.expect(0);
        assert_eq!(resumed.json()["ending"], "done");
        says(&resumed, "will now create terraform_data.third");
        assert_eq!(managed(&target), ["first", "second", "third"]);
        assert_ne!(target.oid().await, oid);
        let back = target.rebuild_json(&["rollback"]).await.expect(0);
        expect_old(&target, &back, &old, oid).await;
        assert_eq!(managed(&target), ["first", "second", "third"]);
        target.drop_databases().await;
    }
}

/// The run itself removes something between its plan and the step.
#[tokio::test]
async fn in_place_what_the_run_has_removed_is_made_again() {
    let world = World::start().await;
    for strategy in [ASIDE, IN_PLACE] {
        let target = target(&world, strategy, MAIN, "").await;
        target.rebuild(&["run"]).await.expect(0);
        let (old, oid) = (State::of(&target).await, target.oid().await);
        let program = terraform();
        target.add_to_spec(&format!(
            "\n[[workload]]\nname = \"desk\"\nstart = [\"true\"]\n\
             stop = [{program:?}, \"-chdir=infra\", \"state\", \"rm\", \"terraform_data.network\"]\n"
        ));
        let point = Point::new("step-finished", "infrastructure-net");
        if strategy == ASIDE {
            let run = target.rebuild_json(&["run"]).await.expect(1);
            says(&run, "new: create terraform_data.network");
            assert!(!run.points().contains(&point), "{run:?}");
            assert_eq!(run.json()["ending"], "rolled-back");
            world.settle().await;
            assert_eq!(target.oid().await, oid);
            State::of(&target).await.expect(&old, "taken back");
            assert_eq!(managed(&target), ["login"]);
        } else {
            let run = target.rebuild_json(&["run"]).await.expect(0);
            says(&run, "will now create terraform_data.network");
            assert!(run.points().contains(&point), "{run:?}");
            assert_eq!(managed(&target), ["login", "network"]);
        }
        target.drop_databases().await;
    }
}

#[tokio::test]
async fn a_workspace_is_made_by_the_run_and_not_by_the_plan() {
    let world = World::start().await;
    let more = "workspace = \"scratch\"\ncreate_workspace = true";
    let target = target(&world, ASIDE, MAIN, more).await;
    let state = target.folder.join("infra/terraform.tfstate.d/scratch");
    let plan = target.rebuild(&["plan", "--out", "plan.json"]).await;
    says(
        &plan.expect(0),
        "create workspace scratch; what is done in it is known once it is there\n",
    );
    let status = target.rebuild(&["status"]).await.expect(0);
    says(&status, "terraform has no workspace \"scratch\"");
    assert!(!state.exists());
    let point = Point::new("step-started", "infrastructure-net");
    // Halted before it, it is still not there.
    let run = target.signal_at(&["run"], &point, Signal::INT).await;
    assert_eq!(run.code(), Some(4), "{run:?}");
    target.rebuild(&["resume"]).await.expect(0);
    assert!(state.join("terraform.tfstate").exists());
    assert_eq!(managed(&target), [""; 0], "of the default workspace");
}
