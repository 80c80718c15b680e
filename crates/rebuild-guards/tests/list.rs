//! The list of guards fits the sources and the table of hazards.

use std::collections::BTreeSet;
use std::fs;

use rebuild_guards::cut::place;
use rebuild_guards::list::{List, root};

#[test]
fn every_guard_is_where_the_list_says() {
    let list = List::read().expect("the list");
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for guard in &list.guards {
        assert!(
            names.insert(guard.name()),
            "{} is there twice",
            guard.name()
        );
        assert!(!guard.cuts.is_empty(), "{}", guard.name());
        for cut in &guard.cuts {
            let text = fs::read_to_string(root().join(&cut.file)).unwrap_or_default();
            if let Err(why) = place(cut, &text) {
                wrong.push(format!("{}: {why}", guard.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each hazard of the table has a guard in the list or a reason why it has none, and the test of a guard is in the rows of
/// its hazards.
#[test]
fn every_hazard_is_in_the_list_with_a_test_of_its_row() {
    let list = List::read().expect("the list");
    let table = fs::read_to_string(root().join("docs/HAZARDS.md")).expect("the table");
    let rows: Vec<(&str, &str)> = (table.lines())
        .filter(|line| line.starts_with("| H-"))
        .filter_map(|line| Some((line[2..].split(' ').next()?, line)))
        .collect();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let mut seen: BTreeSet<&str> = list.nothing.iter().map(|n| n.hazard.as_str()).collect();
    let mut wrong = Vec::new();
    for guard in &list.guards {
        let test = guard.test.rsplit("::").next().unwrap_or(&guard.test);
        for hazard in &guard.hazards {
            seen.insert(hazard);
            let row = rows.iter().find(|(id, _)| id == hazard);
            if !row.is_some_and(|(_, row)| row.contains(&format!("`{test}`"))) {
                wrong.push(format!("{hazard} does not name {test}"));
            }
        }
    }
    let ids = rows.iter().map(|(id, _)| *id);
    wrong.extend(
        ids.filter(|id| !seen.contains(id))
            .map(|id| format!("{id} is not in the list")),
    );
    assert!(list.nothing.iter().all(|nothing| nothing.why.len() > 20));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
