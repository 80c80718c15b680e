//! Every test that `docs/GUARDS.md` and `docs/PEERS.md` name is there, and every guard of the plan
//! is in the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources below `folder`.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The names of the functions that are marked as tests.
fn tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    sources(&root().join("crates"), &mut texts);
    let mut names = BTreeSet::new();
    for text in texts {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            let name = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(name) = name
                && std::mem::take(&mut marked)
            {
                let end = name.find('(').unwrap_or(name.len());
                names.insert(name[..end].to_owned());
            }
        }
    }
    names
}

/// The rows of the tables: what is in each cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect());
    let cells: Vec<Vec<&str>> = cells.collect();
    // The heads of the tables are no rows of theirs.
    let heads = ["guard", "pitfall"];
    cells
        .into_iter()
        .filter(|row| !heads.contains(&row[0]))
        .collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn table(file: &str) -> String {
    fs::read_to_string(root().join("docs").join(file)).expect("the table")
}

#[test]
fn every_test_in_the_tables_exists() {
    let tests = tests();
    let mut missing = Vec::new();
    for file in ["GUARDS.md", "PEERS.md"] {
        let table = table(file);
        let rows = rows(&table);
        assert!(rows.len() > 20, "{file}: {} rows", rows.len());
        for row in &rows {
            let named = quoted(row.last().expect("a cell"));
            assert!(!named.is_empty(), "{row:?} names no test");
            let unknown = named.into_iter().filter(|name| !tests.contains(*name));
            missing.extend(unknown.map(str::to_owned));
        }
    }
    assert!(missing.is_empty(), "no such test: {missing:?}");
}

/// A refusal carries its guard's name, which the table must have.
#[test]
fn every_guard_of_the_plan_is_in_the_table() {
    let source = root().join("crates/rebuild-core/src/plan/guards.rs");
    let source = fs::read_to_string(source).expect("the guards");
    let named = source.split("refusal(").skip(1).filter_map(|call| {
        let name = call.trim_start().strip_prefix('"')?;
        Some(name.split('"').next().unwrap_or_default())
    });
    let named: BTreeSet<&str> = named.collect();
    assert!(named.len() >= 8, "{named:?}");
    let table = table("GUARDS.md");
    let rows = rows(&table);
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    let missing: Vec<&&str> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
