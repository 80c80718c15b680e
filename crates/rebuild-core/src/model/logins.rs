//! The ways to log in that a server may ask for.

use std::str::FromStr;

use crate::error::{Error, Result};

/// The ways to log in that are taken from a server, as libpq's `require_auth` names them
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-REQUIRE-AUTH>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logins {
    /// The password itself is sent (`password`).
    pub cleartext: bool,
    /// A hash is sent from which the password can be guessed, and which is as good as it (`md5`).
    pub md5: bool,
    /// Each side proves that it knows the password, and neither sends it (`scram-sha-256`).
    pub scram: bool,
    /// The server asks for nothing, or for a client certificate (`none`).
    pub nothing: bool,
}

impl Logins {
    /// Every way that is spoken here.
    pub const ALL: Self = Self {
        cleartext: true,
        md5: true,
        scram: true,
        nothing: true,
    };

    /// Those that tell nobody the password who does not know it.
    pub const WITHOUT_PASSWORDS: Self = Self {
        cleartext: false,
        md5: false,
        ..Self::ALL
    };

    const NONE: Self = Self {
        cleartext: false,
        md5: false,
        scram: false,
        nothing: false,
    };

    fn named(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "password" => &mut self.cleartext,
            "md5" => &mut self.md5,
            "scram-sha-256" => &mut self.scram,
            "none" => &mut self.nothing,
            _ => return None,
        })
    }

    /// As libpq's `require_auth`; nothing if every way is taken.
    pub fn require_auth(mut self) -> Option<String> {
        if self == Self::ALL {
            return None;
        }
        let names = ["password", "md5", "scram-sha-256", "none"];
        let taken = names.map(|name| self.named(name).is_some_and(|taken| *taken).then_some(name));
        Some(taken.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Logins {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        let denied = names.iter().filter(|name| name.starts_with('!')).count();
        if denied != 0 && denied != names.len() {
            return Err(Error::usage(format!(
                "require_auth={text:?} names some ways to log in and rules out others"
            ))
            .hint("name those that are allowed, or each of the others with a ! before it"));
        }
        let mut logins = if denied == 0 { Self::NONE } else { Self::ALL };
        for name in names {
            match (logins.named(name.trim_start_matches('!')), name) {
                (Some(way), _) => *way = denied == 0,
                // Nothing that could be asked for here.
                (None, "gss" | "sspi" | "oauth" | "!gss" | "!sspi" | "!oauth") => {}
                (None, _) => {
                    return Err(Error::usage(format!("{name:?} is no way to log in"))
                        .hint("require_auth takes password, md5, scram-sha-256 and none"));
                }
            }
        }
        if logins == Self::NONE {
            return Err(Error::usage(format!(
                "require_auth={text:?} leaves no way to log in that is supported"
            ))
            .hint("require_auth takes password, md5, scram-sha-256 and none"));
        }
        Ok(logins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_log_in_are_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("scram-sha-256", Some("scram-sha-256")),
            ("md5, scram-sha-256", Some("md5,scram-sha-256")),
            ("!password,!md5", Some("scram-sha-256,none")),
            ("!gss", None),
            ("password,md5,scram-sha-256,none,gss", None),
        ] {
            let logins: Logins = text.parse().expect(text);
            assert_eq!(logins.require_auth().as_deref(), expected, "{text}");
        }
        for text in [
            "",
            "gss",
            "scram",
            "md5,!password",
            "!password,!md5,!scram-sha-256,!none",
        ] {
            let refused = text.parse::<Logins>().expect_err(text);
            assert!(refused.advice().is_some(), "{text}: {refused:?}");
        }
        let safe: Logins = "!password,!md5".parse().expect("ways");
        assert_eq!(safe, Logins::WITHOUT_PASSWORDS);
    }
}
