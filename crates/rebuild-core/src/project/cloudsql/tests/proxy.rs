//! A proxy that is started for a command.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::*;
use crate::ErrorKind;

/// A stand-in for Google's proxy, with its command line: a link to the socket that is there.
fn stand_in(world: &World, script: &str) -> String {
    let file = world.folder().join("cloud-sql-proxy");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, may_run).expect("it may run");
    format!(
        "connect = \"proxy\"\nproxy = [\"{}\", \"--quiet\"]\n",
        file.display()
    )
}

/// What it does until it stands: its arguments in a file, its process in another.
fn standing(world: &World, then: &str) -> String {
    let there = world.google.socket_folder();
    let folder = world.folder().display();
    format!(
        "printf '%s\\n' \"$@\" > '{folder}/arguments'\n\
         ln -s '{there}/{name}' \"$2/{name}\"\necho $$ > '{folder}/pid'\n{then}",
        there = there.display(),
        name = world.name(),
    )
}

fn pid(world: &World) -> i32 {
    let pid = std::fs::read_to_string(world.folder().join("pid")).expect("a pid");
    pid.trim().parse().expect("a number")
}

#[tokio::test]
async fn a_proxy_is_started_and_ends_with_the_project() {
    let world = World::new().await;
    let spec = world.spec(&stand_in(&world, &standing(&world, "exec sleep 600")));
    let project = world.project(&spec).await.expect("a project");
    let counted = project.status(false).await.expect("a status");
    assert_eq!(counted.survey.inventory.tables.len(), 2);
    let pid = pid(&world);
    drop(project);
    let ended = crate::testing::process_ended(pid, Duration::from_secs(20));
    ended.await.expect("it ends");

    // The account and the address of the API are those of the spec.
    let given = std::fs::read_to_string(world.folder().join("arguments")).expect("arguments");
    let given: Vec<&str> = given.lines().collect();
    let wanted = spec
        .lines()
        .find_map(|line| line.strip_prefix("credentials = "));
    let wanted = wanted.expect("credentials").trim_matches('"');
    assert_eq!((given[0], given[2]), ("--unix-socket", "--quiet"));
    assert_eq!(
        given[3..],
        [
            "--credentials-file",
            wanted,
            "--sqladmin-api-endpoint",
            world.google.url(),
            &world.name(),
        ]
    );

    let spec = world.spec(&stand_in(&world, "echo 'no credentials found' >&2; exit 1"));
    let e = world.project(&spec).await.err().expect("it does not start");
    assert_eq!(e.kind(), ErrorKind::Program);
    assert!(e.chain().ends_with("no credentials found"), "{e:?}");
    world.google.assert_clean();
}

#[tokio::test]
async fn a_proxy_that_ends_midway_is_noticed_with_its_last_words() {
    let world = World::new().await;
    let fifo = world.folder().join("go");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    // A pipe of 64 KiB that nobody reads would hold it up.
    let then = format!(
        "i=0; while [ $i -lt 3000 ]; do echo 'a line about a connection, of which there are many' >&2\n\
         i=$((i+1)); done\nread -r _ < '{}'\n\
         rm \"$2/{}\"\necho 'the token was revoked' >&2; exit 7",
        fifo.display(),
        world.name(),
    );
    let spec = world.spec(&stand_in(&world, &standing(&world, &then)));
    let told = Arc::new(Told::default());
    let project = world.project_told(&spec, told.clone()).await;
    project.status(false).await.expect("a status");
    let ended = "has ended with exit status: 7: ";
    assert!(!told.has(ended));

    // It has read the lines when this can be written.
    let go = tokio::task::spawn_blocking(move || std::fs::write(fifo, "go\n"));
    go.await.expect("no panic").expect("written");
    until("it is told", || told.has(ended)).await;
    assert!(told.has("the token was revoked"));
    let e = project.status(false).await.expect_err("no way there");
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{e:?}");
    assert!(e.to_string().contains("could not connect to"), "{e:?}");
    assert!(e.chain().contains(ended), "{e:?}");
    assert!(e.chain().ends_with("the token was revoked"), "{e:?}");
    world.google.assert_clean();
}
