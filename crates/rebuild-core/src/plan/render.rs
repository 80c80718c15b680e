//! The plan for people: what is there, what will happen, what will be lost. Readable without
//! colour.

use std::fmt::Write as _;

use super::{
    Drift, Plan, Strategy, cluster_lines, gcp_lines, infrastructure_lines, instance_lines,
    source_lines,
};
use crate::error::clean;

impl Plan {
    /// The plan as text, ending with a newline, safe to show on a terminal.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        section(
            &mut out,
            "Steps",
            self.steps.iter().map(|s| s.title.clone()),
            true,
        );
        if let Some(source) = &self.survey.source {
            section(&mut out, "Source", source_lines(source), false);
        }
        if let Some(cluster) = &self.survey.cluster {
            section(&mut out, "Cluster", cluster_lines(cluster), false);
        }
        if let Some(instance) = &self.survey.instance {
            section(&mut out, "Instance", instance_lines(instance), false);
        }
        if let Some(gcp) = &self.survey.gcp {
            section(&mut out, "Google Cloud", gcp_lines(gcp), false);
        }
        let planned = infrastructure_lines(&self.survey.infrastructure);
        section(&mut out, "Infrastructure", planned, false);
        if let Some(drift) = self.drift() {
            section(
                &mut out,
                "Drift (live -> schema)",
                drift_lines(drift),
                false,
            );
        }
        let losses = if self.losses.is_empty() {
            vec!["nothing".to_owned()]
        } else {
            self.losses.clone()
        };
        section(&mut out, "Lost, or ended", losses, false);
        section(&mut out, "Warnings", self.warnings.clone(), false);
        let refusals = self
            .refusals
            .iter()
            .map(|r| format!("{}: {}\n    hint: {}", r.guard, r.message, r.hint));
        section(&mut out, "Refused", refusals, false);
        let _ = writeln!(out, "\nDigest {}", self.digest);
        clean(&out)
    }

    fn head(&self, out: &mut String) {
        let inventory = &self.survey.inventory;
        let database = &inventory.database;
        let rows: u64 = inventory
            .tables
            .iter()
            .filter_map(|t| t.estimated_rows)
            .sum();
        let unknown = inventory
            .tables
            .iter()
            .filter(|t| t.estimated_rows.is_none())
            .count();
        let _ = writeln!(out, "Target   {} at {}", self.target, self.endpoint);
        let _ = writeln!(
            out,
            "Label    {}{}",
            self.environment.as_deref().unwrap_or("none"),
            if self.needs_confirmation {
                "; its name must be typed"
            } else {
                ""
            }
        );
        let strategy = match self.strategy {
            Strategy::Aside => {
                "aside: the new database is built beside the old one, and swapped in"
            }
            Strategy::InPlace => match self.replaced() {
                Some(server) => server.strategy(),
                None => "in place: the old database is renamed first",
            },
        };
        let _ = writeln!(out, "Strategy {strategy}");
        if let Some(versions) = self.versions() {
            let _ = writeln!(out, "Schema   {versions}");
        }
        let _ = writeln!(
            out,
            "Size     {}, {} tables, about {rows} rows{}, {} large objects",
            bytes(database.bytes),
            inventory.tables.len(),
            if unknown > 0 {
                format!(" (and {unknown} tables that were never analysed)")
            } else {
                String::new()
            },
            inventory.large_objects
        );
        let _ = writeln!(out, "Sessions {} to be ended", inventory.sessions.len());
    }
}

impl Plan {
    /// The versions that migration tools record, live and new.
    fn versions(&self) -> Option<String> {
        let shown = |m: &(String, String)| format!("{} at {}", m.0, m.1);
        let live = self.survey.schema.migration.as_ref();
        let new = self.survey.new_migration.as_ref();
        match (live, new) {
            (None, None) => None,
            (Some(live), None) => Some(shown(live)),
            (Some(live), Some(new)) if live == new => Some(format!("{}, as before", shown(new))),
            (live, Some(new)) => {
                let live = live.map_or_else(|| "no migration tool".to_owned(), shown);
                Some(format!("{live} -> {}", shown(new)))
            }
        }
    }
}

/// A size with a binary unit, for people.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = n;
    let mut tenths = 0;
    while whole >= 1024 && unit < UNITS.len() - 1 {
        tenths = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 {
        format!("{whole} B")
    } else {
        format!("{whole}.{tenths} {}", UNITS[unit])
    }
}

fn section(out: &mut String, title: &str, lines: impl IntoIterator<Item = String>, numbered: bool) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for (i, line) in lines.enumerate() {
        let _ = if numbered {
            writeln!(out, "  {:>2}. {line}", i + 1)
        } else {
            writeln!(out, "  {line}")
        };
    }
}

/// One line for each difference; `+` is only in the schema, `-` only in the live database.
pub fn drift_lines(drift: &Drift) -> Vec<String> {
    if drift.is_empty() {
        return vec!["none".to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    lines.extend(drift.new_tables.iter().map(|t| format!("+ table {t}")));
    lines.extend(
        drift
            .lost_tables
            .iter()
            .map(|(t, _)| format!("- table {t}")),
    );
    for t in &drift.tables {
        let table = &t.table;
        lines.extend(
            t.new_columns
                .iter()
                .map(|(c, kind)| format!("+ column {table}.{c} {kind}")),
        );
        lines.extend(
            t.lost_columns
                .iter()
                .map(|(c, kind)| format!("- column {table}.{c} {kind}")),
        );
        lines.extend(
            t.changed_columns
                .iter()
                .map(|(c, live, new)| format!("~ column {table}.{c} {live} -> {new}")),
        );
    }
    lines.extend(
        drift
            .objects
            .iter()
            .map(|(sign, what)| format!("{sign} {what}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }
}
