//! Finding programs among made-up ones.

use super::*;

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

#[tokio::test]
async fn a_program_in_a_folder_that_depends_on_where_one_is_is_not_taken() {
    let (planted, real) = (versioned("pg_dump", "99.1"), versioned("pg_dump", "98.1"));
    // From the root on, by way of the folder that one is in.
    let here = std::env::current_dir().expect("a folder");
    let up = "../".repeat(here.components().count() - 1);
    let relative = format!("{up}{}", &planted.path().display().to_string()[1..]);
    assert!(Path::new(&relative).join("pg_dump").exists(), "{relative}");
    let path = format!("{relative}:{}", real.path().display());
    let env = Environment::of([("PATH", path)]);
    let found = ClientTool::find("pg_dump", None, &env, 90).await;
    let found = found.expect("the other");
    assert_eq!((found.major, found.path), (98, real.path().join("pg_dump")));
}
