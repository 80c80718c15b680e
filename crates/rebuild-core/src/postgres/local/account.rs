//! Whose processes a local server's are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::process::Command;

use crate::error::{Error, ErrorKind, Result};

/// An unprivileged account. PostgreSQL refuses to run as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account that server processes run as, or `None` where this process is not root and
    /// they run as itself: `nobody`, who owns nothing else, otherwise `postgres`.
    pub(super) fn choose() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        ["nobody", "postgres"]
            .iter()
            .find_map(|name| Self::find(&accounts, name))
            .map(Some)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Program,
                    "PostgreSQL does not run as root, and there is neither a user nobody nor postgres",
                )
                .hint("run this as an unprivileged user, or create the user postgres")
            })
    }

    /// The account `name` in the text of a password file.
    fn find(accounts: &str, name: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [found, _, uid, gid, ..] = fields[..] else {
                return None;
            };
            (found == name && uid != "0").then_some(())?;
            Some(Self {
                name: found.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            })
        })
    }

    /// Gives `path`, which is still out of everybody else's reach, to the account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        Ok(std::os::unix::fs::chown(
            path,
            Some(self.uid),
            Some(self.gid),
        )?)
    }

    /// True if the process `pid` is one of the account's.
    pub(super) fn runs(&self, pid: i32) -> bool {
        std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|found| found.uid() == self.uid)
    }

    /// Makes `command` run as the account; the standard library drops the other groups with it.
    pub(super) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_file_names_the_ids() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbad line\nnobody:x:65534:65533::/:/bin/false\n";
        let found = Account::find(text, "nobody").expect("there");
        assert_eq!((found.uid, found.gid), (65534, 65533));
        assert_eq!(Account::find(text, "postgres"), None);
        assert_eq!(Account::find(text, "root"), None);
    }
}
