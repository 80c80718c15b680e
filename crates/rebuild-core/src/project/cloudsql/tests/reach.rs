//! The ways to the database.

use std::time::Duration;

use super::*;
use crate::model::SslMode;

#[tokio::test]
async fn its_address_is_proven_by_the_instances_own_authority() {
    let world = World::new().await;
    let port = world.instance.port();
    let spec = world.spec("connect = \"public\"\n").replace(
        "postgresql:///app?user=postgres",
        &format!("postgresql:///app?user=postgres&port={port}"),
    );
    let project = world.project(&spec).await.expect("a project");
    assert!(matches!(
        project.endpoint().sslmode,
        SslMode::VerifyCa | SslMode::VerifyFull
    ));
    let (summary, verdict) = project.backup().await.expect("a backup");
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(summary.rows, 2500);
    let e = world
        .project(&spec.replace("\"public\"", "\"private\""))
        .await;
    let e = e.err().expect("no such address");
    assert!(e.to_string().contains("has no private address"), "{e:?}");
    world.google.assert_clean();
}

/// A stand-in for Google's proxy, with its command line: a link to the socket that is there.
fn stand_in(world: &World, script: &str) -> String {
    let file = world.folder().join("cloud-sql-proxy");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
    use std::os::unix::fs::PermissionsExt;
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, may_run).expect("it may run");
    format!(
        "connect = \"proxy\"\nproxy = [\"{}\", \"--quiet\"]\n",
        file.display()
    )
}

#[tokio::test]
async fn a_proxy_is_started_and_ends_with_the_project() {
    let world = World::new().await;
    let there = world.google.socket_folder();
    let pid = world.folder().join("pid");
    let script = format!(
        "[ \"$1 $3 $4\" = '--unix-socket --quiet {name}' ] || {{ echo \"asked: $*\" >&2; exit 2; }}\n\
         ln -s '{there}/{name}' \"$2/{name}\"\necho $$ > '{pid}'\nexec sleep 600",
        name = world.name(),
        there = there.display(),
        pid = pid.display(),
    );
    let spec = world.spec(&stand_in(&world, &script));
    let project = world.project(&spec).await.expect("a project");
    let counted = project.status(false).await.expect("a status");
    assert_eq!(counted.survey.inventory.tables.len(), 2);
    let pid = std::fs::read_to_string(pid).expect("a pid");
    drop(project);
    let pid = pid.trim().parse().expect("a pid");
    let ended = crate::testing::process_ended(pid, Duration::from_secs(20));
    ended.await.expect("it ends");

    let spec = world.spec(&stand_in(&world, "echo 'no credentials found' >&2; exit 1"));
    let e = world.project(&spec).await.err().expect("it does not start");
    assert_eq!(e.kind(), crate::ErrorKind::Program);
    assert!(e.chain().ends_with("no credentials found"), "{e:?}");
    world.google.assert_clean();
}

#[tokio::test]
async fn a_token_is_the_password_of_an_iam_login() {
    let world = World::new().await;
    let spec = world.spec(&format!("{}iam_login = true\n", world.socket()));
    let project = world.project(&spec).await.expect("a project");
    let password = project.endpoint().password().expect("a token");
    assert_ne!(password.expose(), "tr0ub4dor");
    // The server of this test takes passwords alone, so it says no to the token.
    let e = project.status(false).await.expect_err("no password");
    assert!(
        e.chain().contains("password authentication failed"),
        "{e:?}"
    );
    let login = format!("alter role postgres password '{}'", password.expose());
    world.sql("app", &login).await;
    project.status(false).await.expect("let in with the token");
    world.google.assert_clean();
}

#[tokio::test]
async fn without_the_instance_the_journals_are_there() {
    let world = World::new().await;
    let spec = world
        .spec("connect = \"public\"\n")
        .replace(":main", ":gone");
    let e = world.project(&spec).await.err().expect("it is gone");
    assert_eq!(
        e.to_string(),
        format!("there is no instance {PROJECT}:europe-west1:gone")
    );
    assert!(
        e.advice()
            .is_some_and(|a| a.contains("gcloud sql instances list")),
        "{e:?}"
    );
    let spec = crate::spec::parse(&spec, "rebuild.toml", world.folder(), &|_| None);
    let (environment, events) = (crate::Environment::default(), crate::event::Events::none());
    let store = crate::project::Project::open_store(
        spec.expect("a spec"),
        &environment,
        events,
        Default::default(),
    );
    let project = store.await.expect("a store");
    assert!(project.runs().await.expect("runs").is_empty());
    // And no server of this machine is taken for it.
    assert_eq!(project.endpoint().port, 0);

    let elsewhere = world
        .spec("connect = \"public\"\n")
        .replace("west1", "west9");
    let e = world
        .project(&elsewhere)
        .await
        .err()
        .expect("another region");
    assert!(
        e.to_string().contains("is in \"europe-west1\", not in"),
        "{e:?}"
    );
    world.google.assert_clean();
}
