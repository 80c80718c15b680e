//! What is particular about the plan of a refresh.

use super::build::rows_about;
use super::guards::refusal;
use super::{Refusal, Rules, SourceSurvey, Survey};

/// What becomes of it.
const ONLY: &str = "only in the target, and from then on only in the retired database";

/// Production is never the target of a refresh; the source has reasons of its own.
pub(super) fn guard(rules: &Rules<'_>, survey: &Survey) -> Vec<Refusal> {
    let Some(source) = &survey.source else {
        return Vec::new();
    };
    let mut found = source.refusals.clone();
    if rules.is_production() || survey.says_production() {
        found.push(refusal(
            "source",
            "the target is labelled as production, and a refresh would replace its rows",
            "are source.url and target.url the wrong way round?",
        ));
    }
    found
}

/// What only the target has, and what of the source does not arrive as it is.
pub(super) fn losses(survey: &Survey) -> Vec<String> {
    let mut losses = Vec::new();
    if let Some(drift) = &survey.drift {
        for (table, rows) in survey.lost_tables() {
            losses.push(format!("{ONLY}: table {table} with {}", rows_about(rows)));
        }
        for table in &drift.tables {
            let lost = table.lost_columns.iter();
            losses.extend(
                lost.map(|(column, kind)| {
                    format!("{ONLY}: column {}.{column} ({kind})", table.table)
                }),
            );
        }
        let objects = drift.objects.iter().filter(|(sign, _)| *sign == '-');
        losses.extend(objects.map(|(_, object)| format!("{ONLY}: {object}")));
    }
    losses
}

/// The source for people, and what becomes of its rows.
pub fn source_lines(source: &SourceSurvey) -> Vec<String> {
    let mut lines = vec![format!("{} at {}", source.identity, source.endpoint)];
    let masked = source.masked.iter();
    lines.extend(masked.map(|(table, column, how)| format!("masked: {table}.{column} by {how}")));
    let chosen = source.chosen.iter();
    lines.extend(chosen.map(|(table, which)| format!("not all rows: {table}, {which}")));
    let preserved = source.preserved.iter();
    lines.extend(preserved.map(|line| format!("outlives the refresh: {line}")));
    lines
}
