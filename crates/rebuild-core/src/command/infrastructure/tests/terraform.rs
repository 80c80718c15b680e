//! The real `terraform` (`scripts/terraform` says which), with what is built into it.

use super::super::{Action, destroys};
use super::*;
use crate::error::ErrorKind;

const MAIN: &str = r#"
variable "size" { default = 1 }
variable "password" { default = "none" }
variable "names" {
  type    = list(string)
  default = ["a"]
}
resource "terraform_data" "app" { input = var.size }
resource "terraform_data" "db" {
  input = var.names
  lifecycle { replace_triggered_by = [terraform_data.app] }
}
resource "terraform_data" "login" { input = var.password }
output "size" { value = terraform_data.app.output }
"#;

fn infrastructure() -> TempDir {
    let dir = folder();
    write(&dir, "main.tf", MAIN);
    dir
}

fn actions(plan: &InfrastructurePlan) -> Vec<String> {
    plan.changes.lines()
}

#[tokio::test]
async fn it_is_planned_shown_applied_and_found_empty() {
    let dir = infrastructure();
    let tool = made(&dir, "tool='terraform'");
    let (ctx, seen) = watched();
    let plan = tool.plan(&ctx).await.expect("a plan");
    assert_eq!(
        actions(&plan),
        [
            "create terraform_data.app",
            "create terraform_data.db",
            "create terraform_data.login",
            "create output size",
        ]
    );
    assert!(plan.text.contains("Plan: 3 to add"), "{}", plan.text);
    assert_eq!(plan.changes.workspace, "default");
    assert!(destroys(&plan.changes).is_empty());
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| std::fs::metadata(path).expect(path).permissions().mode() & 0o777;
    assert_eq!(mode(&plan.saved), 0o600);
    let saved = plan.saved.clone();
    let again = planned(&tool).await;
    assert_eq!(again.changes, plan.changes);

    let applied = tool
        .apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("applied");
    assert_eq!(applied.changes, plan.changes.changes);
    drop(plan);
    assert!(!Path::new(&saved).exists(), "{saved} is left");
    assert!(
        output(&seen)
            .iter()
            .any(|l| l.starts_with("terraform apply: Apply complete!"))
    );
    let state = tool.look(&ctx).await.expect("a state");
    assert_eq!(
        state.addresses,
        [
            "terraform_data.app",
            "terraform_data.db",
            "terraform_data.login"
        ]
    );
    let rest = planned(&tool).await.changes;
    assert!(rest.is_empty() && rest.unchanged == 3, "{rest:?}");
    // Once it is done, doing it again does nothing.
    let repeated = tool
        .apply(&ctx, &again.changes, Leeway::None)
        .await
        .expect("nothing to do");
    assert!(repeated.changes.is_empty());
    tool.refresh(&ctx).await.expect("refreshed");
}

#[tokio::test]
async fn what_is_gone_is_made_again_and_nothing_else_is_done() {
    let dir = folder();
    let main = r#"
        resource "terraform_data" "table" {
          count = fileexists("${path.module}/wanted") ? 1 : 0
          input = "a table"
        }
        resource "terraform_data" "other" { input = fileexists("${path.module}/other") }
    "#;
    write(&dir, "main.tf", main);
    write(&dir, "wanted", "");
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let applied = tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None).await;
    applied.expect("applied");
    let again = || async { tool.make_again(&Ctx::quiet()).await };
    assert_eq!(again().await.expect("nothing is gone").changes, []);

    // By other hands.
    let remove = ["state", "rm", "terraform_data.table[0]"];
    let removed = std::process::Command::new(terraform())
        .args(remove)
        .current_dir(dir.path())
        .output();
    assert!(removed.expect("terraform runs").status.success());
    let made = again().await.expect("made again").changes;
    let made: Vec<String> = made.iter().map(ToString::to_string).collect();
    assert_eq!(made, ["create terraform_data.table[0]"]);

    // What would remove something is refused whole.
    std::fs::remove_file(dir.path().join("wanted")).expect("removed");
    write(&dir, "other", "");
    let error = again().await.expect_err("something would be removed");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(
        error.to_string().contains("terraform_data.table[0]"),
        "{error}"
    );
    let left = planned(&tool).await.changes.lines();
    assert_eq!(left.len(), 2, "nothing was done: {left:?}");
}

#[tokio::test]
async fn var_files_variables_and_targets_are_passed_on() {
    let dir = infrastructure();
    write(&dir, "prod.tfvars", "size = 3\n");
    let all = "tool='terraform'\nvar_files=['prod.tfvars']\n[variables]\nnames=['x','y']\n";
    let tool = made(&dir, all);
    let plan = planned(&tool).await;
    tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect("applied");
    let state = std::fs::read_to_string(dir.path().join("terraform.tfstate")).expect("a state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!(state["outputs"]["size"]["value"], 3);
    assert!(state.to_string().contains(r#"["x","y"]"#), "{state}");

    let some = "tool='terraform'\ntargets=['terraform_data.app']\nvariables={size=4}";
    let tool = made(&dir, some);
    let plan = planned(&tool).await;
    assert_eq!(
        actions(&plan),
        ["update terraform_data.app", "update output size"]
    );
    assert_eq!(plan.changes.targets, ["terraform_data.app"]);
    tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect("applied");
    let rest = planned(&made(
        &dir,
        "tool='terraform'\nvariables={size=4,names=['x','y']}",
    ))
    .await;
    assert!(rest.changes.is_empty(), "{:?}", rest.changes);
}

#[tokio::test]
async fn a_replacement_says_why_and_is_a_loss() {
    let dir = infrastructure();
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect("applied");
    let tool = made(&dir, "tool='terraform'\nvariables={size=2}");
    let plan = planned(&tool).await;
    let change = plan.changes.changes.iter().find(|c| c.action.destroys());
    assert_eq!(change.expect("a replacement").action, Action::Replace);
    assert_eq!(
        destroys(&plan.changes),
        ["replace terraform_data.db (replace by triggers)"]
    );
    let kept = serde_json::to_string(&plan.changes).expect("JSON");
    let kept = serde_json::from_str(&kept).expect("changes");
    tool.apply(&Ctx::quiet(), &kept, Leeway::None)
        .await
        .expect("applied as kept");
}

#[tokio::test]
async fn a_workspace_is_named_and_the_selected_one_stays() {
    let dir = infrastructure();
    let missing = made(&dir, "tool='terraform'\nworkspace='scratch'");
    for refused in [
        missing.plan(&Ctx::quiet()).await.expect_err("missing"),
        missing.look(&Ctx::quiet()).await.expect_err("missing"),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let message = refused.to_string();
        assert!(
            message.contains("no workspace \"scratch\"") && message.ends_with("there are: default"),
            "{message}"
        );
    }
    assert!(!dir.path().join("terraform.tfstate.d").exists());
    let spec = "tool='terraform'\nworkspace='scratch'\ncreate_workspace=true";
    let tool = made(&dir, spec);
    assert_eq!(tool.name(), "terraform workspace scratch");
    let plan = planned(&tool).await;
    assert_eq!(plan.changes.workspace, "scratch");
    assert_eq!(planned(&tool).await.changes, plan.changes);
    assert!(!plan.changes.is_empty());
    assert_eq!(
        actions(&plan),
        ["create workspace scratch; what is done in it is known once it is there"]
    );
    // A plan makes nothing.
    assert!(!dir.path().join("terraform.tfstate.d").exists());
    let (ctx, seen) = watched();
    let applied = tool.apply(&ctx, &plan.changes, Leeway::None).await;
    assert_eq!(applied.expect("applied").changes.len(), 3);
    let notes = notes(&seen);
    let shown = "terraform workspace scratch will now create terraform_data.app";
    assert!(notes.iter().any(|note| note == shown), "{notes:?}");
    let selected = std::fs::read_to_string(dir.path().join(".terraform/environment"));
    assert_eq!(selected.expect("a selection"), "default");
    assert!(
        dir.path()
            .join("terraform.tfstate.d/scratch/terraform.tfstate")
            .exists()
    );
    assert!(!dir.path().join("terraform.tfstate").exists());
    // The same changes of another workspace are not the ones that were shown.
    let error = made(&dir, "tool='terraform'")
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("another workspace");
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn a_world_that_changed_since_is_refused_and_left_alone() {
    let dir = infrastructure();
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    write(&dir, "more.tf", "resource \"terraform_data\" \"more\" {}");
    let error = tool
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("changed");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .ends_with("not what was shown:\nnew: create terraform_data.more"),
        "{error}"
    );
    assert!(!dir.path().join("terraform.tfstate").exists());
    // Other values alone are another plan, too.
    std::fs::remove_file(dir.path().join("more.tf")).expect("removed");
    let error = made(&dir, "tool='terraform'\nvariables={size=9}")
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("other values");
    assert!(
        error
            .to_string()
            .ends_with("the same resources, with other values"),
        "{error}"
    );
}

#[tokio::test]
async fn secrets_are_seen_nowhere() {
    let dir = infrastructure();
    // The configuration itself prints the variable, and fails.
    write(
        &dir,
        "leak.tf",
        r#"
resource "terraform_data" "leak" {
  input = var.password
  provisioner "local-exec" {
    command = "ps axww -o args > seen; echo leaked $P; exit 1"
    environment = { P = var.password }
  }
}
"#,
    );
    let quoted = toml::Value::from(MARK).to_string();
    write(
        &dir,
        "keys.tf",
        "resource \"terraform_data\" \"key\" { for_each = toset([var.password]) }",
    );
    let tool = made(
        &dir,
        &format!("tool='terraform'\nvariables={{password={quoted}}}"),
    );
    let (ctx, seen) = watched();
    let plan = tool.plan(&ctx).await.expect("a plan");
    let error = tool
        .apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect_err("exit 1");
    assert_eq!(error.kind(), ErrorKind::Program, "{error:?}");
    let arguments = std::fs::read_to_string(dir.path().join("seen")).expect("arguments");
    assert!(arguments.contains("terraform apply"), "{arguments}");
    let kept = serde_json::to_string(&plan.changes).expect("JSON");
    let key = r#"create terraform_data.key["***"]"#;
    assert!(actions(&plan).contains(&key.to_owned()), "{kept}");
    let events = format!("{:?}", seen.events());
    assert!(events.contains("leaked ***"), "{events}");
    assert!(plan.text.contains("***"), "{}", plan.text);
    for text in [
        arguments,
        plan.text.clone(),
        kept,
        events,
        format!("{error:?}{tool:?}{plan:?}"),
    ] {
        assert!(!text.contains("tr0ub4dor"), "{text}");
    }
}

#[tokio::test]
async fn what_an_earlier_apply_left_undone_is_done_and_additions_where_they_may_be() {
    let dir = infrastructure();
    let ctx = Ctx::quiet();
    let tool = made(&dir, "tool='terraform'");
    let shown = planned(&tool).await.changes;
    let some = made(&dir, "tool='terraform'\ntargets=['terraform_data.app']");
    let part = planned(&some).await.changes;
    some.apply(&ctx, &part, Leeway::None).await.expect("a part");
    let applied = tool.apply(&ctx, &shown, Leeway::None).await;
    let applied: Vec<String> = applied
        .expect("the rest")
        .changes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        applied,
        ["create terraform_data.db", "create terraform_data.login"]
    );
    // Now there is nothing to do, and then something comes that was not shown.
    let shown = planned(&tool).await.changes;
    write(&dir, "more.tf", "resource \"terraform_data\" \"more\" {}");
    let error = tool.apply(&ctx, &shown, Leeway::None).await;
    let error = error.expect_err("not shown");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    let applied = tool.apply(&ctx, &shown, Leeway::Additions).await;
    assert_eq!(applied.expect("an addition").changes.len(), 1);
    std::fs::remove_file(dir.path().join("more.tf")).expect("removed");
    let error = tool.apply(&ctx, &shown, Leeway::Additions).await;
    let error = error.expect_err("a loss");
    assert!(
        error
            .to_string()
            .ends_with("not shown: delete terraform_data.more (delete because no resource config)"),
        "{error}"
    );
    assert_eq!(tool.look(&ctx).await.expect("a state").addresses.len(), 4);
}

#[tokio::test]
async fn a_person_is_told_the_command_that_shows_what_there_is_to_do() {
    let dir = infrastructure();
    write(&dir, "prod.tfvars", "size = 3\n");
    let spec = "tool='terraform'\nvar_files=['prod.tfvars']\n[variables]\npassword='hunter2'";
    let line = made(&dir, spec).by_hand();
    assert!(!line.contains("hunter2"), "{line}");
    let script = format!("{} init -no-color\n{line} -no-color", terraform());
    let mut shell = std::process::Command::new("sh");
    let output = shell
        .args(["-ec", &script])
        .current_dir(dir.path())
        .output();
    let said = String::from_utf8(output.expect("a shell").stdout).expect("text");
    assert!(said.contains("Plan: 3 to add"), "{line}: {said}");
}

#[tokio::test]
async fn a_rehearsal_is_taken_down_and_the_real_thing_stays() {
    let dir = infrastructure();
    let ctx = Ctx::quiet();
    let real = made(&dir, "tool='terraform'");
    let plan = planned(&real).await;
    real.apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("applied");
    let rehearsal = made(&dir, "tool='terraform'\nworkspace='rehearsal'");
    let stand = rehearsal.workspace(&ctx).await.expect("an answer");
    assert_eq!(
        (stand.exists, stand.selected.as_deref()),
        (false, Some("default"))
    );
    rehearsal.make_new_workspace(&ctx).await.expect("made");
    let again = rehearsal.make_new_workspace(&ctx).await;
    assert_eq!(again.expect_err("there").kind(), ErrorKind::Refused);
    let stand = rehearsal.workspace(&ctx).await.expect("an answer");
    assert_eq!(
        (stand.exists, stand.selected.as_deref()),
        (true, Some("default"))
    );
    let plan = planned(&rehearsal).await;
    rehearsal
        .apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("rehearsed");
    let error = rehearsal.remove_workspace(&ctx).await.expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("manages 3 resources"), "{error}");

    let removal = rehearsal.removal().expect("terraform can");
    let plan = planned(&removal).await;
    assert_eq!(destroys(&plan.changes).len(), 3);
    // What was shown as a removal is not what the others have to do.
    let rest = rehearsal
        .apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("nothing");
    assert!(rest.changes.is_empty());
    removal
        .apply(&ctx, &plan.changes, Leeway::None)
        .await
        .expect("taken down");
    // As one left it that was killed.
    write(&dir, ".terraform/environment", "rehearsal");
    rehearsal
        .leave_workspace(&ctx, "default")
        .await
        .expect("left");
    rehearsal.remove_workspace(&ctx).await.expect("deleted");
    rehearsal
        .remove_workspace(&ctx)
        .await
        .expect("gone already");
    let real = real.look(&ctx).await.expect("a state");
    assert_eq!(real.addresses.len(), 3);
    let kept = made(&dir, "tool='terraform'").remove_workspace(&ctx).await;
    assert_eq!(kept.expect_err("default").kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn the_backend_is_set_up_from_a_file() {
    let dir = infrastructure();
    write(
        &dir,
        "backend.tf",
        "terraform {\n  backend \"local\" {}\n}\n",
    );
    write(&dir, "prod.tfbackend", "path = \"elsewhere.tfstate\"\n");
    let tool = made(&dir, "tool='terraform'\nbackend_files=['prod.tfbackend']");
    let plan = planned(&tool).await;
    tool.apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect("applied");
    assert!(dir.path().join("elsewhere.tfstate").exists());
    assert!(!dir.path().join("terraform.tfstate").exists());
}
