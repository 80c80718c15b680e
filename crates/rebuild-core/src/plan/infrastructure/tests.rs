use super::super::{Plan, Rules, Strategy};
use super::*;
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};

fn plan_of(rules: &Rules<'_>, infrastructure: &[PlannedInfrastructure]) -> Plan {
    let mut survey = survey(Sim::with_app().identity("app").expect("app"));
    survey.infrastructure = infrastructure.to_vec();
    Plan::build(rules, survey).expect("a plan")
}

/// Infrastructure with changes such as `create a`, on resources of that kind.
fn infrastructure(name: &str, changes: &[(&str, &str, Option<&str>)]) -> PlannedInfrastructure {
    let changes: Vec<serde_json::Value> = changes
        .iter()
        .map(|(action, address, holds)| {
            serde_json::json!({ "address": address, "kind": "k", "action": action, "holds": holds })
        })
        .collect();
    let digest = format!("{name} {changes:?}");
    let planned = serde_json::json!({
        "name": name,
        "by_hand": "tofu plan",
        "changes": {
            "tool": "tofu", "version": "1.9.1", "workspace": "prod", "targets": ["a"],
            "changes": changes, "unchanged": 7, "digest": digest,
        },
    });
    serde_json::from_value(planned).expect("infrastructure")
}

#[test]
fn infrastructure_is_shown_and_a_step_right_before_the_new_database() {
    for (strategy, before) in [
        (Strategy::Aside, "check-backup"),
        (Strategy::InPlace, "retire"),
    ] {
        let rules = Rules {
            strategy,
            ..rules()
        };
        let changes = [("create", "a", None), ("delete", "b", None)];
        let planned = [infrastructure("net", &changes), infrastructure("net!", &[])];
        let plan = plan_of(&rules, &planned);
        let ids: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
        let at = ids.iter().position(|id| *id == "provision").expect("it");
        let expected = [before, "infrastructure-net", "infrastructure-net-2"];
        assert_eq!(ids[at - 3..at], expected);
        assert_eq!(plan.losses, ["infrastructure net: delete b"]);
        let stays = "what is changed in the infrastructure (net) stays when the run goes back";
        assert!(
            plan.warnings.contains(&stays.to_owned()),
            "{:?}",
            plan.warnings
        );
        let text = plan.render();
        for line in [
            "\nInfrastructure\n  net: tofu 1.9.1, workspace prod, targets a, 7 stay as they are\n    \
             create a\n    delete b\n  net!: tofu 1.9.1, workspace prod, targets a, nothing to do, 7 \
             stay as they are\n",
            "apply net with tofu: 2 changes\n",
            "apply net! with tofu: nothing to do\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(
            Plan::from_json(&plan.to_json().expect("JSON")).expect("back"),
            plan
        );
    }
}

#[test]
fn infrastructure_that_holds_data_goes_only_if_the_name_is_typed() {
    let with = |holds| {
        let planned = infrastructure("db", &[("replace", "a", holds)]);
        plan_of(&rules(), &[planned])
    };
    with(None).permit_run(None).expect("nothing is lost");
    let plan = with(Some("a volume"));
    assert!(plan.needs_confirmation);
    assert_eq!(
        plan.losses,
        ["infrastructure db: replace a: HOLDS DATA, a volume"]
    );
    let e = plan.permit_run(None).expect_err("not typed");
    assert!(
        e.to_string().contains("infrastructure that holds data"),
        "{e}"
    );
    assert_eq!(e.advice(), Some("give --confirm app"));
    plan.permit_run(Some("app")).expect("typed");
}

#[test]
fn other_changes_of_infrastructure_are_another_plan() {
    let with = |planned: &[PlannedInfrastructure]| plan_of(&rules(), planned);
    let net = infrastructure("net", &[("create", "a", None)]);
    let then = with(std::slice::from_ref(&net));
    then.require_same_state(&with(std::slice::from_ref(&net)))
        .expect("the same");
    for now in [
        with(&[]),
        with(&[infrastructure("net", &[("create", "b", None)])]),
        with(&[net, infrastructure("net", &[])]),
    ] {
        for (one, other) in [(&then, &now), (&now, &then)] {
            let e = one.require_same_state(other).expect_err("another");
            let what = "what there is to do for the infrastructure \"net\" has changed";
            assert!(e.to_string().contains(what), "{e}");
        }
    }
    // A plan from before there was any of it is read, and is the same.
    let none = with(&[]);
    let mut kept: serde_json::Value =
        serde_json::from_slice(&none.to_json().expect("JSON")).expect("JSON");
    let survey = kept["survey"].as_object_mut().expect("a survey");
    survey.remove("infrastructure").expect("it was there");
    let kept = Plan::from_json(kept.to_string().as_bytes()).expect("an older plan");
    assert_eq!(kept, none);
}
