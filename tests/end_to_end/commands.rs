//! The verbs, one after the other, as somebody would use them.

use std::fs;

use rebuild_core::testing;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{ASIDE, Point, Run, State, Target, World};

/// Runs `rebuild ARGS` for a program: one JSON value on stdout, and JSON lines alone on stderr.
async fn data(target: &Target<'_>, args: &[&str]) -> Value {
    let run = target.rebuild_json(args).await.expect(0);
    only_json_lines(&run);
    run.json()
}

fn only_json_lines(run: &Run) {
    for line in run.stderr.lines() {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|e| panic!("not JSON on stderr ({e}): {line:?}"));
        assert!(value.is_object(), "{line}");
    }
}

/// Runs `rebuild ARGS` for a person, and returns what it printed on stdout.
async fn text(target: &Target<'_>, args: &[&str]) -> String {
    target.rebuild(args).await.expect(0).stdout
}

#[tokio::test]
async fn from_init_to_a_kept_plan_to_a_run() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let init = ["--file", "mine.toml", "init", "--store", "mine"];
    let said = text(&target, &init).await;
    assert!(said.contains("rebuild -f mine.toml plan"), "{said}");
    target.rebuild(&init).await.expect(3);
    let spec = fs::read_to_string(target.folder.join("mine.toml")).expect("the spec");
    assert!(spec.contains("\"app\" on PostgreSQL"), "{spec}");

    let plan = text(&target, &["-f", "mine.toml", "plan", "--out", "plan.json"]).await;
    assert!(plan.contains("verify the new database"), "{plan}");
    let kept: Value =
        serde_json::from_slice(&fs::read(target.folder.join("plan.json")).expect("the kept plan"))
            .expect("JSON");
    let shown = data(&target, &["-f", "mine.toml", "plan"]).await;
    assert_eq!(kept["digest"], shown["digest"]);

    let (old, oid) = (State::of(&target).await, target.oid().await);
    let report = data(&target, &["-f", "mine.toml", "run", "--plan", "plan.json"]).await;
    assert_eq!(report["ending"], "done");
    assert_ne!(target.oid().await, oid);
    // Its schema comes from the backup, so all of it is as it was.
    State::of(&target).await.expect(&old, "after the run");
}

#[tokio::test]
async fn a_run_is_shown_verified_rolled_back_and_purged() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let status = data(&target, &["status"]).await;
    assert_eq!(
        status["survey"]["inventory"]["database"]["identity"]["name"],
        "app"
    );
    let status = text(&target, &["status"]).await;
    assert!(status.contains("memory_gib"), "the drift: {status}");
    let old = State::of(&target).await;
    let oid = target.oid().await;

    let first = data(&target, &["run"]).await["run"]
        .as_str()
        .expect("an id")
        .to_owned();
    data(&target, &["verify"]).await;
    let listed = data(&target, &["runs", "list"]).await;
    assert_eq!(listed[0]["id"], first.as_str());
    let shown = data(&target, &["runs", "show", &first]).await;
    let steps = shown["steps"].as_array().expect("its steps");
    assert!(steps.len() >= 9);
    assert!(steps.iter().all(|s| s["status"] == "done"), "{steps:?}");
    assert_eq!(text(&target, &["runs", "list"]).await.lines().count(), 1);
    assert!(
        text(&target, &["runs", "show"])
            .await
            .contains("check-backup")
    );

    data(&target, &["rollback"]).await;
    world.settle().await;
    assert_eq!(target.oid().await, oid);
    State::of(&target).await.expect(&old, "after the rollback");

    let second = data(&target, &["run"]).await["run"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_ne!(first, second);
    let wait = target.rebuild(&["purge", &second]).await.expect(3);
    assert!(wait.stderr.contains("--now"), "{}", wait.stderr);
    target
        .rebuild(&["purge", &second, "--now", "--confirm", "ap"])
        .await
        .expect(3);
    assert!(target.name_of(oid).await.is_some());
    let gone = data(&target, &["purge", &second, "--now", "--confirm", "app"]).await;
    assert!(
        gone.as_str().expect("a name").starts_with("app_old_"),
        "{gone}"
    );
    assert_eq!(target.name_of(oid).await, None);
    data(&target, &["purge", &second, "--now"]).await;
    let late = target.rebuild(&["rollback", &second]).await.expect(3);
    assert!(late.stderr.contains("purged"), "{}", late.stderr);
    let listed = text(&target, &["runs", "list"]).await;
    assert!(
        listed.contains("purged") && listed.contains("rolled back"),
        "{listed}"
    );
}

#[tokio::test]
async fn rows_written_to_the_new_database_are_not_taken_away_unasked() {
    let world = World::start().await;
    for strategy in [ASIDE, crate::world::IN_PLACE] {
        let target = world.target(&strategy.replace('-', "_"), strategy).await;
        let oid = target.oid().await;
        data(&target, &["run"]).await;
        target
            .sql("insert into public.host (name, rack) values ('new', 1)")
            .await;
        let refused = target.rebuild(&["rollback"]).await.expect(3);
        assert!(refused.stderr.contains("public.host"), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("--accept-writes"),
            "{}",
            refused.stderr
        );
        assert_ne!(target.oid().await, oid);
        let new = target.oid().await;
        data(&target, &["rollback", "--accept-writes"]).await;
        world.settle().await;
        assert_eq!(target.oid().await, oid, "{strategy}");
        let kept = target.name_of(new).await.expect("the new database is kept");
        let open = format!("alter database {kept:?} allow_connections true");
        world
            .admin()
            .await
            .batch_execute(&open)
            .await
            .expect("opened");
        let session = world.session(&kept).await;
        let rows = session
            .query("select from public.host where name = 'new'", &[])
            .await;
        assert_eq!(rows.expect("its rows").len(), 1, "{strategy}");
    }
}

#[tokio::test]
async fn a_backup_is_proven_by_a_restore() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    data(&target, &["backup"]).await;
    let programs = world.cluster().bin_dir().display().to_string();
    let args = ["backups", "check", "--server-programs", programs.as_str()];
    target.rebuild(&args).await.expect(2);
    let args = [&args[..], &["--restore"]].concat();
    let (old, before) = (State::of(&target).await, world.databases().await);
    let said = text(&target, &args).await;
    for line in [
        "ok    restore (into a throwaway server of PostgreSQL",
        "ok    restored content (",
        "ok    restored sequences (",
        "ok    restored indexes (",
    ] {
        assert!(said.contains(line), "{said}");
    }
    // A stop in the middle of it leaves nothing to go on with.
    for step in ["check-backup", "restore"] {
        let at = Point::new("step-started", step);
        target.signal_at(&args, &at, Signal::INT).await.expect(4);
    }
    assert_eq!(world.databases().await, before);
    State::of(&target).await.expect(&old, "after the checks");

    let nowhere = target.folder.display().to_string();
    let args = [
        "backups",
        "check",
        "--restore",
        "--server-programs",
        &nowhere,
    ];
    let missing = target.rebuild(&args).await.expect(7);
    assert!(
        missing.stderr.contains("has no initdb"),
        "{}",
        missing.stderr
    );
}

#[tokio::test]
async fn backups_are_taken_shown_checked_exported_restored_and_pruned() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let old = State::of(&target).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let taken = data(&target, &["backup"]).await;
        ids.push(taken[0]["id"].as_str().expect("an id").to_owned());
    }
    let listed = data(&target, &["backups", "list"]).await;
    assert_eq!(listed.as_array().expect("a list").len(), 2);
    assert_eq!(listed[0]["id"], ids[1].as_str(), "the newest first");
    assert_eq!(text(&target, &["backups", "list"]).await.lines().count(), 2);
    let shown = data(&target, &["backups", "show", &ids[0]]).await;
    assert_eq!(shown["tables"].as_array().expect("tables").len(), 5);
    assert!(
        text(&target, &["backups", "show", &ids[0]])
            .await
            .contains("public.person")
    );
    data(&target, &["backups", "check"]).await;
    data(&target, &["backups", "check", &ids[0]]).await;

    data(&target, &["backups", "export", &ids[0], "--to", "csv"]).await;
    let csv = fs::read_to_string(target.folder.join("csv/public.person.csv")).expect("a CSV file");
    assert_eq!(csv.lines().count(), 401, "a header and 400 rows");
    target
        .rebuild(&["backups", "export", &ids[0], "--to", "csv"])
        .await
        .expect(3);

    let export = ["backups", "export", &ids[0], "--format", "sql", "--to"];
    let said = text(&target, &[&export[..], &["sql"]].concat()).await;
    assert_eq!(said, "sql/app.sql\n");
    let loaded = testing::client(
        world.cluster(),
        "psql",
        &world.cluster().endpoint("postgres"),
    )
    .args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"])
    .args(["-v", "database=from_sql", "-f"])
    .arg(target.folder.join("sql/app.sql"))
    .output();
    let loaded = loaded.await.expect("psql runs");
    assert!(
        loaded.status.success(),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    world.settle().await;
    let from_sql = State::of_database(&world, "from_sql").await;
    from_sql.expect(&old, "as psql loaded it");
    let taken = [&export[..], &["sql"]].concat();
    target.rebuild(&taken).await.expect(3);
    let unknown = ["backups", "export", &ids[0], "--format", "xml", "--to", "x"];
    target.rebuild(&unknown).await.expect(2);

    data(&target, &["restore", &ids[0], "--into", "beside"]).await;
    world.settle().await;
    State::of_database(&world, "beside")
        .await
        .expect(&old, "as restored");
    target
        .rebuild(&["restore", &ids[0], "--into", "beside"])
        .await
        .expect(3);
    target
        .rebuild(&["restore", "--into", "app"])
        .await
        .expect(3);
    State::of(&target).await.expect(&old, "after the refusal");

    target
        .sql("update public.host set rack = 7 where id = 1")
        .await;
    let differs = target
        .rebuild_json(&["verify", "--backup", &ids[0]])
        .await
        .expect(6);
    assert!(differs.stdout.contains("public.host"), "{}", differs.stdout);
    let named = target
        .rebuild(&["verify", "--backup", &ids[0], "--rows"])
        .await
        .expect(6);
    let named = named.stdout;
    assert!(
        named.contains("1 changed\n") && named.contains("~ 1)"),
        "{named}"
    );

    let would = text(&target, &["backups", "prune"]).await;
    assert!(
        would.contains(&format!("would remove {}", ids[0])),
        "{would}"
    );
    assert_eq!(
        data(&target, &["backups", "list"])
            .await
            .as_array()
            .expect("a list")
            .len(),
        2
    );
    let gone = data(&target, &["backups", "prune", "--yes"]).await;
    assert_eq!(gone.as_array().expect("a list").len(), 1);
    let left = data(&target, &["backups", "list"]).await;
    assert_eq!(left.as_array().expect("a list").len(), 1);
    assert_eq!(left[0]["id"], ids[1].as_str());
    data(&target, &["backups", "check"]).await;
    target
        .rebuild(&["backups", "show", &ids[0]])
        .await
        .expect(2);
}

#[tokio::test]
async fn a_copy_is_the_same_under_another_name() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let old = State::of(&target).await;
    data(&target, &["copy", "dbname=app", "dbname=twin"]).await;
    world.settle().await;
    State::of_database(&world, "twin")
        .await
        .expect(&old, "as copied");
    State::of(&target).await.expect(&old, "after the copy");
    for taken in ["dbname=twin", "dbname=app"] {
        let run = target
            .rebuild(&["copy", "dbname=app", taken])
            .await
            .expect(3);
        assert!(run.stderr.contains("copied onto itself") || run.stderr.contains("exists already"));
    }
    assert_eq!(world.databases().await, ["app", "twin"]);

    let kept = [
        "copy",
        "dbname=app",
        "dbname=again",
        "--backup-folder",
        "kept",
    ];
    data(&target, &kept).await;
    world.settle().await;
    State::of_database(&world, "again")
        .await
        .expect(&old, "as copied by way of a backup");
    let backups = target.folder.join("kept/backups");
    assert_eq!(backups.read_dir().expect("a folder").count(), 1);
}

#[tokio::test]
async fn the_program_describes_itself() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&target, &["completions", shell]).await;
        assert!(
            script.contains("rollback") && script.contains("accept-writes"),
            "{shell}"
        );
    }
    let schema = data(&target, &["schema"]).await;
    let published = include_str!("../../schema/rebuild.schema.json");
    let published: Value = serde_json::from_str(published).expect("JSON");
    assert_eq!(
        schema, published,
        "rebuild schema > schema/rebuild.schema.json"
    );
    for verb in ["--help", "--version"] {
        assert!(text(&target, &[verb]).await.contains("rebuild"));
    }
}

#[tokio::test]
async fn the_rows_of_some_tables_come_back_alone_from_what_is_packed_harder() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let more = "create table public.pages as
                    select n as id, repeat(md5((n / 7)::text), 9) as page from generate_series(1, 3000) n";
    target.sql(more).await;
    let stored = async |level: i32| {
        let spec = target.folder.join("rebuild.toml");
        let text = fs::read_to_string(&spec).expect("the spec");
        let keys = text.lines().filter(|l| !l.starts_with("compression"));
        let text: Vec<&str> = keys.collect();
        let leveled = format!("[backup]\ncompression = {level}");
        fs::write(&spec, text.join("\n").replace("[backup]", &leveled)).expect("written");
        let taken = data(&target, &["backup"]).await;
        let shown = data(
            &target,
            &["backups", "show", taken[0]["id"].as_str().expect("an id")],
        )
        .await;
        let tables = shown["tables"].as_array().expect("tables");
        let pages = tables
            .iter()
            .find(|t| t["table"]["name"] == "pages")
            .expect("it");
        let chunks = pages["chunks"].as_array().expect("chunks").iter();
        chunks
            .map(|c| c["stored_bytes"].as_u64().expect("bytes"))
            .sum::<u64>()
    };
    let (fast, hard) = (stored(-7).await, stored(19).await);
    assert!(hard * 2 < fast, "{hard} bytes, and {fast}");

    let restore = ["restore", "--into", "part", "--table"];
    let wrong = [&restore[..], &["public.page"]].concat();
    target.rebuild(&wrong).await.expect(2);
    assert_eq!(target.oid_of("part").await, None);
    let said = text(&target, &[&restore[..], &["public.pages"]].concat()).await;
    assert!(said.contains("only the rows of the tables given"), "{said}");
    let session = world.session("part").await;
    let rows =
        "select (select count(*) from public.pages) || ' ' || (select count(*) from public.person)";
    let rows = session.query_one(rows, &[]).await.expect("rows");
    assert_eq!(rows.get::<_, &str>(0), "3000 0");
}
