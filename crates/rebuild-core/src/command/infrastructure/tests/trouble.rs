//! The real `terraform` where something goes wrong: locks, deadlines, stops, missing files.

use super::*;
use crate::error::ErrorKind;

/// A resource whose making waits until the test writes the file `go`. The child holds no pipe, which
/// the tool would wait for.
const WAITS: &str = r#"
resource "terraform_data" "first" {}
resource "terraform_data" "waits" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" {
    command = <<-EOT
      echo $$ > shell
      sleep 600 > /dev/null 2>&1 &
      echo $! > waiting
      while ! test -e go; do sleep 0.05; done
      kill $!
    EOT
  }
}
"#;

#[tokio::test]
async fn what_is_missing_is_refused_before_anything_is_run() {
    let dir = folder();
    let spec = "tool='terraform'\nprogram='./never'\nvar_files=['prod.tfvars']";
    let error = made(&dir, spec)
        .plan(&Ctx::quiet())
        .await
        .expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .starts_with("var_files: there is no file "),
        "{error}"
    );
    let error = made(&dir, "tool='terraform'\nprogram='./never'");
    let error = error.look(&Ctx::quiet()).await.expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::Program);
}

#[tokio::test]
async fn a_state_that_is_locked_is_a_refusal_that_names_the_holder() {
    let dir = folder();
    write(&dir, "main.tf", WAITS);
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let ctx = Ctx::quiet();
    let (applied, error) = tokio::join!(tool.apply(&ctx, &plan.changes, Leeway::None), async {
        written(&dir.path().join("waiting")).await;
        let error = tool.plan(&Ctx::quiet()).await.expect_err("locked");
        write(&dir, "go", "");
        error
    });
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("the state is locked by root@") || message.contains('@'),
        "{message}"
    );
    assert!(message.contains("OperationTypeApply"), "{message}");
    assert!(
        message.contains(" since 20") && !message.contains("unknown"),
        "{message}"
    );
    assert!(
        error.advice().is_some_and(|a| a.contains("force-unlock")),
        "{error:?}"
    );
    applied.expect("the holder was not disturbed");
}

#[tokio::test]
async fn the_deadline_ends_everything_and_the_next_plan_shows_what_is_left() {
    let dir = folder();
    write(&dir, "main.tf", WAITS);
    let plan = planned(&made(&dir, "tool='terraform'")).await;
    let brief = made(&dir, "tool='terraform'\ntimeout='5s'");
    let error = brief
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    for name in ["shell", "waiting"] {
        let pid = written(&dir.path().join(name)).await;
        assert!(!runs(&pid), "{name} {pid} is left");
    }
    what_is_left_is_shown_and_done(&dir).await;
}

/// The first resource is there; the second was cut off, and is made anew.
async fn what_is_left_is_shown_and_done(dir: &TempDir) {
    let tool = made(dir, "tool='terraform'");
    let rest = planned(&tool).await;
    let lines = rest.changes.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("terraform_data.waits"), "{lines:?}");
    write(dir, "go", "");
    tool.apply(&Ctx::quiet(), &rest.changes, Leeway::None)
        .await
        .expect("the rest");
}

#[tokio::test]
async fn after_the_group_was_killed_the_next_plan_shows_what_is_left() {
    let dir = folder();
    write(&dir, "main.tf", WAITS);
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let ctx = Ctx::quiet();
    let (error, ()) = tokio::join!(tool.apply(&ctx, &plan.changes, Leeway::None), async {
        let shell = written(&dir.path().join("shell")).await;
        written(&dir.path().join("waiting")).await;
        let pid = rustix::process::Pid::from_raw(shell.parse().expect("a number")).expect("a pid");
        let group = rustix::process::getpgid(Some(pid)).expect("its group");
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("killed");
    });
    let error = error.expect_err("killed");
    assert_eq!(error.kind(), ErrorKind::Program, "{error:?}");
    assert!(error.to_string().contains("137"), "{error}");
    what_is_left_is_shown_and_done(&dir).await;
}

#[tokio::test]
async fn the_operator_stops_it_and_the_tool_writes_down_what_it_did() {
    let dir = folder();
    write(&dir, "main.tf", WAITS);
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let ctx = Ctx::quiet();
    let (error, ()) = tokio::join!(tool.apply(&ctx, &plan.changes, Leeway::None), async {
        written(&dir.path().join("waiting")).await;
        ctx.stop.cancel();
    });
    let error = error.expect_err("stopped");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    what_is_left_is_shown_and_done(&dir).await;
}

#[tokio::test]
async fn a_program_that_asks_gets_no_answer_and_fails() {
    let dir = folder();
    // A variable without a value, and a provisioner that reads its input.
    write(&dir, "main.tf", "variable \"must\" {}\n");
    let error = made(&dir, "tool='terraform'").plan(&Ctx::quiet()).await;
    let error = error.expect_err("no value");
    assert_eq!(error.kind(), ErrorKind::Program);
    assert!(
        error.to_string().contains("No value for required variable"),
        "{error}"
    );
    let reads = r#"resource "terraform_data" "reads" {
        provisioner "local-exec" { command = "read answer && echo got $answer" }
    }"#;
    write(&dir, "main.tf", reads);
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let error = tool
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("no input");
    assert_eq!(error.kind(), ErrorKind::Program, "{error:?}");
}

#[tokio::test]
async fn what_is_never_done_is_listed() {
    let dir = folder();
    // It says something else at each planning.
    let text = "resource \"terraform_data\" \"clock\" { input = plantimestamp() }\n";
    write(
        &dir,
        "main.tf",
        "resource \"terraform_data\" \"a\" { input = file(\"counter\") }\n",
    );
    write(&dir, "counter", "1");
    let count = r#"resource "terraform_data" "b" {
        triggers_replace = [terraform_data.a.id]
        provisioner "local-exec" { command = "echo more >> counter" }
    }"#;
    write(&dir, "count.tf", count);
    let tool = made(&dir, "tool='terraform'");
    let plan = planned(&tool).await;
    let error = tool
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("never done");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error:?}");
    assert!(
        error
            .to_string()
            .ends_with("this is left to do:\nupdate terraform_data.a"),
        "{error}"
    );
    write(&dir, "main.tf", text);
    std::fs::remove_file(dir.path().join("count.tf")).expect("removed");
    let plan = planned(&tool).await;
    let later = Instant::now() + Duration::from_millis(1100);
    tokio::time::sleep_until(later.into()).await;
    let error = tool
        .apply(&Ctx::quiet(), &plan.changes, Leeway::None)
        .await
        .expect_err("another time");
    assert_eq!(error.kind(), ErrorKind::Refused);
}
