//! Which program works on a run, and which client programs it uses.

use serde::{Deserialize, Serialize};

use crate::plan::ToolFacts;

/// How much of a hash is shown to people.
const SHOWN: usize = 12;

/// A program that works on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// BLAKE3 of its own file, where that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// The client programs that it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolFacts>,
}

impl Program {
    /// One of which nothing but its version is known, as of runs that began before more was recorded.
    pub(super) fn of_version(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            binary: None,
            tools: Vec::new(),
        }
    }

    /// What is another one than `before`, in words, a line each. What is not known of either is not
    /// compared.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.version != before.version {
            changes.push(format!(
                "rebuild {} has worked on this run, and this is rebuild {}",
                before.version, self.version
            ));
        } else if let (Some(then), Some(now)) = (&before.binary, &self.binary)
            && then != now
        {
            changes.push(format!(
                "another build of rebuild {} has worked on this run: {}, and this is {}",
                self.version,
                short(then),
                short(now)
            ));
        }
        changes.extend(self.changed_tools(before));
        changes
    }

    /// The client programs that are others than `before`, in words, a line each.
    pub fn changed_tools(&self, before: &Self) -> Vec<String> {
        let changed = before.tools.iter().filter_map(|then| {
            let was = format!("{} was {} in {}", then.name, then.version, then.path);
            match self.tools.iter().find(|now| now.name == then.name) {
                // A run that ended before its programs were looked at has none.
                _ if self.tools.is_empty() => None,
                None => Some(format!("{was}, and is gone")),
                Some(now) if (&now.version, &now.path) == (&then.version, &then.path) => None,
                Some(now) => Some(format!("{was}, and is {} in {}", now.version, now.path)),
            }
        });
        changed.collect()
    }
}

fn short(hash: &str) -> &str {
    hash.get(..SHOWN).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(version: &str, binary: Option<&str>, tools: &[(&str, &str)]) -> Program {
        let tool = |(name, version): &(&str, &str)| ToolFacts {
            name: (*name).to_owned(),
            path: format!("/usr/bin/{name}"),
            major: 15,
            version: (*version).to_owned(),
        };
        Program {
            version: version.to_owned(),
            binary: binary.map(ToOwned::to_owned),
            tools: tools.iter().map(tool).collect(),
        }
    }

    #[test]
    fn only_what_is_known_to_be_another_one_is_told() {
        let before = program("1.0", Some("aaaaaaaaaaaaaaaa"), &[("pg_dump", "15.18")]);
        let said = |now: Program| now.changes_since(&before).join("\n");
        assert_eq!(said(before.clone()), "");
        // Whoever knows less, or more, is no other one for that.
        assert_eq!(said(Program::of_version("1.0")), "");
        assert_eq!(before.changes_since(&Program::of_version("1.0")), [""; 0]);
        assert_eq!(
            said(program("1.1", Some("b"), &[("pg_dump", "15.18")])),
            "rebuild 1.0 has worked on this run, and this is rebuild 1.1"
        );
        assert_eq!(
            said(program("1.0", Some("bbbbbbbbbbbbbbbb"), &[])),
            "another build of rebuild 1.0 has worked on this run: aaaaaaaaaaaa, and this is \
             bbbbbbbbbbbb"
        );
        assert_eq!(
            said(program("1.0", None, &[("pg_dump", "15.20")])),
            "pg_dump was 15.18 in /usr/bin/pg_dump, and is 15.20 in /usr/bin/pg_dump"
        );
        assert_eq!(
            said(program("1.0", None, &[("pg_restore", "15.18")])),
            "pg_dump was 15.18 in /usr/bin/pg_dump, and is gone"
        );
    }
}
