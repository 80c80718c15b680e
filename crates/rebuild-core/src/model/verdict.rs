//! The answer of a check. A mismatch is a value; an error means "could not tell".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", content = "because", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was looked at and it is as it should be.
    Passed,
    /// It was looked at and it is not; what was expected and what was found, one line each.
    Failed(Vec<String>),
    /// It could not be looked at, and why. Counts as a failure: absence of evidence is not proof.
    NotRun(String),
}

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was checked, for example `counts` or `column public.gpu.vendor`.
    pub name: String,
    /// How much was looked at, in words: `12 tables, 340,211 rows`.
    pub looked_at: String,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks of one verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The checks, in the order they ran.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Adds a check.
    pub fn add(&mut self, name: impl Into<String>, looked_at: impl Into<String>, outcome: Outcome) {
        self.checks.push(Check {
            name: name.into(),
            looked_at: looked_at.into(),
            outcome,
        });
    }

    /// Adds a check that failed if there is any complaint.
    pub fn add_complaints(
        &mut self,
        name: impl Into<String>,
        looked_at: impl Into<String>,
        complaints: Vec<String>,
    ) {
        let outcome = if complaints.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(complaints)
        };
        self.add(name, looked_at, outcome);
    }

    /// True when at least one check ran and every check passed.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.failures().next().is_none()
    }

    /// The checks that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| c.outcome != Outcome::Passed)
    }

    /// One line for each check that did not pass.
    pub fn complaints(&self) -> Vec<String> {
        self.failures()
            .map(|c| match &c.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(lines) => format!("{}: {}", c.name, lines.join("; ")),
                Outcome::NotRun(why) => format!("{}: not run: {why}", c.name),
            })
            .collect()
    }

    /// Adds the other's checks to this one's.
    pub fn extend(&mut self, other: Self) {
        self.checks.extend(other.checks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_evidence_is_no_pass() {
        let mut verdict = Verdict::default();
        assert!(!verdict.passed());
        verdict.add("counts", "1 table", Outcome::Passed);
        assert!(verdict.passed());
        verdict.add("probe", "nothing", Outcome::NotRun("no network".into()));
        assert!(!verdict.passed());
        assert_eq!(verdict.complaints(), ["probe: not run: no network"]);
    }
}
