//! What the trials came to, as data: a run that tries some families leaves the others as they were.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::faults::FAMILIES;
use crate::report::Tally;
use crate::trial::Ended;

/// What each family came to when it was tried last, in the order of the families.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The families that were tried.
    pub families: Vec<FamilyResult>,
}

/// What a family came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyResult {
    /// Its name.
    pub family: String,
    /// Where and when.
    pub tried_by: Occasion,
    /// How many faults there were.
    pub tried: usize,
    /// How many struck.
    pub struck: usize,
    /// How many ended in exactly the new state.
    pub ended_new: usize,
    /// How many ended in exactly the old one.
    pub ended_old: usize,
    /// How many struck before anything had begun.
    pub not_begun: usize,
    /// How long all of it took.
    pub minutes: f64,
    /// What went wrong, a line each.
    pub findings: Vec<String>,
}

/// A run of the trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occasion {
    /// The day, as 2026-01-31.
    pub day: String,
    /// The server's version.
    pub server: String,
    /// How many processors there were.
    pub processors: usize,
    /// The command that repeats it.
    pub command: String,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            day,
            server,
            processors,
            command,
        } = self;
        write!(
            f,
            "`{command}`, {day}, PostgreSQL {server}, {processors} processors"
        )
    }
}

impl FamilyResult {
    /// What the trials of a family came to.
    pub fn of(tally: &Tally, occasion: &Occasion) -> Self {
        Self {
            family: tally.family.to_owned(),
            tried_by: occasion.clone(),
            tried: tally.tried.len(),
            struck: tally.struck(),
            ended_new: tally.ended(Ended::New),
            ended_old: tally.ended(Ended::Old),
            not_begun: tally.ended(Ended::Untouched),
            minutes: (tally.took.as_secs_f64() / 6.0).round() / 10.0,
            findings: tally.findings(),
        }
    }
}

impl Results {
    /// Those of earlier runs; none, if there is no such file. What is no family any more is left out.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not what a run wrote.
    pub fn read(file: &Path) -> Result<Self, String> {
        let told = |e: &dyn fmt::Display| format!("{}: {e}", file.display());
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(told(&e)),
        };
        let mut results: Self = serde_json::from_str(&text).map_err(|e| told(&e))?;
        (results.families).retain(|f| FAMILIES.contains(&f.family.as_str()));
        Ok(results)
    }

    /// Puts `result` in its family's place.
    pub fn put(&mut self, result: FamilyResult) {
        self.families.retain(|f| f.family != result.family);
        self.families.push(result);
        let place = |f: &FamilyResult| FAMILIES.iter().position(|name| *name == f.family);
        self.families.sort_by_key(place);
    }

    /// Writes them for the runs to come.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        std::fs::write(file, text + "\n").map_err(|e| format!("{}: {e}", file.display()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Tried;
    use crate::trial::Outcome;

    pub(crate) fn occasion() -> Occasion {
        Occasion {
            day: "2026-01-31".to_owned(),
            server: "15.1".to_owned(),
            processors: 2,
            command: "make chaos".to_owned(),
        }
    }

    /// One fault that struck, one that came too late, and one with a finding.
    pub(crate) fn tally(family: &'static str) -> Tally {
        let outcome = |struck| Outcome {
            struck,
            ended: Ended::Old,
            commands: 1,
        };
        let tried = |what: &str, result| Tried {
            what: what.to_owned(),
            result,
        };
        Tally {
            family,
            tried: vec![
                tried("once", Ok(outcome(true))),
                tried("too late", Ok(outcome(false))),
                tried("badly", Err("ROWS LOST: 3 in service\nand more".to_owned())),
            ],
            took: Duration::from_secs(90),
        }
    }

    #[test]
    fn families_that_are_not_tried_stay_as_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("results.json");
        let mut results = Results::read(&file).expect("none yet");
        let of = |n: usize| FamilyResult::of(&tally(FAMILIES[n]), &occasion());
        results.put(of(1));
        results.put(of(0));
        let again = FamilyResult { tried: 5, ..of(1) };
        results.put(again.clone());
        assert_eq!(results.families, [of(0), again]);
        results.write(&file).expect("written");
        assert_eq!(Results::read(&file).expect("read"), results);
        results.families[0].family = "what is tried no more".to_owned();
        results.write(&file).expect("written");
        assert_eq!(Results::read(&file).expect("read").families.len(), 1);
    }

    #[test]
    fn what_no_run_wrote_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("results.json");
        std::fs::write(&file, "[").expect("written");
        let error = Results::read(&file).expect_err("no results");
        assert!(error.contains("results.json"), "{error}");
    }
}
