//! A database that is reached by a program in its pod, where no port may be forwarded.

use rebuild_testkube::{Fault, Strike};

use super::*;

/// The server of the world, on a port that is free on this machine: pods in it share its address.
async fn reached_by_exec() -> (World, String) {
    let world = World::empty().await;
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let manifests = World::manifests()
        .replace("containerPort: 5432", &format!("containerPort: {port}"))
        .replace(
            "- { name: POSTGRES_DB, value: app }",
            &format!("- {{ name: POSTGRES_DB, value: app }}\n            - {{ name: PGPORT, value: \"{port}\" }}"),
        );
    world.apply(&manifests).await;
    world.await_ready("statefulset", "db", 1).await;
    let text = world.spec_text("").replace(
        "[target.kubernetes]\n",
        "[target.kubernetes]\nvia = \"exec\"\n",
    );
    (world, text)
}

async fn sql(world: &World, text: &str, sql: &str) -> String {
    let project = world.open(text).await.expect("a project");
    crate::testing::kubernetes::sql(&project, sql).await
}

const SESSIONS: &str = "select count(*)::text from pg_stat_activity
    where datname is not null and pid <> pg_backend_pid()";

#[tokio::test]
async fn where_only_exec_is_allowed_everything_works_all_the_same() {
    let (world, text) = reached_by_exec().await;
    if let Some(inside) = world.inside("that no port may be forwarded") {
        inside.deny("get", "pods/portforward");
        inside.deny("create", "pods/portforward");
        let refused = world.project("").await.status(false).await;
        let refused = refused.expect_err("no port-forward");
        assert_eq!(refused.kind(), crate::ErrorKind::Unreachable, "{refused:?}");
    }
    let filled = "create table public.item (id int primary key, note text);
        insert into public.item select n, repeat('x', 100) from generate_series(1, 100000) n";
    sql(&world, &text, filled).await;

    let project = world.open(&text).await.expect("a project");
    let report = project.run(None, None).await.expect("a run");
    let told = world.told.text();
    assert_eq!(report.ending, Ending::Done, "{report:?} {told}");
    drop(project);
    let count = "select count(*) || ' of ' || sum(length(note)) from public.item";
    assert_eq!(sql(&world, &text, count).await, "100000 of 10000000");

    // Whoever goes leaves no session behind, with which a lock would stay.
    let alone = async {
        while sql(&world, &text, SESSIONS).await != "0" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, alone).await.expect("they go");
    world.end().await;
}

/// What a stream has carried when it breaks is not all there was.
#[tokio::test]
async fn a_stream_that_is_cut_in_the_middle_makes_no_backup() {
    let (world, text) = reached_by_exec().await;
    let Some(cluster) = world.inside("a stream that is cut") else {
        return world.end().await;
    };
    let filled = "create table public.bulk as
        select n, repeat(md5(n::text), 100) note from generate_series(1, 5000) n";
    sql(&world, &text, filled).await;
    let project = world.open(&text).await.expect("a project");
    let cut = cluster.fault(Fault {
        times: 20,
        ..Fault::once("GET", "/exec?", Strike::CutStream { bytes: 3_000_000 })
    });
    let error = project.backup().await.expect_err("rows are missing");
    assert!(cut.struck() > 0);
    assert!(error.chain().contains("public.bulk"), "{error:?}");
    assert_eq!(project.backups().await.expect("a list"), []);

    cluster.lift_faults();
    let (_, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    let count = "select count(*)::text from public.bulk";
    assert_eq!(sql(&world, &text, count).await, "5000");
    world.end().await;
}

#[tokio::test]
async fn a_container_without_a_program_for_it_is_told() {
    let (world, text) = reached_by_exec().await;
    let Some(inside) = world.inside("an image without bash and nc") else {
        return world.end().await;
    };
    let elsewhere = text.replace("via = \"exec\"", "via = \"exec\"\ncontainer = \"other\"");
    let project = world.open(&elsewhere).await.expect("a project");
    let error = project.status(false).await.expect_err("no such container");
    assert_eq!(error.kind(), crate::ErrorKind::Unreachable, "{error:?}");
    let told = world.told.text();
    assert!(told.contains("container"), "{told}");

    inside.deny("get", "pods/exec");
    inside.deny("create", "pods/exec");
    let project = world.open(&text).await.expect("a project");
    let error = project.status(false).await.expect_err("no right");
    assert_eq!(error.kind(), crate::ErrorKind::Unreachable, "{error:?}");
    assert!(
        world.told.text().contains("pods/exec"),
        "{}",
        world.told.text()
    );
    world.end().await;
}
