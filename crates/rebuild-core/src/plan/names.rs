//! The names a run gives to databases.

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
    use super::*;

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
}
