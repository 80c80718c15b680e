//! Finding programs among real and made-up ones; running the real ones against a server.

use std::time::Instant;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::error::ErrorKind;
use crate::event::Ctx;
use crate::postgres::{LocalCluster, Session, application};
use crate::secret::Secret;
use crate::testing::{client_bin_dir, cluster, cluster_options, guarded_cluster};

const LIMIT: Duration = Duration::from_secs(60);
const PASSWORD: &str = r"hunter2:\ x";

/// A folder with a program that prints `version` when asked.
fn folder(name: &str, script: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
    dir
}

fn versioned(name: &str, version: &str) -> TempDir {
    folder(name, &format!("echo '{name} (PostgreSQL) {version}'"))
}

fn env(path: &[&TempDir]) -> Environment {
    let folders = path.iter().map(|dir| dir.path());
    let joined = std::env::join_paths(folders).expect("path");
    let joined = joined.into_string().expect("text");
    Environment::of([("PATH".to_owned(), format!(".:{joined}"))])
}

#[tokio::test]
async fn the_first_program_that_is_new_enough_is_taken() {
    let (old, new) = (
        versioned("pg_dump", "13.2"),
        versioned("pg_dump", "99beta1 (Some 99)"),
    );
    let broken = folder("pg_dump", "exit 3");
    let path = env(&[&broken, &old, &new]);
    let find = async |at_least| ClientTool::find("pg_dump", None, &path, at_least).await;
    let first = find(0).await.expect("13");
    assert_eq!((first.major, first.path), (13, old.path().join("pg_dump")));
    let tool = find(98).await.expect("99");
    assert_eq!(tool.path, new.path().join("pg_dump"));
    let facts = tool.facts();
    assert_eq!((facts.name.as_str(), facts.major), ("pg_dump", 99));
    assert_eq!(facts.version, "pg_dump (PostgreSQL) 99beta1 (Some 99)");

    let error = find(100).await.expect_err("none");
    assert!(error.is_refusal());
    let shown = error.to_string();
    for (dir, what) in [
        (&broken, "does not tell its version"),
        (&old, "is version 13"),
        (&new, "is version 99"),
    ] {
        let expected = format!("{} {what}", dir.path().join("pg_dump").display());
        assert!(shown.contains(&expected), "{shown}");
    }
    assert!(
        error
            .advice()
            .is_some_and(|hint| hint.contains("postgresql-client-100"))
    );
}

#[tokio::test]
async fn a_named_folder_is_the_only_one() {
    let (old, new) = (versioned("psql", "13.2"), versioned("psql", "99.1"));
    let path = env(&[&new]);
    let error = ClientTool::find("psql", Some(old.path()), &path, 14)
        .await
        .expect_err("too old");
    assert!(error.to_string().contains("is version 13"), "{error}");
    let empty = tempfile::tempdir().expect("folder");
    let error = ClientTool::find("psql", Some(empty.path()), &path, 0)
        .await
        .expect_err("empty");
    assert!(error.to_string().contains("has none"), "{error}");
    let found = ClientTool::find("psql", Some(old.path()), &path, 13).await;
    assert_eq!(found.expect("13").major, 13);
}

#[tokio::test]
async fn a_wrapper_that_picks_a_version_by_itself_is_passed_over() {
    let wrapper = folder("pg_wrapper", "echo 'psql (PostgreSQL) 98'");
    let link = wrapper.path().join("psql");
    std::os::unix::fs::symlink(wrapper.path().join("pg_wrapper"), &link).expect("link");
    let real = versioned("psql", "97");
    let found = ClientTool::find("psql", None, &env(&[&wrapper, &real]), 90).await;
    assert_eq!(found.expect("real").major, 97);
}

async fn tool(cluster: &LocalCluster, name: &str) -> ClientTool {
    let folder = client_bin_dir(cluster);
    ClientTool::find(
        name,
        Some(&folder),
        &Environment::default(),
        cluster.major(),
    )
    .await
    .expect(name)
}

fn args(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

/// A server that asks the role `ann` for a password.
async fn guarded() -> (LocalCluster, TempDir, Endpoint) {
    let hba = "local all postgres trust\nlocal all all scram-sha-256\n";
    let (cluster, dir) = guarded_cluster(hba, cluster_options())
        .await
        .expect("cluster");
    let admin = session(&cluster.endpoint("postgres")).await;
    let quoted = crate::postgres::literal(PASSWORD).expect("literal");
    for statement in [
        format!("create role ann login password {quoted}"),
        "create database \"it's = \\\" owner ann".to_owned(),
    ] {
        admin.batch_execute(&statement).await.expect(&statement);
    }
    let ann = Endpoint {
        user: "ann".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        ..cluster.endpoint("it's = \\")
    };
    (cluster, dir, ann)
}

async fn session(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "test").await.expect("session")
}

#[tokio::test]
async fn programs_log_in_with_the_password_of_the_endpoint() {
    let (cluster, _hba, ann) = guarded().await;
    session(&ann)
        .await
        .batch_execute("create table public.t (n int); insert into public.t values (7)")
        .await
        .expect("table");
    let ctx = Ctx::quiet();
    let sql = "select current_user || ' ' || current_setting('application_name') from t";
    let psql = tool(&cluster, "psql").await;
    let run = psql
        .run(&ctx, &ann, &args(&["--no-psqlrc", "-Atc", sql]), LIMIT)
        .await
        .expect("psql");
    let shown = String::from_utf8(run.stdout).expect("text");
    assert_eq!(shown, format!("ann {}\n", application(&ctx)));

    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("dump");
    let dump = tool(&cluster, "pg_dump").await;
    let output = ToolOutput::File(&file);
    dump.run_through(
        &ctx,
        Some(&ann),
        &args(&["-Fc"]),
        LIMIT,
        ToolInput::Nothing,
        output,
    )
    .await
    .expect("pg_dump");
    let mode = file.metadata().expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Without a connection; and through streams.
    let restore = tool(&cluster, "pg_restore").await;
    let mut sql = Vec::new();
    let (input, output) = (ToolInput::File(&file), ToolOutput::Writer(&mut sql));
    restore
        .run_through(&ctx, None, &args(&["--file=-"]), LIMIT, input, output)
        .await
        .expect("pg_restore");
    assert!(String::from_utf8_lossy(&sql).contains("CREATE TABLE public.t"));
    let elsewhere = Endpoint {
        database: "postgres".to_owned(),
        ..ann.clone()
    };
    let mut arguments = args(&["--no-psqlrc"]);
    arguments.push(ClientTool::database_argument(&ann));
    psql.run_through(
        &ctx,
        Some(&elsewhere),
        &arguments,
        LIMIT,
        ToolInput::Reader(&mut &b"insert into public.t values (8);"[..]),
        ToolOutput::Kept,
    )
    .await
    .expect("psql");
    let rows = session(&ann)
        .await
        .query("select n from public.t", &[])
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);

    let wrong = Endpoint {
        password: None,
        ..ann
    };
    let error = psql
        .run(&ctx, &wrong, &[], LIMIT)
        .await
        .expect_err("no password");
    assert!(
        error.to_string().contains("no password supplied"),
        "{error}"
    );
}

/// The processes that have `marker` among their arguments: their arguments and environment.
fn processes(marker: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir("/proc").expect("proc");
    let read =
        |path: PathBuf| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    entries
        .flatten()
        .filter_map(|entry| {
            let arguments = read(entry.path().join("cmdline")).ok()?;
            let environment = read(entry.path().join("environ")).ok()?;
            arguments
                .contains(marker)
                .then_some((arguments, environment))
        })
        .collect()
}

#[tokio::test]
async fn the_password_shows_neither_in_arguments_nor_in_the_environment() {
    let (cluster, _hba, ann) = guarded().await;
    let psql = tool(&cluster, "psql").await;
    let ctx = Ctx::quiet();
    let marker = format!("--set=marker={}", ctx.run);
    let arguments = args(&["--no-psqlrc", "-At", &marker]);
    let (mut to_psql, mut input) = tokio::io::duplex(1024);
    let (mut output, from_psql) = tokio::io::duplex(1024);
    let watch = async {
        to_psql.write_all(b"select 'ready';\n").await.expect("sent");
        let mut lines = BufReader::new(from_psql).lines();
        assert_eq!(
            lines.next_line().await.expect("answer").as_deref(),
            Some("ready")
        );
        let found = processes(&marker);
        assert_eq!(found.len(), 1, "{found:?}");
        let (shown, environment) = &found[0];
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!environment.contains("hunter2"), "{environment}");
        let passfile = environment
            .split('\0')
            .find_map(|variable| variable.strip_prefix("PGPASSFILE="))
            .expect("a password file")
            .to_owned();
        let mode = std::fs::metadata(&passfile)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(to_psql);
        passfile
    };
    let run = psql.run_through(
        &ctx,
        Some(&ann),
        &arguments,
        LIMIT,
        ToolInput::Reader(&mut input),
        ToolOutput::Writer(&mut output),
    );
    let (passfile, run) = tokio::join!(watch, run);
    run.expect("psql");
    let folder = Path::new(&passfile).parent().expect("folder");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_failure_shows_the_last_lines_and_leaves_no_file() {
    let cluster = cluster().await.expect("cluster");
    let endpoint = cluster.endpoint("postgres");
    let (psql, ctx) = (tool(&cluster, "psql").await, Ctx::quiet());
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("out");
    let sql = "do $$ begin raise exception E'red \\x1b[31m'; end $$";
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
