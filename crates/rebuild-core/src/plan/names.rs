//! The names a run gives to databases.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::RunId;

/// The longest database name PostgreSQL keeps whole, in bytes.
const MAX_BYTES: usize = 63;

/// The names of one run, both unique to it and at most 63 bytes long, so that the server never
/// cuts one off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The new database until it is promoted.
    pub staged: String,
    /// The old database once it is retired.
    pub retired: String,
}

impl Names {
    /// The names that `run` uses for `target`.
    pub fn of(run: &RunId, target: &str) -> Self {
        Self {
            staged: name(target, "new", run.short()),
            retired: name(target, "old", run.short()),
        }
    }
}

/// The name of a rehearsal: of its workspaces, and a part of the name of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehearsalName(String);

/// So long that something of the target's name stays beside it, and beside what a run adds.
const MAX_REHEARSAL: usize = 24;

impl RehearsalName {
    /// The name as text: letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the database that stands in for `target`; at most 63 bytes long.
    pub fn database(&self, target: &str) -> String {
        name(target, "rehearsal", &self.0)
    }
}

impl fmt::Display for RehearsalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RehearsalName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let sound = text.len() <= MAX_REHEARSAL
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(known);
        // Every configuration has the workspace "default".
        if !sound || text == "default" {
            return Err(Error::usage(format!(
                "{text:?} cannot be the name of a rehearsal: it is of 1 to {MAX_REHEARSAL} letters, \
                 digits, `-` and `_`, begins with a letter or digit, and is not \"default\""
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

fn name(target: &str, role: &str, short: &str) -> String {
    let tail = format!("_{role}_{short}");
    let mut keep = (MAX_BYTES - tail.len()).min(target.len());
    while !target.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &target[..keep])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(random: u64) -> RunId {
        let text = format!("run-20260102t030405z-{random:016x}");
        text.parse().expect("an id")
    }

    proptest! {
        #[test]
        fn no_two_databases_of_any_runs_share_a_name(
            target in "\\PC{1,63}",
            (one, other) in (0..1_u64 << 48, 0..1_u64 << 48),
            called in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,23}",
        ) {
            let target = &target[..target.floor_char_boundary(MAX_BYTES)];
            let names = Names::of(&id(one), target);
            let beside = Names::of(&id(other), target);
            let mut all = vec![target, &names.staged, &names.retired];
            if one != other {
                all.extend([beside.staged.as_str(), &beside.retired]);
            } else {
                prop_assert_eq!(&names, &beside, "a repeat has the same names");
            }
            for name in &all {
                prop_assert!(name.len() <= MAX_BYTES && !name.is_empty(), "{}", name);
            }
            let known = all.len();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), known);
            if let Ok(rehearsal) = called.parse::<RehearsalName>() {
                let database = rehearsal.database(target);
                prop_assert!(database.len() <= MAX_BYTES);
                prop_assert!(!all.contains(&database.as_str()));
            }
        }
    }

    #[test]
    fn long_names_are_cut_by_us_between_characters() {
        let run = RunId::generate();
        for target in ["app", &"x".repeat(63), &"é".repeat(31)] {
            let names = Names::of(&run, target);
            assert!(names.staged.len() <= MAX_BYTES, "{}", names.staged);
            assert!(names.retired.len() <= MAX_BYTES);
            assert_ne!(names.staged, names.retired);
            assert!(names.staged.ends_with(run.short()));
        }
    }
    #[test]
    fn a_rehearsal_has_a_name_that_fits_everywhere() {
        let long = "n".repeat(MAX_REHEARSAL);
        for text in ["a", "Test-1_b", "7", &long] {
            let name: RehearsalName = text.parse().expect(text);
            for target in ["app", &"x".repeat(63), &"é".repeat(31)] {
                let database = name.database(target);
                assert!(database.len() <= MAX_BYTES, "{database}");
                assert!(database.ends_with(&format!("_rehearsal_{text}")));
                assert_ne!(database, target);
                // A run of it can still be told from a run of another one.
                let names = Names::of(&RunId::generate(), &database);
                assert!(names.staged.len() <= MAX_BYTES);
            }
        }
        let too_long = "n".repeat(MAX_REHEARSAL + 1);
        for text in [
            "", "default", "-a", "_a", "a b", "a/b", "ä", "a.b", &too_long,
        ] {
            assert!(text.parse::<RehearsalName>().is_err(), "{text:?}");
        }
    }
}
