//! The spec, and the plan that is made of one.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{Identity, RunId};
use crate::plan::{Names, Plan, StepKind};
use crate::project::with_rules;
use crate::spec::{Spec, from_value, parse};
use crate::testing::survey::survey;

const NAME: &str = "rebuild.toml";

/// Reads `data` as a spec; of one that is sound, makes a plan.
///
/// # Panics
/// A property does not hold.
pub fn spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let spec = match read(text) {
        Ok(spec) => spec,
        Err(e) => {
            assert!(e.to_string().starts_with(NAME), "{e}");
            assert!(e.is_refusal(), "{e:?}");
            return;
        }
    };
    reads_the_same(text, &spec);
    has_a_plan(&spec);
}

fn read(text: &str) -> crate::Result<Spec> {
    // Some variables are set, and one is not.
    let lookup = |name: &str| match name {
        "MISSING" => None,
        name if name.contains("URL") => Some("postgres://app@localhost/app".to_owned()),
        name => Some(format!("value of {name}")),
    };
    parse(text, NAME, Path::new("/srv/app"), &lookup)
}

/// It means the same however it is laid out, and however often it is read.
fn reads_the_same(text: &str, spec: &Spec) {
    let value: toml::Value = toml::from_str(text).expect("it was read before");
    let printed = toml::to_string(&value).expect("a table can be printed");
    for other in [
        text.to_owned(),
        format!("# a comment\n\n{text}\n# another\n"),
        printed,
    ] {
        let other = read(&other).expect("another layout of the same");
        assert_eq!(other.digest(), spec.digest());
        assert_eq!(format!("{other:?}"), format!("{spec:?}"));
    }
    let json = serde_json::to_value(value).expect("a table has a JSON form");
    let same = |name: &str| match name {
        name if name.contains("URL") => Some("postgres://app@localhost/app".to_owned()),
        name => Some(format!("value of {name}")),
    };
    let other = from_value(json, Path::new("/srv/app"), &same).expect("the same as JSON");
    assert_eq!(other.digest(), spec.digest());
    assert_eq!(format!("{other:?}"), format!("{spec:?}"));
}

/// The same survey always makes the same plan, which can be stored, shown and run.
fn has_a_plan(spec: &Spec) {
    let target = Identity {
        server: "7000000000000000001".to_owned(),
        name: "app".to_owned(),
        uid: "16384".to_owned(),
    };
    let build = || {
        let made = with_rules(spec, "app@localhost:5432/app", |rules| {
            Plan::build(rules, survey(target.clone())).expect("a survey has a JSON form")
        });
        made.ok()
    };
    let Some(plan) = build() else { return };
    assert_eq!(build().as_ref(), Some(&plan));
    let stored = plan.to_json().expect("a plan has a JSON form");
    assert_eq!(Plan::from_json(&stored).expect("a stored plan"), plan);
    assert!(!plan.render().is_empty());
    in_order(&plan);
    let run: RunId = "run-20260102t030405z-0123456789abcdef"
        .parse()
        .expect("an id");
    let names = Names::of(&run, &plan.target.name);
    assert!(names.staged.len() <= 63 && names.retired.len() <= 63);
}

/// Nothing moves before there is a proven backup, and what is stopped is started again.
fn in_order(plan: &Plan) {
    let ids: BTreeSet<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids.len(), plan.steps.len(), "ids are unique");
    let at = |wanted: fn(&StepKind) -> bool| plan.steps.iter().position(|s| wanted(&s.kind));
    let proven = at(|k| *k == StepKind::CheckBackup).expect("every plan proves its backup");
    let made = at(|k| *k == StepKind::Provision).expect("every plan makes a database");
    let verified = at(|k| *k == StepKind::Verify).expect("every plan verifies");
    let promoted = at(|k| *k == StepKind::Promote).expect("every plan promotes");
    assert!(proven < made && made < verified && verified < promoted);
    if let Some(retired) = at(|k| *k == StepKind::Retire) {
        assert!(proven < retired && retired < made);
    }
    let of = |kind: &StepKind| match kind {
        StepKind::Stop { workload } => Some((true, workload.clone())),
        StepKind::Start { workload } => Some((false, workload.clone())),
        _ => None,
    };
    let moved: Vec<(bool, String)> = plan.steps.iter().filter_map(|s| of(&s.kind)).collect();
    let (stopped, mut started): (Vec<_>, Vec<_>) = moved.into_iter().partition(|(stop, _)| *stop);
    started.reverse();
    let names = |steps: Vec<(bool, String)>| steps.into_iter().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(
        names(stopped),
        names(started),
        "the last stopped, the first started"
    );
}
