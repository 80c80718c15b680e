//! Names of objects: checked once, used everywhere.

use std::fmt;

use object_store::path::Path;

use crate::error::{Error, Result};

/// The longest component of a name, in bytes; every file system takes it.
const MAX_COMPONENT: usize = 200;

/// The name of an object: components of `[A-Za-z0-9._-]` joined by `/`, none of them `.` or `..`.
/// A name out of a manifest or a listing goes through here before it becomes a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Path);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// It is empty, absolute, leaves its folder, or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let sound = |part: &str| {
            !part.is_empty()
                && part.len() <= MAX_COMPONENT
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if text.split('/').all(sound) {
            Ok(Self(Path::from(text)))
        } else {
            Err(Error::corrupt(format!(
                "{text:?} cannot be the name of an object"
            )))
        }
    }

    /// A name below this one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn join(&self, part: &str) -> Result<Self> {
        Self::new(format!("{}/{part}", self.0))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.filename().unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["a", "runs/run-1/journal/00000001.json", "a..b/c"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(201);
        for bad in [
            "",
            "/",
            "/etc",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a b",
            "a\0b",
            "ä",
            "a\\b",
            "%2e%2e/a",
            long.as_str(),
        ] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
