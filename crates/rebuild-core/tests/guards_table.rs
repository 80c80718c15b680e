//! Every test that `docs/GUARDS.md`, `docs/HAZARDS.md` and `docs/PEERS.md` name is there; every guard
//! of the plan and every hazard is in its table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a row says, in its last cell, of a hazard that cannot occur; the reason follows.
const DOES_NOT_APPLY: &str = "does not apply: ";

/// How many hazards there are.
const HAZARDS: usize = 122;

/// The sources below `folder` whose names end in `ending`.
fn sources(folder: &Path, ending: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, ending, found);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The names of the functions that are marked as tests, and of those of Python, whose names mark
/// them.
fn tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&root().join(folder), "rs", &mut texts);
    }
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
                names.insert(up_to_bracket(name));
            }
        }
    }
    let mut texts = Vec::new();
    sources(&root().join("crates/rebuild-py/tests"), "py", &mut texts);
    for line in texts.iter().flat_map(|text| text.lines()) {
        let name = line.trim().trim_start_matches("async ");
        let name = name.strip_prefix("def ").filter(|n| n.starts_with("test"));
        names.extend(name.map(up_to_bracket));
    }
    names
}

fn up_to_bracket(name: &str) -> String {
    let end = name.find('(').unwrap_or(name.len());
    name[..end].to_owned()
}

/// The rows of the tables: what is in each cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect());
    let cells: Vec<Vec<&str>> = cells.collect();
    // The heads of the tables are no rows of theirs.
    let heads = ["guard", "pitfall", "id"];
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

/// The tests that a row names and that are not there; a row that names none is no row.
fn missing(row: &[&str], tests: &BTreeSet<String>) -> Vec<String> {
    let named = quoted(row.last().expect("a cell"));
    assert!(!named.is_empty(), "{row:?} names no test");
    let unknown = named.into_iter().filter(|name| !tests.contains(*name));
    unknown.map(str::to_owned).collect()
}

#[test]
fn every_test_in_the_tables_exists() {
    let tests = tests();
    let mut absent = Vec::new();
    for file in ["GUARDS.md", "PEERS.md"] {
        let table = table(file);
        let rows = rows(&table);
        assert!(rows.len() > 20, "{file}: {} rows", rows.len());
        absent.extend(rows.iter().flat_map(|row| missing(row, &tests)));
    }
    assert!(absent.is_empty(), "no such test: {absent:?}");
}

/// Each once, in order, with tests that exist, or with the reason why it does not apply.
#[test]
fn every_hazard_is_in_the_table_with_its_tests() {
    let tests = tests();
    let table = table("HAZARDS.md");
    let rows = rows(&table);
    let ids: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let wanted: Vec<String> = (1..=HAZARDS).map(|n| format!("H-{n:02}")).collect();
    assert_eq!(ids, wanted);
    let mut absent = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        match row[3].strip_prefix(DOES_NOT_APPLY) {
            Some(why) => assert!(why.len() > 20 && quoted(why).is_empty(), "{row:?}"),
            None => absent.extend(missing(row, &tests)),
        }
    }
    assert!(absent.is_empty(), "no such test: {absent:?}");
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
