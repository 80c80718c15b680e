use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::postgres::{Environment, RowOptions};
use crate::store::Store;

/// Makes `name` in `folder` a program that prints `version`, and counts how often it is asked.
fn program(folder: &Path, name: &str, version: &str) {
    let asked = folder.join("asked").display().to_string();
    let script =
        format!("#!/bin/sh\necho {name} >> '{asked}'\necho '{name} (PostgreSQL) {version}'\n");
    // As a package manager does it: another file under the name.
    let new = folder.join("new");
    std::fs::write(&new, script).expect("a script");
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).expect("a mode");
    std::fs::rename(&new, folder.join(name)).expect("a name");
}

fn times_asked(folder: &Path) -> usize {
    let asked = std::fs::read_to_string(folder.join("asked"));
    asked.expect("they were asked").lines().count()
}

#[tokio::test]
async fn programs_are_asked_again_once_their_files_are_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    program(folder, "pg_dump", "15.18");
    program(folder, "pg_restore", "15.18");
    let url = format!("file://{}/store", folder.display());
    let environment = Environment::default();
    let endpoint = environment.endpoint("host=/nowhere user=u", false);
    let backup = PgBackup::new(
        endpoint.expect("an endpoint"),
        Store::open(&url, &environment).await.expect("a store"),
        RowOptions::default(),
        Some(folder.to_owned()),
        environment,
    );
    let programs = OwnPrograms::new(backup);
    let first = programs.look().await.expect("programs");
    assert_eq!(programs.look().await.expect("programs"), first);
    assert_eq!(times_asked(folder), 2, "each once");
    program(folder, "pg_dump", "15.20");
    let now = programs.look().await.expect("programs");
    let changed = now.changed_tools(&first).join("; ");
    assert!(
        changed.contains("15.18") && changed.contains("15.20"),
        "{changed}"
    );
    assert!(!changed.contains("pg_restore"), "{changed}");
    assert_eq!(times_asked(folder), 4);
    std::fs::remove_file(folder.join("pg_restore")).expect("removed");
    programs.look().await.expect_err("one is gone");
}

#[test]
fn the_hash_is_of_the_file_that_runs() {
    let file = std::env::current_exe().expect("a program");
    let bytes = std::fs::read(file).expect("its bytes");
    let expected = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(own_hash(), Some(expected.as_str()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_is_told_from_the_program_that_loaded_it() {
    let maps = "\
        5500-5600 r--p 00000000 fe:00 1234   /usr/bin/python3\n\
        7f00-7f80 r-xp 00001000 fe:00 99     /opt/a folder/_rebuild.so\n\
        7f80-7fff rw-p 00000000 00:00 0 \n";
    assert_eq!(mapped(maps, 0x5500), Some((1234, "/usr/bin/python3")));
    assert_eq!(
        mapped(maps, 0x7f7f),
        Some((99, "/opt/a folder/_rebuild.so"))
    );
    assert_eq!(mapped(maps, 0x1), None);
}
