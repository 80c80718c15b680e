//! How runs of the programs end.

use super::*;

#[tokio::test]
async fn a_failure_shows_the_last_lines_and_leaves_no_file() {
    let cluster = cluster().await.expect("cluster");
    let endpoint = cluster.endpoint("postgres");
    let (psql, ctx) = (tool(&cluster, "psql").await, Ctx::quiet());
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("out");
    let sql = "do $$ begin
        raise exception E'red \\x1b[31m' using detail = 'what a row holds'; end $$";
    let arguments = args(&[
        "--no-psqlrc",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "select 1",
        "-c",
        sql,
    ]);
    let fails = psql
        .run_through(
            &ctx,
            Some(&endpoint),
            &arguments,
            LIMIT,
            ToolInput::Nothing,
            ToolOutput::File(&file),
        )
        .await;
    let error = fails.expect_err("raised");
    assert_eq!(error.kind(), ErrorKind::Program);
    let shown = error.to_string();
    assert!(
        shown.contains("exit code") && shown.contains("red \\u{1b}[31m"),
        "{shown}"
    );
    assert!(!shown.contains("what a row holds"), "{shown}");
    assert!(!file.exists());

    std::fs::write(&file, "someone's").expect("file");
    let output = ToolOutput::File(&file);
    let refused = psql
        .run_through(
            &ctx,
            Some(&endpoint),
            &[],
            LIMIT,
            ToolInput::Nothing,
            output,
        )
        .await;
    assert_eq!(refused.expect_err("there").kind(), ErrorKind::Io);
    assert_eq!(std::fs::read(&file).expect("kept"), b"someone's");

    let sql = "select repeat('x', 1 << 20) from generate_series(1, 65)";
    let arguments = args(&["--no-psqlrc", "-Atc", sql]);
    let error = psql.run(&ctx, &endpoint, &arguments, LIMIT).await;
    let error = error.expect_err("65 MiB");
    assert!(
        error.chain().contains("larger than 67108864 bytes"),
        "{error:?}"
    );
}

#[tokio::test]
async fn nothing_is_left_running_after_a_deadline_a_stop_or_a_drop() {
    let cluster = cluster().await.expect("cluster");
    let endpoint = cluster.endpoint("postgres");
    let psql = tool(&cluster, "psql").await;
    let ctx = Ctx::quiet();
    let marker = format!("--set=marker={}", ctx.run);
    let arguments = args(&["--no-psqlrc", &marker, "-c", "select pg_sleep(600)"]);
    let began = Instant::now();

    let error = psql
        .run(&ctx, &endpoint, &arguments, Duration::from_millis(500))
        .await
        .expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!(processes(&marker), []);

    let (begun, dropped) = (
        until(|| !processes(&marker).is_empty()),
        psql.run(&ctx, &endpoint, &arguments, LIMIT),
    );
    tokio::select! {
        () = begun => {}
        ended = dropped => panic!("{ended:?}"),
    }
    until(|| processes(&marker).is_empty()).await;

    let stop = async {
        until(|| !processes(&marker).is_empty()).await;
        ctx.stop.cancel();
    };
    let (run, ()) = tokio::join!(psql.run(&ctx, &endpoint, &arguments, LIMIT), stop);
    assert_eq!(run.expect_err("stopped").kind(), ErrorKind::Interrupted);
    assert_eq!(processes(&marker), []);
    let run = psql.run(&ctx, &endpoint, &arguments, LIMIT).await;
    assert_eq!(
        run.expect_err("stopped before").kind(),
        ErrorKind::Interrupted
    );
    assert!(began.elapsed() < LIMIT);
}

/// Looks until `done`, and fails when that takes too long.
async fn until(done: impl Fn() -> bool) {
    let look = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.expect("in time");
}

#[tokio::test]
async fn a_program_that_exits_is_not_held_up_by_its_input() {
    let cluster = cluster().await.expect("cluster");
    let psql = tool(&cluster, "psql").await;
    let (_never_written, mut input) = tokio::io::duplex(16);
    let run = psql
        .run_through(
            &Ctx::quiet(),
            Some(&cluster.endpoint("postgres")),
            &args(&["--no-psqlrc", "-Atc", "select 1"]),
            LIMIT,
            ToolInput::Reader(&mut input),
            ToolOutput::Kept,
        )
        .await
        .expect("psql");
    assert_eq!(run.stdout, b"1\n");
}
