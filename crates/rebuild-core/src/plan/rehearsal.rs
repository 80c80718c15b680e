//! What a rehearsal asks for besides what its run does. Pure.

use super::{Plan, PlannedInfrastructure, Refusal, StepKind, guards};
use crate::error::{Error, Result};
use crate::model::infrastructure::{Action, Change, PlannedChanges};

/// What stands in the way of the run itself and not of its rehearsal, a line each: sessions in the
/// target, for a rehearsal ends none of them.
///
/// # Errors
/// A refusal, as the run's own, if anything else does; or if there is no room for both copies.
pub(crate) fn may_begin(target: &Plan) -> Result<Vec<String>> {
    let only_told = |refusal: &Refusal| refusal.guard == "sessions";
    let told = target.refusals.iter().filter(|r| only_told(r));
    let told = told.map(guards::line).collect();
    let mut refusals = target.refusals.clone();
    refusals.retain(|refusal| !only_told(refusal));
    refusals.extend(room(target));
    guards::require_none(&refusals)?;
    Ok(told)
}

/// The copy that is rehearsed on, and beside it what the run makes.
fn room(target: &Plan) -> Option<Refusal> {
    let survey = &target.survey;
    let free = survey.server_free_bytes?;
    let size = survey.inventory.database.bytes;
    let new = survey.source.as_ref().map_or(size, |source| source.bytes);
    let rows = target.steps.iter().any(|s| s.kind == StepKind::Restore);
    let beside = if rows { guards::with_spare(new) } else { 0 };
    let needed = guards::with_spare(size) + beside + guards::LEAST_LEFT;
    (free < needed).then(|| {
        guards::refusal(
            "disk",
            format!(
                "the server's disk has {free} bytes free, and a rehearsal needs about {needed}, for a \
                 copy of the target and for the new database beside it"
            ),
            "make room on the server, or purge what an earlier run retired: rebuild purge RUN --now",
        )
    })
}

/// Makes sure that whatever tools do in the workspaces of a rehearsal can be undone by deleting it: what
/// is there already, and is taken under management, would be deleted in the end.
///
/// # Errors
/// A refusal that lists what is not simply made.
pub(crate) fn makes_only(planned: &[PlannedInfrastructure]) -> Result<()> {
    let made = |change: &Change| {
        matches!(change.action, Action::Create | Action::Read)
            && !change.imported
            && change.moved_from.is_none()
    };
    let lines: Vec<String> = planned
        .iter()
        .flat_map(|p| p.changes.changes.iter().map(move |c| (&p.name, c)))
        .filter(|(_, change)| !made(change))
        .map(|(name, change)| format!("infrastructure {name}: {change}"))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "in a new workspace a rehearsal lets a tool make something and nothing else: {}",
        lines.join("; ")
    ))
    .hint("leave what is imported or moved out where terraform.workspace is not the usual one"))
}

/// Makes sure that the end of a rehearsal deletes what is `managed` in its workspace, and does nothing
/// else.
///
/// # Errors
/// A refusal that lists the rest.
pub(crate) fn deletes_only(removal: &PlannedChanges, managed: &[String]) -> Result<()> {
    let deletes = |change: &Change| {
        let address = match &change.deposed {
            Some(key) => format!("{} (deposed object {key})", change.address),
            None => change.address.clone(),
        };
        change.action == Action::Delete && managed.contains(&address)
    };
    let changes = removal.changes.iter();
    let changes = changes.filter(|change| change.action != Action::Read && !deletes(change));
    let lines: Vec<String> = changes.map(ToString::to_string).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{} workspace {} would not only lose what is in it: {}",
        removal.tool,
        removal.workspace,
        lines.join("; ")
    )))
}

#[cfg(test)]
mod tests;
