//! Who started this process.

use std::path::PathBuf;

use crate::environment::Environment;

impl Environment {
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

struct Account {
    name: String,
    number: u32,
    home: String,
}

/// The number of the user `name`, which may be a number already.
pub(super) fn number(name: &str) -> Option<u32> {
    name.parse()
        .ok()
        .or_else(|| find_account(&list()?, |known| known.name == name).map(|known| known.number))
}

/// The name of the user `number`.
pub(super) fn name(number: u32) -> Option<String> {
    find_account(&list()?, |known| known.number == number).map(|known| known.name)
}

/// The line of this process's user in `/etc/passwd`. Users that come from elsewhere (LDAP) are
/// not in it.
fn account() -> Option<Account> {
    let me = rustix::process::geteuid().as_raw();
    find_account(&list()?, |known| known.number == me)
}

fn list() -> Option<String> {
    std::fs::read_to_string("/etc/passwd").ok()
}

fn find_account(list: &str, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    let known = list.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, number, _, _, home, ..] = fields[..] else {
            return None;
        };
        Some(Account {
            name: name.to_owned(),
            number: number.parse().ok()?,
            home: home.to_owned(),
        })
    });
    known.into_iter().find(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number_and_by_its_name() {
        let list = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:10:10::/home/ann:/bin/sh\n";
        let account = find_account(list, |known| known.number == 10).expect("ann");
        assert_eq!(
            (account.name.as_str(), account.home.as_str()),
            ("ann", "/home/ann")
        );
        assert!(find_account(list, |known| known.number == 1).is_none());
        assert_eq!((number("12"), number("root")), (Some(12), Some(0)));
        assert_eq!(name(0).as_deref(), Some("root"));
    }
}
