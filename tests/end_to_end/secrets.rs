//! Passwords, the salt of masks and what rows hold are used, and show up nowhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuild_core::postgres::Session;
use rebuild_core::testing;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use crate::world::{ASIDE, Run, Target, World};

/// The password, as the server has it and as it stands in a URL.
const PASSWORD: &str = "open/sesame-8841";
const IN_URL: &str = "open%2Fsesame-8841";

/// Of the role that reads the source, and what its masks are made with.
const OF_SOURCE: &str = "tell-nobody-5520";
const SALT: &str = "sea salt, 7713 grains";

/// What a row holds.
const IN_A_ROW: &str = "very-private-3306";

/// What programs are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that asks for passwords, writes every statement into its log, and has this for its
/// superuser's.
async fn guarded() -> World {
    let mut options = testing::cluster_options();
    options.tcp_port = Some(0);
    let world = World::start_with(options).await;
    let admin = world.admin().await;
    for sql in [
        &format!("alter role postgres password '{PASSWORD}'"),
        "alter system set log_statement = 'all'",
        "alter system set log_connections = on",
        "alter system set log_replication_commands = on",
        "alter system set log_min_duration_statement = 0",
        "select pg_catalog.pg_reload_conf()",
    ] {
        admin.batch_execute(sql).await.expect("a setting");
    }
    admin.close().await;
    world
}

/// The server over TCP, with `login` before the `@`.
fn server(world: &World, login: &str) -> String {
    let at = world.cluster().tcp_endpoint("app").expect("a port");
    format!("postgresql://{login}@127.0.0.1:{}", at.port)
}

#[tokio::test]
async fn no_output_and_no_file_has_the_password() {
    let world = guarded().await;
    let mut target = world.target("app", ASIDE).await;
    // As much as there is to say.
    let loudest = ("RUST_LOG".to_owned(), "trace".to_owned());
    target.environment.push(loudest);
    let mut nobody = world.cluster().tcp_endpoint("app").expect("a port");
    nobody.password = None;
    Session::open(&nobody, "a test")
        .await
        .err()
        .expect("the server asks for it");
    let server = server(&world, &format!("postgres:{IN_URL}"));
    target.edit_spec("url = \"\"", &format!("url = \"{server}/app\""));

    let (app, twin) = (format!("{server}/app"), format!("{server}/twin"));
    for args in [
        &["plan", "--out", "plan.json"][..],
        &["status"],
        &["run", "--plan", "plan.json"],
        &["runs", "show"],
        &["verify"],
        &["backups", "check"],
        &["rollback"],
        &["backup"],
        &["restore", "--into", "beside"],
        &["copy", &app, &twin],
        &["-f", "mine.toml", "init", &app],
    ] {
        let args = [&["--output", "json"], args].concat();
        silent(&target, &args, 0).await;
    }
    for args in [
        &["status"][..],
        &["plan"],
        &["run"],
        &["runs", "list"],
        &["rollback"],
    ] {
        silent(&target, args, 0).await;
    }
    let log = fs::read_to_string(world.cluster().log_file()).expect("the server's log");
    assert!(log.contains("set_config"), "it has every statement");
    let told = log.matches(PASSWORD).count();
    assert_eq!(told, 0, "in the server's log");

    // And when it is turned away.
    let sql = "alter role postgres password 'another'";
    world
        .admin()
        .await
        .batch_execute(sql)
        .await
        .expect("a password");
    for args in [
        &["plan"][..],
        &["--output", "json", "run"],
        &["copy", &app, &twin],
    ] {
        let run = silent(&target, args, 7).await;
        let warned = run.stderr.contains("the password on the command line");
        assert_eq!(warned, args[0] == "copy", "{}", run.stderr);
    }

    fs::remove_file(target.spec_file()).expect("the one file that has it");
    let looked_at = search(&target.folder);
    assert!(looked_at > 50, "{looked_at} files");
}

/// A refresh, whose source, masks and target each have a secret, is held in the middle.
#[tokio::test]
async fn a_run_that_goes_on_shows_its_secrets_to_no_other_process() {
    let world = guarded().await;
    let mut target = world.target("app", ASIDE).await;
    let admin = world.admin().await;
    for sql in [
        "set log_statement = 'none'",
        "set log_min_duration_statement = -1",
        "create database production template drifted",
        &format!("create role reader login password '{OF_SOURCE}'"),
    ] {
        admin.batch_execute(sql).await.expect("the source");
    }
    let session = world.session("production").await;
    let grants = "grant usage on schema public to reader;
        grant select on all tables in schema public to reader;
        grant select on all sequences in schema public to reader";
    session.batch_execute(grants).await.expect("its rights");
    session.close().await;
    let tools = held_tools(&target);
    let (source, at) = (
        server(&world, &format!("reader:{OF_SOURCE}")),
        server(&world, "postgres"),
    );
    let spec = format!(
        "version = 1\ntarget.url = \"{at}/app\"\nstore.url = \"store\"\n\
         backup.tools = {tools:?}\nquiesce.end_sessions = true\n\
         [source]\nurl = \"{source}/production\"\n\
         [mask]\nsalt = \"${{MASK_SALT}}\"\n\
         column = [{{ column = \"public.person.team\", with = \"keep-format\" }}]\n\
         [[after]]\nname = \"tell\"\ncommand = [\"sh\", \"-c\", \"echo $PGPASSWORD\"]\n"
    );
    fs::write(target.spec_file(), spec).expect("the spec");
    let given = [("PGPASSWORD", PASSWORD), ("MASK_SALT", SALT)];
    target
        .environment
        .extend(given.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let mut ends = pipe::OpenOptions::new();
    ends.read_write(true);
    let mut held = ends
        .open_receiver(target.folder.join("held"))
        .expect("a pipe");
    let mut looked = ends
        .open_sender(target.folder.join("looked"))
        .expect("a pipe");
    let looking = async {
        let is_held = tokio::time::timeout(PATIENCE, held.read_u8()).await;
        is_held.expect("it comes to that").expect("a word of it");
        look_at_processes(&tools);
        looked.write_all(b"\n").await.expect("a word to it");
    };
    let running = async { target.rebuild(&["run"]).await.expect(0) };
    let (run, ()) = tokio::join!(running, looking);
    for text in [&run.stdout, &run.stderr] {
        assert!(found(text.as_bytes()).is_none(), "{text}");
    }
    assert!(run.stderr.contains("***"), "the command's word");
    let log = fs::read(world.cluster().log_file()).expect("the server's log");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("reader"), "the source's sessions are in it");
    let told = log.lines().find(|line| found(line.as_bytes()).is_some());
    assert_eq!(told, None);
    fs::remove_file(target.spec_file()).expect("the one file that has it");
    for pipe in ["held", "looked"] {
        // Whoever reads one waits.
        fs::remove_file(target.folder.join(pipe)).expect("a pipe");
    }
    search(&target.folder);
}

/// The programs of PostgreSQL. The first pg_dump says so in the pipe `held`, and waits for a line in
/// the pipe `looked`.
fn held_tools(target: &Target<'_>) -> PathBuf {
    let folder = target.folder.join("tools");
    fs::create_dir(&folder).expect("a folder");
    let real = testing::client_bin_dir(target.world.cluster());
    for name in ["pg_restore", "psql"] {
        std::os::unix::fs::symlink(real.join(name), folder.join(name)).expect("a link");
    }
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--version*) ;; *)\n\
         if mkdir {at}/first 2>/dev/null; then echo > {at}/held; read -r _ < {at}/looked; fi;; esac\n\
         exec {real}/pg_dump \"$@\"\n",
        at = target.folder.display(),
        real = real.display()
    );
    for pipe in ["held", "looked"] {
        let (path, mode) = (target.folder.join(pipe), Mode::RUSR | Mode::WUSR);
        mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a pipe");
    }
    let held = folder.join("pg_dump");
    fs::write(&held, script).expect("a script");
    fs::set_permissions(&held, PermissionsExt::from_mode(0o755)).expect("chmod");
    folder
}

/// What other users, and the programs that a run starts, can see of it now.
fn look_at_processes(tools: &Path) {
    let mut dumps = Vec::new();
    for entry in fs::read_dir("/proc").expect("proc") {
        let at = entry.expect("an entry").path();
        // Those that are no process, or none any more, have no arguments.
        let Ok(arguments) = fs::read(at.join("cmdline")) else {
            continue;
        };
        assert_eq!(found(&arguments), None, "{}", at.display());
        let text = String::from_utf8_lossy(&arguments);
        if text.contains(&tools.join("pg_dump").display().to_string()) {
            dumps.push(at);
        }
    }
    let [dump] = &dumps[..] else {
        panic!("pg_dump is held: {dumps:?}");
    };
    let environment = fs::read(dump.join("environ")).expect("its environment");
    assert_eq!(found(&environment), None);
    let environment = String::from_utf8_lossy(&environment);
    let given = |name: &str| {
        let mut all = environment.split('\0');
        all.find_map(|variable| variable.strip_prefix(name).map(PathBuf::from))
    };
    let passfile = given("PGPASSFILE=").expect("a password file");
    let mode = |path: &Path| path.metadata().expect("there").mode() & 0o777;
    assert_eq!(mode(&passfile), 0o600);
    assert_eq!(mode(passfile.parent().expect("its folder")), 0o700);

    let status = fs::read_to_string(dump.join("status")).expect("its status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let run = Path::new("/proc").join(parent.expect("a parent").trim());
    for process in [&run, dump] {
        let limits = fs::read_to_string(process.join("limits")).expect("its limits");
        let core = limits.lines().find(|line| line.contains("core file size"));
        let words: Vec<&str> = core.expect("a limit").split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{words:?}");
    }
    // Of a process that may not be looked into, everything is root's.
    let owner = run.join("environ").metadata().expect("there").uid();
    assert_eq!(owner, 0);
}

/// Rows that do not fit stop a run, and are quoted neither by it nor by the server's log.
#[tokio::test]
async fn what_rows_hold_is_in_no_error() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target
        .sql(&format!(
            "update public.person set team = '{IN_A_ROW}' where id = 7"
        ))
        .await;
    let schema = fs::read_dir(target.folder.join("schema")).expect("the schema");
    let mut changed = 0;
    for file in schema {
        let path = file.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a file");
        let stricter = "create table person (check (length(team) < 10),";
        let stricter = text.replace("create table person (", stricter);
        changed += usize::from(stricter != text);
        fs::write(&path, stricter).expect("a file");
    }
    assert_eq!(changed, 1, "the table of persons is in one file");
    for args in [&["run"][..], &["--output", "json", "run"]] {
        let run = target.rebuild(args).await.expect(1);
        assert!(run.stderr.contains("violates check"), "{}", run.stderr);
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(IN_A_ROW), "{text}");
        }
    }
    let runs = target.store().join("runs");
    assert!(count(&runs, IN_A_ROW) > 0, "no journal");
    let log = fs::read_to_string(world.cluster().log_file()).expect("the server's log");
    assert!(log.contains("violates check"), "{log}");
    assert!(!log.contains("Failing row"), "{log}");
    target.drop_databases().await;
}

async fn silent(target: &Target<'_>, args: &[&str], code: i32) -> Run {
    let run = target.rebuild(args).await.expect(code);
    for text in [&run.stdout, &run.stderr] {
        assert_eq!(found(text.as_bytes()), None, "{args:?}");
    }
    run
}

/// Looks at every file in `folder`; returns how many there are.
fn search(folder: &Path) -> usize {
    [PASSWORD, IN_URL, OF_SOURCE, SALT]
        .map(|secret| count(folder, secret))
        .into_iter()
        .max()
        .unwrap_or_default()
}

/// How many files there are in `folder`, none of which has `secret` in it.
fn count(folder: &Path, secret: &str) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += count(&path, secret);
        } else {
            let bytes = fs::read(&path).expect("a file");
            assert!(!has(&bytes, secret), "{}", path.display());
            files += 1;
        }
    }
    files
}

/// The secret that is in `bytes`, if one is.
fn found(bytes: &[u8]) -> Option<&'static str> {
    [PASSWORD, IN_URL, OF_SOURCE, SALT]
        .into_iter()
        .find(|secret| has(bytes, secret))
}

fn has(bytes: &[u8], secret: &str) -> bool {
    let secret = secret.as_bytes();
    bytes.windows(secret.len()).any(|w| w == secret)
}

/// Folders for temporary files have passwords in them: those of a process that was killed go with the next one.
#[tokio::test]
async fn what_a_killed_run_left_goes_with_the_next_one() {
    let world = guarded().await;
    let mut target = world.target("app", ASIDE).await;
    let server = server(&world, &format!("postgres:{IN_URL}"));
    target.edit_spec("url = \"\"", &format!("url = \"{server}/app\""));
    let temporary = target.folder.join("tmp");
    fs::create_dir(&temporary).expect("a folder");
    let at = ("TMPDIR".to_owned(), temporary.display().to_string());
    target.environment.push(at);
    let mut ended = std::process::Command::new("true").spawn().expect("true");
    let dead = ended.id();
    ended.wait().expect("its end");
    let namespace = fs::metadata("/proc/self/ns/pid")
        .expect("a namespace")
        .ino();
    let left = temporary.join(format!("rebuild-{namespace}-{dead}-left"));
    fs::create_dir(&left).expect("a folder");
    fs::set_permissions(&left, PermissionsExt::from_mode(0o700)).expect("chmod");
    fs::write(left.join("pgpass"), PASSWORD).expect("a file");
    target.rebuild(&["backup"]).await.expect(0);
    let entries: Vec<_> = fs::read_dir(&temporary)
        .expect("a folder")
        .flatten()
        .collect();
    assert!(entries.is_empty(), "{entries:?}");
}
