use super::*;
use crate::model::infrastructure::{InfrastructureTool, OutputChange};

/// Changes from lines such as `create a`, `delete a (ab12)`, `replace a because tainted`, `output o`.
fn changes(lines: &[&str]) -> PlannedChanges {
    let mut changes = PlannedChanges {
        tool: InfrastructureTool::Terraform,
        version: "1.11.4".to_owned(),
        workspace: "default".to_owned(),
        new_workspace: false,
        targets: Vec::new(),
        changes: Vec::new(),
        outputs: Vec::new(),
        unchanged: 0,
        digest: lines.join("\n"),
    };
    for line in lines {
        let (action, about) = line.split_once(' ').expect(line);
        if action == "output" {
            let name = about.to_owned();
            let action = Action::Create;
            changes.outputs.push(OutputChange { name, action });
        } else {
            changes.changes.push(change(action, about));
        }
    }
    changes
}

fn change(action: &str, about: &str) -> Change {
    let action = serde_json::from_value(action.into()).expect(action);
    let (about, tainted) = match about.strip_suffix(" because tainted") {
        Some(about) => (about, true),
        None => (about, false),
    };
    let (address, deposed) = match about.split_once(" (") {
        Some((address, key)) => (address, Some(key.trim_end_matches(')').to_owned())),
        None => (about, None),
    };
    let mut change = super::super::data::change(address.to_owned(), "t".to_owned(), action);
    change.deposed = deposed;
    change.why = tainted.then(|| HALF_MADE.to_owned());
    change
}

fn refused(shown: &[&str], now: &[&str], leeway: Leeway) -> Vec<String> {
    refusal(&changes(shown), &changes(now), leeway).unwrap_or_default()
}

#[test]
fn the_same_and_what_is_left_of_it_may_be_done() {
    for (shown, now) in [
        (&["create a", "create b"][..], &["create a", "create b"][..]),
        (&["create a", "create b"], &["create b"]),
        (&["create a", "create b"], &["create b", "read c"]),
        (&["create a", "create b"], &["replace b because tainted"]),
        (
            &["update a", "delete b", "output o"],
            &["delete b", "output o"],
        ),
        (&["update a", "output o", "output p"], &["output o"]),
        // A replacement that was ended after its first half, in either order.
        (&["replace a"], &["create a"]),
        (&["replace a"], &["delete a (ab12)"]),
        (&["replace a"], &["delete a"]),
        (&["replace a", "create b"], &["create a", "delete a (ab12)"]),
        (&["delete a (ab12)", "create b"], &["delete a (ab12)"]),
        (&["forget a", "no-op b"], &["no-op b"]),
    ] {
        for leeway in [Leeway::None, Leeway::Additions] {
            assert_eq!(refused(shown, now, leeway), [""; 0], "{shown:?} {now:?}");
        }
    }
}

#[test]
fn what_was_not_shown_is_refused() {
    for (shown, now, lines) in [
        (
            &["create a"][..],
            &["create b"][..],
            &["no longer: create a", "new: create b"][..],
        ),
        (&[], &["update a"], &["new: update a"]),
        (
            &["create a", "create b"],
            &["create b", "output o"],
            &["no longer: create a", "new: create output o"],
        ),
        (
            &["create a", "update b"],
            &["replace b"],
            &[
                "no longer: create a",
                "no longer: update b",
                "new: replace b",
            ],
        ),
        // One of that name was shown, and these are two.
        (
            &["create a", "create b"],
            &["create a", "create a"],
            &["no longer: create b", "new: create a"],
        ),
    ] {
        assert_eq!(
            refused(shown, now, Leeway::None),
            lines,
            "{shown:?} {now:?}"
        );
    }
    let mut other = changes(&["create a"]);
    other.digest = "other values".to_owned();
    let lines = refusal(&changes(&["create a"]), &other, Leeway::None);
    assert_eq!(
        lines.expect("refused"),
        ["the same resources, with other values"]
    );
}

#[test]
fn additions_are_left_to_a_run_that_removed_something_and_losses_are_not() {
    for (shown, now) in [
        (&[][..], &["create a"][..]),
        (&["update a"], &["create a", "update b"]),
        (&["replace a"], &["replace a", "create b", "output o"]),
        (&[], &["no-op a"]),
    ] {
        assert_eq!(refused(shown, now, Leeway::Additions), [""; 0], "{now:?}");
        assert!(!refused(shown, now, Leeway::None).is_empty(), "{now:?}");
    }
    for (shown, now, lines) in [
        (&[][..], &["delete a"][..], &["not shown: delete a"][..]),
        (
            &["create a", "delete b"],
            &["create a", "create c", "replace a", "delete b", "forget d"],
            &["not shown: replace a", "not shown: forget d"],
        ),
        // Something else than what was shown to go.
        (
            &["delete a (ab12)"],
            &["delete a"],
            &["not shown: delete a"],
        ),
        (
            &["delete a (ab12)"],
            &["delete a (cd34)"],
            &["not shown: delete a (deposed object cd34)"],
        ),
        (
            &["delete a"],
            &["delete a", "delete a"],
            &["not shown: delete a"],
        ),
        (
            &["update a"],
            &["replace a because tainted"],
            &["not shown: replace a (replace because tainted)"],
        ),
    ] {
        assert_eq!(refused(shown, now, Leeway::Additions), lines, "{now:?}");
        assert!(!refused(shown, now, Leeway::None).is_empty(), "{now:?}");
    }
}

#[test]
fn a_new_workspace_is_filled_and_nothing_in_it_destroyed() {
    let mut new = changes(&[]);
    new.new_workspace = true;
    new.digest = "new".to_owned();
    assert_eq!(refusal(&new, &new, Leeway::None), None);
    let filled = changes(&["create a", "update b"]);
    assert_eq!(refusal(&new, &filled, Leeway::None), None);
    let lines = refusal(&new, &changes(&["create a", "delete b"]), Leeway::None);
    assert_eq!(lines.expect("refused"), ["not shown: delete b"]);
    // And one that was there is not made again.
    for leeway in [Leeway::None, Leeway::Additions] {
        let lines = refusal(&filled, &new, leeway).expect("refused");
        assert_eq!(lines, ["no longer there: terraform default"]);
    }
}

#[test]
fn elsewhere_nothing_was_shown() {
    let shown = changes(&["create a"]);
    let mut workspace = changes(&[]);
    workspace.workspace = "prod".to_owned();
    let mut targets = changes(&[]);
    targets.targets = vec!["a.b".to_owned()];
    let mut tool = changes(&[]);
    tool.tool = InfrastructureTool::Tofu;
    for (now, is) in [
        (workspace, "terraform prod"),
        (targets, "terraform default, targets a.b"),
        (tool, "tofu default"),
    ] {
        for leeway in [Leeway::None, Leeway::Additions] {
            let lines = refusal(&shown, &now, leeway).expect("refused");
            assert_eq!(
                lines,
                [format!(
                    "it was shown for terraform default, and this is {is}"
                )]
            );
        }
    }
}
