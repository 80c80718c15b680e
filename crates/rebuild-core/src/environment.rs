//! The variables that a process was started with.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables as a value, so that what depends on them can be tried with any.
///
/// `Debug` shows their names alone: one may hold a password.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process, as they are now.
    pub fn from_process() -> Self {
        Self::of(std::env::vars_os().map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        }))
    }

    /// These variables and no others.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that is set to something.
    #[cfg(any(feature = "postgres", feature = "s3", feature = "gs"))]
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_alone() {
        let env = Environment::of([("PGPASSWORD".to_owned(), "hunter2".to_owned())]);
        assert_eq!(format!("{env:?}"), "{\"PGPASSWORD\"}");
        assert_eq!(env.get("PGPASSWORD"), Some("hunter2"));
    }
}
