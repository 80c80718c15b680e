//! The variables that a process was started with.

use std::collections::BTreeMap;
use std::fmt;

#[cfg(any(feature = "s3", feature = "gs"))]
use crate::secret::Secret;

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
    pub fn of<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let owned = variables.into_iter().map(|(n, v)| (n.into(), v.into()));
        Self(owned.collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that is set to something.
    #[cfg(any(
        feature = "postgres",
        feature = "s3",
        feature = "gs",
        feature = "k8s",
        feature = "gcp"
    ))]
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The values of those of `names` that are set to something.
    #[cfg(any(feature = "s3", feature = "gs"))]
    pub(crate) fn secrets(&self, names: &[&str]) -> Vec<Secret> {
        let values = names.iter().filter_map(|name| self.filled(name));
        values.map(Secret::new).collect()
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
        let env = Environment::of([("PGPASSWORD", "hunter2")]);
        assert_eq!(format!("{env:?}"), "{\"PGPASSWORD\"}");
        assert_eq!(env.get("PGPASSWORD"), Some("hunter2"));
    }
}
