use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::*;
use crate::postgres::Session;
use crate::testing::{cluster, cluster_options};

async fn session(endpoint: &Endpoint) -> Session {
    Session::open(endpoint, "test").await.expect("session")
}

async fn text(session: &Session, sql: &str) -> String {
    session.query_one(sql, &[]).await.expect("answer").get(0)
}

async fn setting(session: &Session, name: &str) -> String {
    text(
        session,
        &format!("select pg_catalog.current_setting('{name}')"),
    )
    .await
}

/// Waits until `dir` is gone; another process removes it.
async fn gone(dir: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while dir.exists() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    !dir.exists()
}

#[tokio::test]
async fn a_server_answers_and_goes_away() {
    let cluster = cluster().await.expect("cluster");
    let dir = cluster.dir.path().to_owned();
    let session = session(&cluster.endpoint("postgres")).await;
    assert_eq!(setting(&session, "search_path").await, "");
    assert_eq!(setting(&session, "server_encoding").await, "UTF8");
    assert_eq!(setting(&session, "fsync").await, "off");
    assert_eq!(setting(&session, "synchronous_commit").await, "on");
    assert_eq!(setting(&session, "listen_addresses").await, "");
    let number = setting(&session, "server_version_num").await;
    assert_eq!(
        number.parse::<u32>().expect("number") / 10_000,
        cluster.major()
    );
    let found = std::fs::metadata(&dir).expect("folder");
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert_ne!(found.uid(), 0, "the server runs as an unprivileged user");
    drop(session);
    drop(cluster);
    assert!(!dir.exists());
}

#[tokio::test]
async fn every_server_has_an_identity_of_its_own() {
    let (one, two) = (cluster().await.expect("one"), cluster().await.expect("two"));
    let sql = "select system_identifier::text from pg_catalog.pg_control_system()";
    assert_ne!(
        text(&session(&one.endpoint("postgres")).await, sql).await,
        text(&session(&two.endpoint("postgres")).await, sql).await
    );
}

#[tokio::test]
async fn options_reach_the_server() {
    let options = ClusterOptions {
        settings: vec!["work_mem = '7MB'".to_owned(), "fsync = on".to_owned()],
        preload: vec!["auto_explain".to_owned()],
        encoding: "LATIN1".to_owned(),
        data_checksums: Some(true),
        durable: true,
        superuser: "the boss".to_owned(),
        ..cluster_options()
    };
    let cluster = LocalCluster::start(&options).await.expect("cluster");
    let session = session(&cluster.endpoint("postgres")).await;
    for (name, expected) in [
        ("work_mem", "7MB"),
        ("fsync", "on"),
        ("shared_preload_libraries", "\"auto_explain\""),
        ("server_encoding", "LATIN1"),
        ("data_checksums", "on"),
        ("session_authorization", "the boss"),
    ] {
        assert_eq!(setting(&session, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn checksums_can_be_off_on_every_version() {
    let options = ClusterOptions {
        data_checksums: Some(false),
        ..cluster_options()
    };
    let cluster = LocalCluster::start(&options).await.expect("cluster");
    let session = session(&cluster.endpoint("postgres")).await;
    assert_eq!(setting(&session, "data_checksums").await, "off");
}

#[tokio::test]
async fn a_locale_that_the_version_lacks_is_refused_and_one_it_has_is_used() {
    let options = ClusterOptions {
        locale: ClusterLocale::Builtin("C.UTF-8".to_owned()),
        ..cluster_options()
    };
    let started = LocalCluster::start(&options).await;
    let major = Programs::find(&options).await.expect("programs").major;
    if major < 17 {
        let error = started.err().expect("refused");
        assert!(error.is_refusal(), "{error:?}");
        return;
    }
    let cluster = started.expect("cluster");
    let session = session(&cluster.endpoint("postgres")).await;
    let sql = "select datlocprovider::text from pg_catalog.pg_database where datname = 'template0'";
    assert_eq!(text(&session, sql).await, "b");
}

#[tokio::test]
async fn tcp_asks_for_the_password() {
    let options = ClusterOptions {
        tcp_port: Some(0),
        ..cluster_options()
    };
    let cluster = LocalCluster::start(&options).await.expect("cluster");
    let endpoint = cluster.tcp_endpoint("postgres").expect("TCP");
    let over_tcp = session(&endpoint).await;
    assert_eq!(setting(&over_tcp, "port").await, cluster.port().to_string());
    let wrong = Endpoint {
        password: Some(Secret::new("wrong")),
        ..endpoint
    };
    assert!(Session::open(&wrong, "test").await.is_err());
    assert!(!cluster.dir.path().join("password").exists());
    session(&cluster.endpoint("postgres")).await;
}

#[tokio::test]
async fn a_killed_server_has_every_acknowledged_write_after_its_next_start() {
    let cluster = cluster().await.expect("cluster");
    let before = session(&cluster.endpoint("postgres")).await;
    before
        .batch_execute("create table public.kept (n int); insert into public.kept values (1), (2)")
        .await
        .expect("acknowledged");
    let pid = kill::postmaster(&cluster.data_dir())
        .expect("lock file")
        .expect("pid");
    cluster.kill().await.expect("killed");
    assert!(!kill::alive(pid));
    assert!(!cluster.is_running().expect("known"));
    assert!(before.batch_execute("select 1").await.is_err());
    cluster.kill().await.expect("twice is once");

    cluster.launch().await.expect("recovered");
    cluster.launch().await.expect("twice is once");
    let after = session(&cluster.endpoint("postgres")).await;
    assert_eq!(
        text(&after, "select pg_catalog.sum(n)::text from public.kept").await,
        "3"
    );
    assert!(
        cluster
            .log_tail(20)
            .expect("log")
            .contains("automatic recovery in progress")
    );
}

#[tokio::test]
async fn a_server_stops_and_starts_in_every_mode() {
    let cluster = cluster().await.expect("cluster");
    for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
        cluster.stop(mode).await.expect("stopped");
        assert!(!cluster.is_running().expect("known"));
        cluster.stop(mode).await.expect("twice is once");
        cluster.restart(mode).await.expect("started");
        session(&cluster.endpoint("postgres")).await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let parent = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o711))
        .expect("passable");
    let options = ClusterOptions {
        settings: vec!["work_mem = 'plenty'".to_owned()],
        parent_dir: Some(parent.path().to_owned()),
        ..cluster_options()
    };
    let error = LocalCluster::start(&options).await.err().expect("refused");
    assert!(
        error.to_string().contains("\"work_mem\": \"plenty\""),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(parent.path()).expect("list").count(), 0);
}

#[tokio::test]
async fn an_initdb_that_fails_half_way_leaves_nothing() {
    let parent = tempfile::tempdir().expect("folder");
    let bin = parent.path().join("bin");
    let servers = parent.path().join("servers");
    for dir in [&bin, &servers] {
        std::fs::create_dir(dir).expect("folder");
    }
    let scripts = [
        ("postgres", "echo 'postgres (PostgreSQL) 16.1'"),
        ("pg_ctl", "exit 9"),
        (
            "initdb",
            "mkdir -p data/base; echo x > data/PG_VERSION; echo 'no space' >&2; exit 1",
        ),
    ];
    for (name, script) in scripts {
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    }
    for dir in [parent.path(), &bin, &servers] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("mode");
    }
    let options = ClusterOptions {
        bin_dir: Some(bin),
        parent_dir: Some(servers.clone()),
        ..ClusterOptions::default()
    };
    let error = LocalCluster::start(&options).await.err().expect("failed");
    assert!(error.chain().ends_with("no space"), "{error:?}");
    assert_eq!(std::fs::read_dir(&servers).expect("list").count(), 0);
}

#[tokio::test]
async fn a_folder_whose_name_is_too_long_for_a_socket_is_refused() {
    let parent = tempfile::tempdir().expect("folder");
    let long = parent.path().join("x".repeat(90));
    std::fs::create_dir(&long).expect("folder");
    let options = ClusterOptions {
        parent_dir: Some(long.clone()),
        ..cluster_options()
    };
    let error = LocalCluster::start(&options).await.err().expect("refused");
    assert!(error.is_refusal(), "{error:?}");
    assert_eq!(std::fs::read_dir(&long).expect("list").count(), 0);
}

/// The same test in two processes: the second only has a server until it is killed.
#[tokio::test]
async fn a_process_that_is_killed_leaves_no_server() {
    const OWNER: &str = "REBUILD_TEST_OWNS_A_SERVER";
    if std::env::var_os(OWNER).is_some() {
        let cluster = cluster().await.expect("cluster");
        println!("\nserver in {}", cluster.dir.path().display());
        std::future::pending::<()>().await;
    }
    let mut owner = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture"])
        .arg("postgres::local::tests::a_process_that_is_killed_leaves_no_server")
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("owner");
    let mut lines = BufReader::new(owner.stdout.take().expect("piped")).lines();
    let dir = loop {
        let line = lines.next_line().await.expect("read").expect("a server");
        if let Some(dir) = line.strip_prefix("server in ") {
            break PathBuf::from(dir);
        }
    };
    let pid = kill::postmaster(&dir.join("data"))
        .expect("lock file")
        .expect("runs");
    assert!(kill::alive(pid));
    owner.kill().await.expect("killed");
    assert!(gone(&dir).await, "{} is still there", dir.display());
    assert!(!kill::alive(pid));
}
