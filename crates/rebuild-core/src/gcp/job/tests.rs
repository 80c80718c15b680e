use rebuild_testgoogle::{ApiError, Fault, Strike};

use super::*;
use crate::gcp::stage::{Stage, db};
use crate::model::RunId;
use crate::secret::Secret;

#[tokio::test]
async fn a_job_is_told_followed_and_done() {
    let stage = Stage::new().await;
    let script = r#"
        echo "task $CLOUD_RUN_TASK_INDEX of $CLOUD_RUN_TASK_COUNT: $* in $PGDATABASE"
        echo '{"message": "password hunter2", "severity": "INFO"}'
        test "$REBUILD_STEP" = load/work && test "$COLOUR" = red"#;
    stage.deploy(script, 6);
    let mut job = stage.job().await;
    job.overrides = Overrides {
        tasks: NonZeroU32::new(5),
        most_tasks: NonZeroU32::new(3),
        args: Some(vec!["--full".to_owned()]),
        container: None,
        task_timeout: Some(Duration::from_secs(30)),
    };
    job.env = vec![("COLOUR".to_owned(), "red".to_owned())];
    job.redaction = Redaction::new([&Secret::new("hunter2")]);
    job.run(&stage.ctx, &db()).await.expect("done");
    let [execution] = &stage.executions()[..] else {
        panic!("not one execution");
    };
    assert_eq!(execution["taskCount"], 3);
    assert_eq!(execution["succeededCount"], 3);
    assert_eq!(execution["template"]["timeout"], "30s");
    let name = short(execution["name"].as_str().expect("a name"));
    let lines = stage.lines();
    for task in 0..3 {
        let line = format!("{name}/{task}: task {task} of 3: --full in app");
        let told = lines.iter().filter(|told| **told == line).count();
        assert_eq!(told, 1, "{lines:?}");
    }
    assert!(
        lines.contains(&format!("{name}/0: password ***")),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|line| line.contains("hunter2")));
}

#[tokio::test]
async fn an_operation_that_has_failed_begins_nothing() {
    let stage = Stage::new().await;
    stage.deploy("echo hello", 1);
    stage
        .server
        .on("run.projects.locations.jobs.run", |_| async {
            let name = "projects/test-project/locations/europe-west1/operations/1";
            let error = serde_json::json!({"code": 8, "message": "Quota exceeded."});
            let operation = serde_json::json!({"name": name, "done": true, "error": error});
            Ok(operation.into())
        });
    let error = stage.job().await.run(&stage.ctx, &db()).await;
    let error = error.expect_err("no quota");
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    assert_eq!(
        error.chain(),
        "could not execute the job \"work\": Quota exceeded."
    );
}

#[tokio::test]
async fn it_is_told_how_many_tasks_are_done_and_how_long_the_rest_takes() {
    let stage = Stage::new().await;
    // A task for each file, which it waits for until that is gone.
    let gates = tempfile::tempdir().expect("a folder");
    for task in 0..2 {
        let gate = gates.path().join(task.to_string());
        std::fs::write(gate, "").expect("a file");
    }
    let script = format!(
        "while test -e {}/$CLOUD_RUN_TASK_INDEX; do sleep 0.05; done",
        gates.path().display()
    );
    stage.deploy(&script, 2);
    let job = stage.job().await;
    let told = async {
        let looks = || {
            stage
                .server
                .calls("run.projects.locations.jobs.executions.get")
        };
        while looks().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(gates.path().join("0")).expect("removed");
        stage
            .until_told("tasks of work: 1 of 2 done, 1 running")
            .await;
        std::fs::remove_file(gates.path().join("1")).expect("removed");
    };
    let db = db();
    let (done, ()) = tokio::join!(job.run(&stage.ctx, &db), told);
    done.expect("done");
    let told = stage.lines();
    let line = told.iter().find(|line| line.contains("1 of 2 done"));
    assert!(
        line.is_some_and(|line| line.contains(", about ") && line.ends_with(" left")),
        "{told:?}"
    );
}

#[tokio::test]
async fn arguments_can_be_taken_away() {
    let stage = Stage::new().await;
    stage.deploy("echo \"arguments: [$*]\"", 1);
    let mut job = stage.job().await;
    job.run(&stage.ctx, &db()).await.expect("done");
    stage.until_told("arguments: [own]").await;
    job.mark = StepMark::once("load/other");
    job.overrides.args = Some(Vec::new());
    job.run(&stage.ctx, &db()).await.expect("done");
    stage.until_told("arguments: []").await;
}

#[tokio::test]
async fn a_failure_comes_with_counts_and_the_last_lines() {
    let stage = Stage::new().await;
    stage.deploy(
        "for n in $(seq 30); do echo line $n; done; exit $((CLOUD_RUN_TASK_INDEX == 1 ? 3 : 0))",
        2,
    );
    let job = stage.job().await;
    let error = job.run(&stage.ctx, &db()).await.expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::Program);
    let said = error.to_string();
    for part in [
        "1 of 2 tasks failed",
        "-task1 failed with message",
        "exit code 3",
        "its last lines:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        said.contains("line 30") && !said.contains(": line 1\n"),
        "{said}"
    );
    let advice = error.advice().expect("advice");
    assert!(
        advice.contains("gcloud run jobs executions describe work-"),
        "{advice}"
    );
    // A step that failed is done anew.
    job.run(&stage.ctx, &db()).await.expect_err("failed again");
    assert_eq!(stage.executions().len(), 2);
}

#[tokio::test]
async fn a_deadline_cancels_the_execution() {
    let stage = Stage::new().await;
    stage.deploy("echo begun; exec sleep 600", 2);
    let mut job = stage.job().await;
    job.limit = Duration::from_secs(2);
    let error = job.run(&stage.ctx, &db()).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    assert!(error.to_string().contains("begun"), "{error:?}");
    let advice = error.advice().expect("advice");
    assert!(advice.ends_with("was cancelled"), "{advice}");
    let execution = &stage.executions()[0];
    assert_eq!(execution["cancelledCount"], 2, "{execution}");
    assert_eq!(execution["conditions"][0]["executionReason"], "CANCELLED");
}

#[tokio::test]
async fn the_operators_stop_cancels_the_execution() {
    let stage = Stage::new().await;
    stage.deploy("echo begun; exec sleep 600", 1);
    let job = stage.job().await;
    let stop = async {
        stage.until_told(": begun").await;
        stage.ctx.stop.cancel();
    };
    let database = db();
    let (ended, ()) = tokio::join!(job.run(&stage.ctx, &database), stop);
    let error = ended.expect_err("stopped");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    assert_eq!(stage.executions()[0]["cancelledCount"], 1);
}

#[tokio::test]
async fn what_runs_have_begun_is_ended_and_nothing_else() {
    let stage = Stage::new().await;
    stage.deploy("echo begun; exec sleep 600", 1);
    let job = stage.job().await;
    let database = db();
    let others = Ctx::new(RunId::generate(), stage.ctx.events.clone());
    for (before, ctx) in [&stage.ctx, &others].into_iter().enumerate() {
        // Whoever waited is gone in the middle.
        tokio::select! {
            ended = job.run(ctx, &database) => panic!("{ended:?}"),
            () = stage.until_told_times("was begun", before + 1) => {}
        }
    }
    let runs = [stage.ctx.run.clone(), RunId::generate()];
    let ended = job.cancel_of(&Ctx::quiet(), &runs).await.expect("ended");
    let cancelled = |execution: &serde_json::Value| execution["cancelledCount"] == 1;
    let all = stage.executions();
    let of_run: Vec<_> = all.iter().filter(|e| cancelled(e)).collect();
    assert_eq!((ended.len(), of_run.len(), all.len()), (1, 1, 2), "{all:?}");
    let name = of_run[0]["name"].as_str().expect("a name");
    assert!(name.ends_with(&ended[0]), "{name} {ended:?}");
    assert!(of_run[0].to_string().contains(stage.ctx.run.as_str()));
    let again = job.cancel_of(&Ctx::quiet(), &runs).await.expect("none");
    assert!(again.is_empty(), "{again:?}");
}

#[tokio::test]
async fn a_resumed_run_finds_what_it_began() {
    let stage = Stage::new().await;
    let gate = tempfile::tempdir().expect("a folder");
    let go = gate.path().join("go").display().to_string();
    stage.deploy(&format!("until test -e {go}; do sleep 0.05; done"), 1);
    let job = stage.job().await;
    let database = db();
    // Whoever waited is gone in the middle.
    tokio::select! {
        ended = job.run(&stage.ctx, &database) => panic!("{ended:?}"),
        () = stage.until_told("was begun") => {}
    }
    let again = async {
        stage.until_told("was begun before, and goes on").await;
        std::fs::write(&go, "").expect("written");
    };
    let (ended, ()) = tokio::join!(job.run(&stage.ctx, &database), again);
    ended.expect("done");
    job.run(&stage.ctx, &db()).await.expect("done before");
    stage.until_told("has succeeded before").await;
    assert_eq!(stage.executions().len(), 1);
    // Another step, another database and another run are others; and so is one that is done each time.
    let mut other = job.clone();
    other.mark = StepMark::once("load/other");
    other.run(&stage.ctx, &db()).await.expect("done");
    let mut elsewhere = db();
    elsewhere.uid = "43".to_owned();
    job.run(&stage.ctx, &elsewhere).await.expect("done");
    job.run(&Ctx::quiet(), &db()).await.expect("done");
    other.mark.each_time = true;
    other.run(&stage.ctx, &db()).await.expect("done");
    assert_eq!(stage.executions().len(), 5);
}

#[tokio::test]
async fn an_answer_that_is_lost_begins_no_second_execution() {
    for strike in [
        Strike::CloseAfter,
        Strike::Truncate,
        Strike::answer(503, "later"),
    ] {
        let stage = Stage::new().await;
        stage.deploy("echo work", 1);
        let method = "run.projects.locations.jobs.run";
        let struck = stage.server.fault(Fault::once(method, strike.clone()));
        let quota = ApiError::new(429, "Quota exceeded");
        let listed = "run.projects.locations.jobs.executions.list";
        stage
            .server
            .fault(Fault::once(listed, Strike::Answer(quota)));
        let ended = stage.job().await.run(&stage.ctx, &db()).await;
        ended.unwrap_or_else(|e| panic!("{strike:?}: {e:?}"));
        assert_eq!(struck.struck(), 1);
        assert_eq!(stage.executions().len(), 1, "{strike:?}");
    }
}

#[tokio::test]
async fn a_token_that_expires_on_the_way_is_replaced() {
    let stage = Stage::new().await;
    stage.deploy("echo work", 1);
    for method in ["jobs.run", "jobs.executions.get"] {
        let method = format!("run.projects.locations.{method}");
        stage
            .server
            .fault(Fault::once(&method, Strike::ExpireTokens));
    }
    stage
        .job()
        .await
        .run(&stage.ctx, &db())
        .await
        .expect("done");
    assert_eq!(stage.executions().len(), 1);
    let refused = stage.server.requests().into_iter();
    assert_eq!(
        refused
            .filter(|request| request.status == Some(401))
            .count(),
        2
    );
}

#[tokio::test]
async fn what_is_not_allowed_is_said() {
    let stage = Stage::new().await;
    stage.deploy("echo work", 1);
    stage.server.deny("run.projects.locations.jobs.run");
    let error = stage
        .job()
        .await
        .run(&stage.ctx, &db())
        .await
        .expect_err("403");
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(
        error.chain().contains("could not execute the job \"work\""),
        "{error:?}"
    );
    assert!(
        error.advice().expect("advice").contains("need a role"),
        "{error:?}"
    );
    stage.server.allow("run.projects.locations.jobs.run");
    // What cannot be followed is not left running.
    stage.deploy("exec sleep 600", 1);
    let get = "run.projects.locations.jobs.executions.get";
    let refused = Strike::answer(403, "Permission denied");
    stage.server.fault(Fault::once(get, refused));
    let ended = stage.job().await.run(&stage.ctx, &db()).await;
    let error = ended.expect_err("403");
    let advice = error.advice().expect("advice");
    assert!(
        advice.contains("need a role") && advice.ends_with("was cancelled"),
        "{error:?}"
    );
    assert_eq!(stage.executions()[0]["cancelledCount"], 1);
    stage.deploy("echo work", 1);
    // A log that may not be read is no failure.
    stage.server.deny("logging.entries.list");
    stage
        .job()
        .await
        .run(&stage.ctx, &db())
        .await
        .expect("done");
    stage
        .until_told("the log of the execution cannot be read")
        .await;
    let mut job = stage.job().await;
    job.job = "nothing".to_owned();
    let error = job.run(&stage.ctx, &db()).await.expect_err("404");
    assert!(error.chain().contains("nothing"), "{error:?}");
}

#[tokio::test]
async fn a_long_log_is_passed_on_once_page_by_page() {
    let stage = Stage::new().await;
    stage.deploy("for n in $(seq 2500); do echo \"row $n.\"; done", 2);
    let listed = "logging.entries.list";
    let fault = Fault::once(listed, Strike::answer(503, "later"));
    stage.server.fault(fault);
    let job = stage.job().await;
    job.run(&stage.ctx, &db()).await.expect("done");
    let lines = stage.lines();
    let mut rows: Vec<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once(": row ")?.1))
        .collect();
    assert_eq!(rows.len(), 5000);
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), 2500);
    // Of each task they come in order.
    let first = lines.iter().filter(|line| line.contains("/0: row "));
    let numbers: Vec<u32> = first
        .filter_map(|line| {
            line.split_once(": row ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        })
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(stage.server.calls(listed).len() > 5);
}

#[tokio::test]
async fn an_execution_that_cannot_be_cancelled_is_named() {
    let stage = Stage::new().await;
    stage.deploy("exec sleep 600", 1);
    stage
        .server
        .deny("run.projects.locations.jobs.executions.cancel");
    let mut job = stage.job().await;
    job.limit = Duration::from_secs(1);
    let error = job.run(&stage.ctx, &db()).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    let advice = error.advice().expect("advice");
    let by_hand = "gcloud run jobs executions cancel work-";
    assert!(
        advice.contains("may go on") && advice.contains(by_hand),
        "{advice}"
    );
}
