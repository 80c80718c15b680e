//! The variables that a process was started with, and who started it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

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
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The user's home: `HOME`, otherwise what the system's user list says.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.filled("HOME")
            .map(PathBuf::from)
            .or_else(|| account().map(|account| PathBuf::from(account.home)))
    }

    /// The name of the user whom this process runs as: what the system's user list says,
    /// otherwise `USER`.
    pub(super) fn os_user(&self) -> Option<String> {
        account()
            .map(|account| account.name)
            .or_else(|| self.filled("USER").map(str::to_owned))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

struct Account {
    name: String,
    home: String,
}

/// The line of this process's user in `/etc/passwd`. Users that come from elsewhere (LDAP) are
/// not in it.
fn account() -> Option<Account> {
    let list = std::fs::read_to_string("/etc/passwd").ok()?;
    find_account(&list, rustix::process::geteuid().as_raw())
}

fn find_account(list: &str, uid: u32) -> Option<Account> {
    list.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, _, _, home, ..] = fields[..] else {
            return None;
        };
        (id.parse() == Ok(uid)).then(|| Account {
            name: name.to_owned(),
            home: home.to_owned(),
        })
    })
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

    #[test]
    fn an_account_is_found_by_its_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:10:10::/home/ann:/bin/sh\n";
        let account = find_account(list, 10).expect("ann");
        assert_eq!(
            (account.name.as_str(), account.home.as_str()),
            ("ann", "/home/ann")
        );
        assert!(find_account(list, 1).is_none());
    }
}
