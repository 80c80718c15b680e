//! Whether what a tool would do now is what was shown before. Pure.

use crate::model::infrastructure::{Action, Change, PlannedChanges};

/// How terraform explains that what an apply made only half is made anew.
const HALF_MADE: &str = "replace because tainted";

/// What may be done besides what was shown. Nothing is ever destroyed that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leeway {
    /// Nothing.
    None,
    /// Resources may be made, or changed where they are: what a run has removed itself since its plan
    /// was made comes back this way.
    Additions,
}

/// Why `now` may not be applied, a line each, although `shown` may; `None` if it may be.
///
/// It may be if it is the same, or a part of the same: then an apply was ended on its way, and this is
/// what is left. That part is told by resources and actions alone, for their values become known
/// while others are made.
pub(super) fn refusal(
    shown: &PlannedChanges,
    now: &PlannedChanges,
    leeway: Leeway,
) -> Option<Vec<String>> {
    if shown.digest == now.digest {
        return None;
    }
    if (shown.tool, &shown.workspace, &shown.targets) != (now.tool, &now.workspace, &now.targets) {
        return Some(vec![format!(
            "it was shown for {}, and this is {}",
            place(shown),
            place(now)
        )]);
    }
    if now.new_workspace {
        return Some(vec![format!("no longer there: {}", place(now))]);
    }
    let mut rest = Rest::of(shown);
    let changes = now.changes.iter().filter(|c| c.action != Action::Read);
    let new: Vec<&Change> = changes.filter(|change| !rest.take(change)).collect();
    // Of a workspace that was yet to be made, nothing was shown.
    if leeway == Leeway::Additions || shown.new_workspace {
        let new = new.iter().filter(|change| !is_addition(change));
        let lines: Vec<String> = new.map(|change| format!("not shown: {change}")).collect();
        return (!lines.is_empty()).then_some(lines);
    }
    let known = |name: &str| shown.outputs.iter().any(|output| output.name == name);
    let outputs = now.outputs.iter().filter(|output| !known(&output.name));
    let outputs = outputs.map(|output| format!("new: {} output {}", output.action, output.name));
    let new: Vec<String> = new.iter().map(|change| format!("new: {change}")).collect();
    let new: Vec<String> = new.into_iter().chain(outputs).collect();
    let begun = !rest.is_empty() || shown.outputs.len() > now.outputs.len();
    match (new.is_empty(), begun) {
        (true, true) => None,
        (true, false) => Some(vec!["the same resources, with other values".to_owned()]),
        (false, _) => Some(gone(shown, now).chain(new).collect()),
    }
}

fn place(changes: &PlannedChanges) -> String {
    let place = format!("{} {}", changes.tool, changes.workspace);
    match changes.targets.as_slice() {
        [] => place,
        targets => format!("{place}, targets {}", targets.join(", ")),
    }
}

fn gone(shown: &PlannedChanges, now: &PlannedChanges) -> impl Iterator<Item = String> {
    let now = now.lines();
    let gone = shown.lines().into_iter().filter(move |l| !now.contains(l));
    gone.map(|line| format!("no longer: {line}"))
}

/// True if nothing is lost by it.
fn is_addition(change: &Change) -> bool {
    matches!(
        change.action,
        Action::Create | Action::Update | Action::NoOp
    )
}

/// What is done to a resource; a replacement is two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Destroy,
    Make,
    Update,
    Forget,
    Record,
}

/// What of the changes that were shown has not been met again.
struct Rest<'a>(Vec<(&'a Change, Part)>);

impl<'a> Rest<'a> {
    fn of(shown: &'a PlannedChanges) -> Self {
        let changes = shown.changes.iter();
        Self(
            changes
                .flat_map(|change| parts(change.action).iter().map(move |part| (change, *part)))
                .collect(),
        )
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what `change` does out of what was shown; false if it was not all there.
    fn take(&mut self, change: &Change) -> bool {
        let half_made = change.why.as_deref() == Some(HALF_MADE);
        let mut found = Vec::new();
        for part in parts(change.action) {
            match self.find(change, *part) {
                Some(at) => found.push(at),
                // It was not there when it was shown that it would be made.
                None if *part == Part::Destroy && half_made => {}
                None => return false,
            }
        }
        found.sort_unstable();
        for at in found.into_iter().rev() {
            self.0.remove(at);
        }
        true
    }

    /// The old object of a replacement that was ended on its way is deposed, and was not yet when it was
    /// shown.
    fn find(&self, change: &Change, part: Part) -> Option<usize> {
        let find = |deposed: Option<&String>| {
            self.0.iter().position(|(shown, of)| {
                *of == part && shown.address == change.address && shown.deposed.as_ref() == deposed
            })
        };
        let replaced = || find(None).filter(|_| part == Part::Destroy);
        find(change.deposed.as_ref()).or_else(replaced)
    }
}

fn parts(action: Action) -> &'static [Part] {
    match action {
        Action::Create => &[Part::Make],
        Action::Update => &[Part::Update],
        Action::Replace => &[Part::Destroy, Part::Make],
        Action::Delete => &[Part::Destroy],
        Action::Forget => &[Part::Forget],
        Action::NoOp => &[Part::Record],
        Action::Read => &[],
    }
}

#[cfg(test)]
mod tests;
