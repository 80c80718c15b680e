//! `docs/DEPENDENCIES.md` has every direct dependency of the crates and no other, each is used, and
//! no crate has `unsafe` in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The `Cargo.toml` of each crate.
fn crates() -> Vec<(PathBuf, Table)> {
    let folders = fs::read_dir(root().join("crates")).expect("the crates");
    let folders = folders.map(|entry| entry.expect("an entry").path());
    folders
        .map(|folder| (folder.clone(), read(&folder.join("Cargo.toml"))))
        .collect()
}

/// The names of the dependencies in `table` that are no crates of this project.
fn foreign(table: Option<&Value>) -> BTreeSet<String> {
    let table = table.and_then(Value::as_table).into_iter().flatten();
    let names = table.map(|(name, _)| name.clone());
    names.filter(|name| !name.starts_with("rebuild-")).collect()
}

fn direct() -> BTreeSet<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    crates()
        .iter()
        .flat_map(|(_, manifest)| kinds.map(|kind| foreign(manifest.get(kind))))
        .flatten()
        .collect()
}

#[test]
fn every_dependency_is_explained_and_no_other() {
    let page = fs::read_to_string(root().join("docs/DEPENDENCIES.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut explained = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let name = cells[0].trim_matches('`').to_owned();
        assert!(explained.insert(name), "twice: {row}");
    }
    assert!(explained.len() > 40, "{} rows", explained.len());
    assert_eq!(explained, direct());
}

#[test]
fn what_the_workspace_declares_is_what_crates_take() {
    let workspace = read(&root().join("Cargo.toml"));
    let declared = foreign(workspace["workspace"].get("dependencies"));
    let taken = direct();
    let unused: Vec<&String> = declared.difference(&taken).collect();
    assert!(unused.is_empty(), "no crate takes {unused:?}");
    for (folder, manifest) in crates() {
        let used = sources(&folder);
        for kind in ["dependencies", "dev-dependencies"] {
            for name in foreign(manifest.get(kind)) {
                let name = match &*name {
                    // Its library has another name than its package.
                    "md-5" => "md5".to_owned(),
                    name => name.replace('-', "_"),
                };
                let named =
                    used.contains(&format!("{name}::")) || used.contains(&format!("{name};"));
                assert!(named, "{} does not use {name}", folder.display());
            }
        }
    }
}

/// All that a crate is compiled from, with the tests that lie at the top of the repository.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    let mut open = vec![folder.to_owned()];
    if folder.ends_with("rebuild-cli") {
        open.push(root().join("tests"));
    }
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all += &fs::read_to_string(&path).expect("a source");
        }
    }
    all
}

#[test]
fn no_crate_has_unsafe_code() {
    let workspace = read(&root().join("Cargo.toml"));
    let lints = &workspace["workspace"]["lints"]["rust"];
    assert_eq!(lints["unsafe_code"].as_str(), Some("forbid"));
    for (folder, manifest) in crates() {
        let taken = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(taken, Some(&Value::Boolean(true)), "{}", folder.display());
    }
}

/// Crates that unpack archives have had holes by which files are written anywhere.
#[test]
fn no_crate_unpacks_archives() {
    let lock = read(&root().join("Cargo.lock"));
    let packages = lock["package"].as_array().expect("packages");
    let named = |package: &Value| package["name"].as_str().expect("a name").to_owned();
    let found: Vec<String> = packages.iter().map(named).collect();
    assert!(found.len() > 100, "{} packages", found.len());
    for name in [
        "tar",
        "tokio-tar",
        "astral-tokio-tar",
        "async-tar",
        "zip",
        "cpio",
        "ar",
    ] {
        assert!(!found.iter().any(|one| one == name), "{name}");
    }
}
