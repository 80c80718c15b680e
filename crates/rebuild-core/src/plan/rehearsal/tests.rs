use super::*;
use crate::error::ErrorKind;
use crate::model::{Obstacle, SessionFacts};
use crate::plan::Survey;
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};

fn plan_of(change: impl FnOnce(&mut Survey)) -> Plan {
    let mut survey = survey(Sim::with_app().identity("app").expect("app"));
    change(&mut survey);
    Plan::build(&rules(), survey).expect("a plan")
}

fn session() -> SessionFacts {
    SessionFacts {
        pid: 4711,
        role: "app".to_owned(),
        application: "psql".to_owned(),
        client: "local".to_owned(),
        state: "idle".to_owned(),
    }
}

#[test]
fn a_rehearsal_is_refused_as_its_run_is_but_for_sessions() {
    assert_eq!(may_begin(&plan_of(|_| {})).expect("free"), [""; 0]);
    let busy = plan_of(|s| s.inventory.sessions.push(session()));
    assert_eq!(busy.refusals.len(), 1);
    let told = may_begin(&busy).expect("sessions are not ended");
    assert!(
        told[0].starts_with("sessions: ") && told[0].contains("4711"),
        "{told:?}"
    );
    let both = plan_of(|s| {
        s.inventory.sessions.push(session());
        s.inventory.obstacles.push(Obstacle::Pooler);
    });
    let refused = may_begin(&both).expect_err("a pooler");
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("obstacles: "), "{refused}");
    assert!(!refused.to_string().contains("4711"), "{refused}");
}

#[test]
fn a_rehearsal_needs_room_for_two_copies() {
    let with = |free| {
        plan_of(|s| {
            s.inventory.database.bytes = 1000;
            s.server_free_bytes = free;
        })
    };
    let needed = 2400 + guards::LEAST_LEFT;
    let one = with(Some(needed - 1));
    assert!(one.refusals.is_empty(), "the run has room");
    let refused = may_begin(&one).expect_err("no room");
    assert!(
        refused.to_string().contains(&format!("about {needed}")),
        "{refused}"
    );
    for free in [Some(needed), None] {
        may_begin(&with(free)).expect("room");
    }
}

fn changes(changes: &serde_json::Value) -> PlannedChanges {
    let planned = serde_json::json!({
        "tool": "tofu", "version": "1.9.1", "workspace": "one", "changes": changes, "digest": "d",
    });
    serde_json::from_value(planned).expect("changes")
}

#[test]
fn what_is_there_already_is_not_taken_into_a_rehearsal() {
    let makes = |change: serde_json::Value| {
        let read = serde_json::json!({ "address": "data.r", "kind": "k", "action": "read" });
        makes_only(&[PlannedInfrastructure {
            name: "net".to_owned(),
            changes: changes(&serde_json::json!([read, change])),
            by_hand: String::new(),
        }])
    };
    let change =
        |action: &str| serde_json::json!({ "address": "a", "kind": "k", "action": action });
    makes(change("create")).expect("new");
    for action in ["update", "replace", "delete", "forget", "no-op"] {
        let refused = makes(change(action)).expect_err(action);
        let why = format!("infrastructure net: {action} a");
        assert!(refused.to_string().contains(&why), "{refused}");
    }
    for (key, value) in [
        ("imported", serde_json::json!(true)),
        ("moved_from", serde_json::json!("b")),
    ] {
        let mut change = change("create");
        change[key] = value;
        makes(change).expect_err(key);
    }
}

#[test]
fn the_end_of_a_rehearsal_deletes_what_is_in_its_workspace_alone() {
    let managed = ["a".to_owned(), "b (deposed object 7)".to_owned()];
    let change = |action: &str, address: &str, deposed: Option<&str>| {
        let change = serde_json::json!({
            "address": address, "kind": "k", "action": action, "deposed": deposed,
        });
        deletes_only(&changes(&serde_json::json!([change])), &managed)
    };
    change("delete", "a", None).expect("its own");
    change("delete", "b", Some("7")).expect("its own");
    change("read", "data.r", None).expect("only read");
    for (action, address, deposed) in [
        ("delete", "c", None),
        ("delete", "b", None),
        ("update", "a", None),
        ("replace", "a", None),
        ("create", "a", None),
    ] {
        let refused = change(action, address, deposed).expect_err(action);
        let why = format!("would not only lose what is in it: {action} {address}");
        assert!(refused.to_string().contains(&why), "{refused}");
    }
}
