//! Every documented exit code, for a cause that has it. The refusals, code 3, are by themselves.

use std::fs;
use std::path::PathBuf;

use rebuild_core::model::{BackupId, RunId};
use rustix::process::Signal;

use crate::world::{ASIDE, IN_PLACE, Point, State, Target, World};

const EXPECT: &str = "expect = 17";

/// A program that can be stopped, and that starts only once it may.
const STUBBORN: &str = r#"
[[workload]]
name = "desk"
status = ["sh", "-c", "test -e running || exit 3"]
stop = ["rm", "running"]
start = ["sh", "-c", "test -e may-start && touch running"]
"#;

#[tokio::test]
async fn zero_when_done_and_one_when_rolled_back() {
    let world = World::start().await;
    for strategy in [ASIDE, IN_PLACE] {
        let name = strategy.replace('-', "_");
        let target = world.target(&name, strategy).await;
        let (old, oid) = (State::of(&target).await, target.oid().await);
        target.edit_spec(EXPECT, "expect = 18");
        let run = target.rebuild_json(&["run"]).await.expect(1);
        let report = run.json();
        assert_eq!(report["ending"], "rolled-back");
        let why = report["error"].as_str().expect("a reason");
        assert!(why.contains("17") && why.contains("18"), "{why}");
        world.settle().await;
        assert_eq!(target.oid().await, oid);
        State::of(&target).await.expect(&old, strategy);
        let left = world.databases().await;
        assert_eq!(left, [name], "nothing staged is left");

        target.edit_spec("expect = 18", EXPECT);
        let run = target.rebuild(&["run"]).await.expect(0);
        assert!(run.stdout.contains("rebuild purge"), "{}", run.stdout);
        assert_ne!(target.oid().await, oid);
        target.drop_databases().await;
    }
}

#[tokio::test]
async fn two_for_a_spec_or_a_command_line_that_is_wrong() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let before = world.catalog().await;
    target.edit_spec("end_sessions = true", "end_sesions = true");
    for verb in ["plan", "run", "status"] {
        let run = target.rebuild(&[verb]).await.expect(2);
        let place = run.stderr.lines().next().unwrap_or_default();
        assert!(place.contains("rebuild.toml:17:1"), "{}", run.stderr);
        assert!(run.stderr.contains("end_sessions"), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    target.rebuild(&["rebild"]).await.expect(2);
    target.rebuild(&["runs", "show", "run-1"]).await.expect(2);
    target
        .rebuild(&["--file", "none.toml", "plan"])
        .await
        .expect(2);
    target.edit_spec("end_sesions = true", "end_sessions = true");
    let (backup, run) = (
        BackupId::generate().to_string(),
        RunId::generate().to_string(),
    );
    for args in [
        &["backups", "check"][..],
        &["backups", "show", &backup],
        &["backups", "check", &backup],
        &["restore", &backup, "--into", "other"],
        &["runs", "show"],
        &["runs", "show", &run],
        &["rollback", &run],
    ] {
        let run = target.rebuild(args).await.expect(2);
        assert!(
            run.stderr.contains("in the store") || run.stderr.contains("no finished backup"),
            "{args:?}: {}",
            run.stderr
        );
    }
    assert_eq!(world.catalog().await, before);
}

#[tokio::test]
async fn four_when_halted_by_a_signal_and_resumed_then() {
    let world = World::start().await;
    for (name, signal) in [
        ("int", Signal::INT),
        ("term", Signal::TERM),
        ("hup", Signal::HUP),
    ] {
        let target = world.target(name, ASIDE).await;
        let oid = target.oid().await;
        let point = Point::new("step-started", "restore");
        let run = target.signal_at(&["run"], &point, signal).await.expect(4);
        let report = run.json();
        assert_eq!(report["ending"], "halted");
        let next = report["next"]
            .as_str()
            .expect("the next command")
            .to_owned();
        assert!(next.starts_with("rebuild resume run-"), "{next}");
        assert_eq!(target.oid().await, oid, "the old database is in service");
        world.settle().await;
        // The next command, as it is printed.
        let words: Vec<&str> = next.split(' ').skip(1).collect();
        target.rebuild(&words).await.expect(0);
        assert_ne!(target.oid().await, oid);
        target.drop_databases().await;
    }
}

/// `rebuild run 2>&1 | head -1`, and a terminal that was closed.
#[tokio::test]
async fn whether_somebody_reads_on_makes_no_difference() {
    let world = World::start().await;
    let target = world.target("unread", ASIDE).await;
    let oid = target.oid().await;
    assert_eq!(target.unread(&["run"], None).await, Some(0));
    let new = target.oid().await;
    assert_ne!(new, oid);
    assert_eq!(target.unread(&["run"], Some(Signal::HUP)).await, Some(4));
    assert_eq!(target.oid().await, new);
    world.settle().await;
    assert_eq!(target.unread(&["resume"], None).await, Some(0));
    assert_ne!(target.oid().await, new);
}

#[tokio::test]
async fn a_scheduler_goes_on_with_the_same_command() {
    let world = World::start().await;
    let target = world.target("evicted", ASIDE).await;
    let oid = target.oid().await;
    let same = ["run", "--or-resume"];
    let point = Point::new("step-started", "restore");
    let first = target.signal_at(&same, &point, Signal::TERM).await;
    let first = first.expect(4).json();
    world.settle().await;
    target.rebuild(&["run"]).await.expect(3);
    let second = target.rebuild_json(&same).await.expect(0).json();
    assert_eq!(second["run"], first["run"]);
    let new = target.oid().await;
    assert_ne!(new, oid);
    let third = target.rebuild_json(&same).await.expect(0).json();
    assert_ne!(third["run"], first["run"]);
    assert_ne!(target.oid().await, new);
    target.drop_databases().await;
}

#[tokio::test]
async fn five_when_the_way_back_is_blocked_and_zero_once_it_is_free() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let (old, oid) = (State::of(&target).await, target.oid().await);
    target.add_to_spec(STUBBORN);
    target.edit_spec(EXPECT, "expect = 18");
    let running = target.folder.join("running");
    fs::write(&running, "").expect("a file");
    let run = target.rebuild_json(&["run"]).await.expect(5);
    let report = run.json();
    assert_eq!(report["ending"], "stuck");
    let next = report["next"]
        .as_str()
        .expect("the next command")
        .to_owned();
    assert!(next.starts_with("rebuild rollback run-"), "{next}");
    assert!(!running.exists());

    fs::write(target.folder.join("may-start"), "").expect("a file");
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    target.rebuild(&words).await.expect(0);
    assert!(running.exists(), "the workload runs again");
    world.settle().await;
    assert_eq!(target.oid().await, oid);
    State::of(&target).await.expect(&old, "after the rollback");
    assert_eq!(world.databases().await, ["app"]);
}

#[tokio::test]
async fn six_for_a_difference() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    // The live database has not got the column that the spec asks for.
    let run = target.rebuild(&["verify"]).await.expect(6);
    assert!(run.stdout.contains("memory_gib"), "{}", run.stdout);

    target.rebuild(&["backup"]).await.expect(0);
    target.rebuild(&["backups", "check"]).await.expect(0);
    for file in files_of_the_backup(&target) {
        flip(&file);
        let run = target.rebuild(&["backups", "check"]).await;
        assert_eq!(run.code(), Some(6), "{}: {run:?}", file.display());
        flip(&file);
    }
    target.rebuild(&["backups", "check"]).await.expect(0);
}

#[tokio::test]
async fn seven_when_the_server_is_down() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target.edit_spec("url = \"\"", "url = \"port=1\"");
    for verb in ["plan", "run", "status", "verify", "backup"] {
        let run = target.rebuild(&[verb]).await.expect(7);
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = target.rebuild_json(&["run"]).await.expect(7);
    assert!(run.stderr.contains("\"Unreachable\""), "{}", run.stderr);
    assert!(!target.store().join("runs").exists(), "no run began");
}

/// Of each kind of file that the only backup has, the first.
fn files_of_the_backup(target: &Target<'_>) -> Vec<PathBuf> {
    let backups = target.store().join("backups");
    let folder = entries(&backups).pop().expect("a backup");
    let mut files = entries(&folder);
    let folders: Vec<PathBuf> = files.extract_if(.., |f| f.is_dir()).collect();
    assert!(!folders.is_empty());
    files.extend(folders.iter().map(|f| entries(f).remove(0)));
    assert!(files.len() >= 8, "{files:?}");
    files
}

fn entries(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    all.sort();
    all
}

/// Flips one bit in the middle; twice is as before.
fn flip(file: &std::path::Path) {
    let mut bytes = fs::read(file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("a file");
}
