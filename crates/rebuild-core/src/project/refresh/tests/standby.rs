//! A standby that lags: as a source it is told, as a target it is refused.

use std::path::Path;

use super::*;
use crate::postgres::StopMode;

/// Gives what is in `folder` to the user and group that had it before.
fn give(folder: &Path, owner: (u32, u32)) {
    std::os::unix::fs::lchown(folder, Some(owner.0), Some(owner.1)).expect("given");
    if folder.is_symlink() || !folder.is_dir() {
        return;
    }
    for entry in std::fs::read_dir(folder).expect("a folder") {
        give(&entry.expect("an entry").path(), owner);
    }
}

/// Writes more settings for a server that does not run.
fn configure(server: &LocalCluster, lines: &str) {
    use std::io::Write;
    let file = server.data_dir().join("postgresql.conf");
    let file = std::fs::OpenOptions::new().append(true).open(file);
    let mut file = file.expect("the settings");
    file.write_all(lines.as_bytes()).expect("written");
}

/// A server that follows `primary`.
async fn standby_of(primary: &LocalCluster) -> LocalCluster {
    use std::os::unix::fs::MetadataExt;
    let standby = cluster().await.expect("a server");
    standby.stop(StopMode::Immediate).await.expect("stopped");
    let data = standby.data_dir();
    let before = data.metadata().expect("a folder");
    std::fs::remove_dir_all(&data).expect("removed");
    let copied = tokio::process::Command::new(client_bin_dir(primary).join("pg_basebackup"))
        .args(["--checkpoint=fast", "--no-sync"])
        .arg("--pgdata")
        .arg(&data)
        .arg("--host")
        .arg(primary.socket_dir())
        .args([
            "--port",
            &primary.port().to_string(),
            "--username",
            "postgres",
        ])
        .output()
        .await
        .expect("pg_basebackup");
    assert!(copied.status.success(), "{copied:?}");
    // What a newer pg_basebackup would write here, an older server does not know.
    std::fs::write(data.join("standby.signal"), "").expect("written");
    give(&data, (before.uid(), before.gid()));
    let (socket, of) = (standby.socket_dir(), primary.socket_dir());
    configure(
        &standby,
        &format!(
            "unix_socket_directories = '{}'\n\
             primary_conninfo = 'host={} port={} user=postgres'\n",
            socket.display(),
            of.display(),
            primary.port()
        ),
    );
    standby.launch().await.expect("it follows");
    standby
}

/// Asks until the answer is `true`; the test's own deadline ends it otherwise.
async fn until(endpoint: &Endpoint, sql: &str) {
    let session = Session::open(endpoint, "test").await.expect("a session");
    let asked =
        async { while !(session.query_one(sql, &[]).await.expect(sql)).get::<_, bool>(0) {} };
    let limit = std::time::Duration::from_secs(60);
    let asked = tokio::time::timeout(limit, asked).await;
    asked.unwrap_or_else(|_| panic!("it never came: {sql}"));
    session.close().await;
}

const NOW: &str = "select pg_catalog.clock_timestamp()::pg_catalog.text";

#[tokio::test]
async fn a_standby_that_lags_is_told_as_a_source_and_refused_as_a_target() {
    let mut world = World::new(
        "create table public.t (id int)",
        "create table public.t (id int)",
    )
    .await;
    let standby = standby_of(&world.source).await;
    let (primary, follower) = (world.prod(), standby.endpoint("prod"));
    let before = text(&primary, NOW).await;
    execute(&primary, "insert into public.t values (1)").await;
    let after = text(&primary, NOW).await;
    let arrived = "select pg_catalog.count(*) operator(pg_catalog.=) 1 from public.t";
    until(&follower, arrived).await;

    configure(&standby, "recovery_min_apply_delay = '1h'\n");
    execute(&follower, "select pg_catalog.pg_reload_conf()").await;
    // What has arrived waits, from some transaction on.
    let waits = "select exists (select from pg_catalog.pg_stat_activity
                                 where wait_event operator(pg_catalog.=) 'RecoveryApplyDelay')";
    let session = Session::open(&follower, "test").await.expect("a session");
    let mut latest = after;
    while !session
        .query_one(waits, &[])
        .await
        .expect(waits)
        .get::<_, bool>(0)
    {
        execute(&primary, "insert into public.t values (2)").await;
        latest = text(&primary, NOW).await;
    }
    let applied: Option<String> = session
        .query_one(
            "select pg_catalog.pg_last_xact_replay_timestamp()::pg_catalog.text",
            &[],
        )
        .await
        .expect("a time")
        .get(0);
    let applied = applied.expect("one was applied");
    assert!(
        before < applied && applied < latest,
        "{before} {applied} {latest}"
    );
    let rows = "select pg_catalog.count(*) from public.t";
    let (here, there) = (text(&follower, rows).await, text(&primary, rows).await);
    assert_ne!(here, there, "it lags");
    session.close().await;

    // As a source.
    let primary = std::mem::replace(&mut world.source, standby);
    let plan = world.plan("").await;
    let told = format!("the source is a standby, whose last transaction is of {applied}");
    assert!(
        plan.warnings.iter().any(|w| w.starts_with(&told)),
        "{:?}",
        plan.warnings
    );

    // As a target.
    world.target = std::mem::replace(&mut world.source, primary);
    let url = format!(
        "postgresql://postgres@/prod?host={}&port={}",
        world.target.socket_dir().display(),
        world.target.port()
    );
    let spec = format!(
        "version = 1\nstore.url = \"store\"\nbackup.tools = \"{}\"\ntarget.url = \"{url}\"\n",
        client_bin_dir(&world.target).display()
    );
    let project = Project::of_text(&spec, world.folder.path(), &|_| None).await;
    let plan = project.plan(true).await.expect("a plan");
    let refused: Vec<&str> = plan.refusals.iter().map(|r| r.message.as_str()).collect();
    assert!(
        refused.contains(&"the server is a standby, which cannot be changed"),
        "{refused:?}"
    );
    let error = project.run(None, None).await.expect_err("refused");
    assert!(error.is_refusal(), "{error:?}");
    assert_eq!(text(&follower, rows).await, here);
}
