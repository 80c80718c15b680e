//! The names of works.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::RunId;

/// The longest name of a work.
const LONGEST: usize = 100;

/// The name of a work: lower-case letters, digits and `-`, at most 100 of them. It is made by
/// [`generate`](Self::generate), or by an engine that has a name for each of its own runs and starts the
/// workers together with the coordinator. A name is used once.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct WorkId(String);

impl WorkId {
    /// A new name: the time first, so that names sort by age, and 64 random bits.
    pub fn generate() -> Self {
        let run = RunId::generate();
        let rest = run.as_str().trim_start_matches("run-");
        Self(format!("work-{rest}"))
    }

    /// The name as text; safe as a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::usage(format!(
            "{text:?} is no name of a work: lower-case letters, digits and -, at most {LONGEST}"
        )))
    }
}

impl TryFrom<String> for WorkId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<WorkId> for String {
    fn from(id: WorkId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_file_names() {
        let id = WorkId::generate();
        assert_eq!(id.as_str().parse::<WorkId>().expect("its own text"), id);
        "nightly-2026-01-02".parse::<WorkId>().expect("a name");
        let long = "x".repeat(LONGEST + 1);
        for bad in ["", "..", "a/b", "A", "a b", "a.json", &long] {
            assert!(bad.parse::<WorkId>().is_err(), "{bad}");
        }
    }
}
