//! Real programs: shell scripts, and whatever they start.

use std::sync::Arc;
use std::time::Instant as Clock;

use tempfile::TempDir;

use super::*;
use crate::event::{Collected, EventKind, Events};
use crate::model::RunId;

const LONG: Duration = Duration::from_secs(60);

fn script(dir: &TempDir, text: &str) -> Invocation {
    Invocation {
        name: "step".to_owned(),
        argv: ["/bin/sh", "-c", text].map(ToOwned::to_owned).to_vec(),
        env: Vec::new(),
        secret_env: Vec::new(),
        cwd: dir.path().to_owned(),
        limit: LONG,
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn watched() -> (Ctx, Arc<Collected>) {
    let seen = Arc::new(Collected::default());
    let ctx = Ctx::new(
        RunId::generate(),
        Events::new(None, vec![seen.clone() as Arc<dyn crate::event::Sink>]),
    );
    (ctx, seen)
}

/// Waits until the script has written this file, and returns the process ids in it.
async fn pids(dir: &TempDir, name: &str) -> Vec<i32> {
    let path = dir.path().join(name);
    let deadline = Clock::now() + LONG;
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.ends_with('\n') {
            return text
                .split_whitespace()
                .map(|pid| pid.parse().expect("a process id"))
                .collect();
        }
        assert!(Clock::now() < deadline, "{name} was not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// True while the process runs; one that waits to be reaped does not.
fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

async fn gone(pids: &[i32]) {
    let deadline = Clock::now() + LONG;
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(Clock::now() < deadline, "still there: {pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn exit_codes_and_output_come_back() {
    let dir = folder();
    let (ctx, seen) = watched();
    let done = run(&ctx, &script(&dir, "echo out; echo err >&2; exit 3"))
        .await
        .expect("it ran");
    assert_eq!(
        done,
        Finished {
            code: 3,
            stdout_tail: "out".to_owned(),
            stderr_tail: "err".to_owned()
        }
    );
    let mut lines: Vec<String> = seen
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Output { program, line } => Some(format!("{program}: {line}")),
            _ => None,
        })
        .collect();
    lines.sort();
    assert_eq!(lines, ["step: err", "step: out"]);
    let killed = run(&ctx, &script(&dir, "kill -9 $$")).await.expect("ran");
    assert_eq!(killed.code, 137);
}

#[tokio::test]
async fn a_failure_shows_the_last_lines() {
    let dir = folder();
    let ctx = Ctx::quiet();
    let error = run_ok(&ctx, &script(&dir, "echo not this; echo why >&2; exit 4"))
        .await
        .expect_err("a failure");
    assert_eq!(error.kind(), ErrorKind::Program);
    assert_eq!(
        error.to_string(),
        "step ended with exit code 4; its last lines:\nwhy"
    );
    run_ok(&ctx, &script(&dir, "true")).await.expect("success");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named_with_advice() {
    let dir = folder();
    std::fs::write(dir.path().join("data"), "no program").expect("file");
    let ctx = Ctx::quiet();
    for (program, advice) in [
        ("no-such-program-anywhere", "install"),
        ("./missing", "relative"),
        ("./data", "chmod"),
    ] {
        let mut invocation = script(&dir, "");
        invocation.argv = vec![program.to_owned()];
        let error = run(&ctx, &invocation).await.expect_err("no program");
        assert_eq!(error.kind(), ErrorKind::Program);
        assert!(error.to_string().contains(program), "{error}");
        assert!(
            error.advice().is_some_and(|a| a.contains(advice)),
            "{error:?}"
        );
    }
    let mut invocation = script(&dir, "true");
    invocation.cwd = dir.path().join("missing");
    let error = run(&ctx, &invocation).await.expect_err("no folder");
    assert!(error.to_string().contains("no such folder"), "{error}");
    invocation = script(&dir, "true");
    invocation.argv.clear();
    let error = run(&ctx, &invocation).await.expect_err("no argv");
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_relative_program_is_found_in_a_relative_folder() {
    // Cargo runs tests in the package's folder.
    let mut invocation = script(&folder(), "");
    invocation.cwd = "../../examples/kidney-genetics".into();
    invocation.argv = ["./service.sh", "status", "backend"]
        .map(ToOwned::to_owned)
        .to_vec();
    let services = folder();
    let path = services.path().display().to_string();
    invocation.env = vec![("KIDNEY_SERVICES".to_owned(), path)];
    let done = run(&Ctx::quiet(), &invocation).await.expect("it ran");
    assert_eq!(done.code, 3, "{done:?}");
}

#[tokio::test]
async fn the_folder_the_input_and_the_environment_are_as_asked() {
    let dir = folder();
    let mut invocation = script(
        &dir,
        "pwd; cat; echo \"$GIVEN $PGHOST ${HOME:+home}\"; env | grep -c '^PG' ",
    );
    invocation.env = vec![
        ("GIVEN".to_owned(), "yes".to_owned()),
        ("PGHOST".to_owned(), "there".to_owned()),
    ];
    let done = run(&Ctx::quiet(), &invocation).await.expect("ran");
    let here = dir.path().canonicalize().expect("path");
    assert_eq!(
        done.stdout_tail,
        format!("{}\nyes there home\n1", here.display())
    );
}

#[tokio::test]
async fn secrets_are_given_and_not_shown() {
    let dir = folder();
    let (ctx, seen) = watched();
    let mut invocation = script(&dir, "echo \"it is $TOKEN\"; echo \"$TOKEN\" >&2; exit 1");
    invocation.secret_env = vec![("TOKEN".to_owned(), Secret::new("tr0ub4dor&3"))];
    let error = run_ok(&ctx, &invocation).await.expect_err("exit 1");
    assert_eq!(
        error.to_string(),
        "step ended with exit code 1; its last lines:\n***"
    );
    let all = format!("{:?} {error:?} {invocation:?}", seen.events());
    assert!(all.contains("it is ***") && !all.contains("tr0ub"), "{all}");
}

/// A shell with a child and a grandchild that ignores SIGTERM.
const FAMILY: &str = "sh -c 'trap \"\" TERM; sleep 600 & echo $! $$ > young; mv young inner; wait' & \
                      echo $$ $! > old; mv old outer; wait; sleep 600";

#[tokio::test]
async fn the_deadline_ends_grandchildren_too() {
    let dir = folder();
    let ctx = Ctx::quiet();
    let mut invocation = script(&dir, FAMILY);
    invocation.limit = Duration::from_secs(1);
    let began = Clock::now();
    let error = run(&ctx, &invocation).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(began.elapsed() >= invocation.limit, "{:?}", began.elapsed());
    let mut all = pids(&dir, "outer").await;
    all.extend(pids(&dir, "inner").await);
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|pid| !runs(*pid)), "left: {all:?}");
}

#[tokio::test]
async fn the_operator_ends_it() {
    let dir = folder();
    let ctx = Ctx::quiet();
    let invocation = script(
        &dir,
        "trap 'echo bye; exit 0' TERM; echo $$ > p; sleep 600 & wait",
    );
    let (ended, pids) = tokio::join!(run(&ctx, &invocation), async {
        let pids = pids(&dir, "p").await;
        ctx.stop.cancel();
        pids
    });
    assert_eq!(ended.expect_err("stopped").kind(), ErrorKind::Interrupted);
    assert!(!runs(pids[0]));
    let again = run(&ctx, &invocation).await.expect_err("not even begun");
    assert_eq!(again.kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_dropped_future_ends_it() {
    let dir = folder();
    let ctx = Ctx::quiet();
    let invocation = script(&dir, FAMILY);
    let family = async {
        let mut all = pids(&dir, "outer").await;
        all.extend(pids(&dir, "inner").await);
        all
    };
    let all = tokio::select! {
        ended = run(&ctx, &invocation) => panic!("{ended:?}"),
        all = family => all,
    };
    gone(&all).await;
}

/// The same test in two processes: the second only runs a program until it is killed.
#[tokio::test]
async fn a_process_that_is_killed_takes_its_programs_along() {
    const OWNER: &str = "REBUILD_TEST_RUNS_A_FAMILY";
    if let Some(dir) = std::env::var_os(OWNER) {
        let mut invocation = script(&folder(), FAMILY);
        invocation.cwd = dir.into();
        let ended = run(&Ctx::quiet(), &invocation).await;
        panic!("not killed: {ended:?}");
    }
    let dir = folder();
    let mut owner = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .arg("--exact")
        .arg("command::run::tests::a_process_that_is_killed_takes_its_programs_along")
        .env(OWNER, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("owner");
    let mut all = pids(&dir, "outer").await;
    all.extend(pids(&dir, "inner").await);
    assert!(all.len() == 4 && all.iter().all(|pid| runs(*pid)));
    owner.kill().await.expect("killed");
    gone(&all).await;
}

#[tokio::test]
async fn what_is_left_behind_is_ended_and_does_not_hold_us_up() {
    let dir = folder();
    let (ctx, seen) = watched();
    let began = Clock::now();
    let done = run(&ctx, &script(&dir, "sleep 600 & echo $! > left; echo done"))
        .await
        .expect("ran");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!((done.code, done.stdout_tail.as_str()), (0, "done"));
    let left = pids(&dir, "left").await;
    assert!(!runs(left[0]));
    assert!(format!("{:?}", seen.events()).contains("left processes behind"));
}

#[tokio::test]
async fn a_process_that_left_the_group_lives_on_and_does_not_hold_us_up() {
    let dir = folder();
    let began = Clock::now();
    let done = run(
        &Ctx::quiet(),
        &script(
            &dir,
            "setsid sh -c 'echo $$ > p; exec sleep 600' & while ! test -s p; do :; done",
        ),
    )
    .await
    .expect("ran");
    assert_eq!(done.code, 0);
    assert!(began.elapsed() < Duration::from_secs(30));
    let away = pids(&dir, "p").await;
    assert!(runs(away[0]), "a service that detached itself was ended");
    let pid = rustix::process::Pid::from_raw(away[0]).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

/// The most memory this process has had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .expect("VmHWM");
    line.split_whitespace()
        .nth(1)
        .expect("KiB")
        .parse()
        .expect("a number")
}

#[tokio::test]
async fn a_gigabyte_of_output_takes_no_memory() {
    let dir = folder();
    let before = most_memory();
    for text in [
        // One endless line, and short ones.
        "head -c 1000000000 /dev/zero | tr '\\0' x",
        "yes 'one of very many lines, of an ordinary length for a program that prints a lot of them, \
         to the end of the day and then some more' | head -c 200000000",
    ] {
        let done = run(&Ctx::quiet(), &script(&dir, text)).await.expect("ran");
        assert_eq!(done.code, 0);
        assert!(!done.stdout_tail.is_empty());
        assert!(done.stdout_tail.len() <= 100 * 9 * 1024);
    }
    let grown = most_memory() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
}
