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
