//! What infrastructure-as-code tools would change: in the plan, and in its digest.

use super::{PlannedInfrastructure, Survey};
use crate::model::infrastructure::destroys;

/// What the tools would do, a line for each tool and an indented one for each change.
pub fn infrastructure_lines(planned: &[PlannedInfrastructure]) -> Vec<String> {
    let mut lines = Vec::new();
    for planned in planned {
        let changes = &planned.changes;
        let (tool, version) = (changes.tool, &changes.version);
        let mut line = format!(
            "{}: {tool} {version}, workspace {}",
            planned.name, changes.workspace
        );
        if !changes.targets.is_empty() {
            line.push_str(&format!(", targets {}", changes.targets.join(", ")));
        }
        if changes.is_empty() {
            line.push_str(", nothing to do");
        }
        if changes.unchanged > 0 {
            line.push_str(&format!(", {} stay as they are", changes.unchanged));
        }
        lines.push(line);
        lines.extend(changes.lines().into_iter().map(|line| format!("  {line}")));
    }
    lines
}

/// What of a run's plan does something.
fn acting(survey: &Survey) -> impl Iterator<Item = &PlannedInfrastructure> {
    let planned = survey.infrastructure.iter();
    planned.filter(|planned| !planned.changes.is_empty())
}

/// What goes for good.
pub(super) fn losses(survey: &Survey) -> impl Iterator<Item = String> {
    survey.infrastructure.iter().flat_map(|planned| {
        let lines = destroys(&planned.changes).into_iter();
        lines.map(|line| format!("infrastructure {}: {line}", planned.name))
    })
}

/// What the operator should know.
pub(super) fn warnings(survey: &Survey) -> Option<String> {
    let names: Vec<&str> = acting(survey).map(|p| p.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "what is changed in the infrastructure ({}) stays when the run goes back",
            names.join(", ")
        )
    })
}

/// What the steps of the run are called, and what each does.
pub(super) fn steps(survey: &Survey) -> impl Iterator<Item = (&str, String)> {
    survey.infrastructure.iter().map(|planned| {
        let changes = &planned.changes;
        let what = match (changes.new_workspace, changes.lines().len()) {
            (true, _) => "a new workspace, and what is to be in it".to_owned(),
            (false, 0) => "nothing to do".to_owned(),
            (false, 1) => "1 change".to_owned(),
            (false, n) => format!("{n} changes"),
        };
        let title = format!("apply {} with {}: {what}", planned.name, changes.tool);
        (planned.name.as_str(), title)
    })
}

/// The names and digests of what would be changed.
pub(super) fn digests(survey: &Survey) -> Vec<(&str, &str)> {
    let planned = survey.infrastructure.iter();
    planned
        .map(|p| (p.name.as_str(), p.changes.digest.as_str()))
        .collect()
}

/// The first tool that has something else to do in one of two surveys than in the other.
pub(super) fn changed<'a>(then: &'a Survey, now: &'a Survey) -> Option<&'a str> {
    let (one, other) = (digests(then), digests(now));
    let differs = |a: &[(&'a str, &str)], b: &[(&str, &str)]| {
        a.iter().find(|pair| !b.contains(pair)).map(|pair| pair.0)
    };
    differs(&one, &other).or_else(|| differs(&other, &one))
}

#[cfg(test)]
mod tests;
