//! Typed names, so that a run can never be taken for a backup.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id: the time first, so that ids sort by age, and 64 random bits.
            pub fn generate() -> Self {
                let id = Uuid::now_v7();
                let time = jiff::Timestamp::now().strftime("%Y%m%dt%H%M%Sz");
                let random = &id.simple().to_string()[16..];
                Self(format!("{}-{time}-{random}", $prefix))
            }

            /// The id as text: lower-case letters, digits and `-`; safe as a file name.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// When it was made, by the clock of the machine that made it; a time that there is not
            /// is none.
            pub fn made_at(&self) -> Option<jiff::Timestamp> {
                let time = self.0.split('-').nth(1)?;
                let time = jiff::civil::DateTime::strptime("%Y%m%dt%H%M%Sz", time).ok()?;
                Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            }

            /// The last 12 hexadecimal digits, for names with little room.
            pub fn short(&self) -> &str {
                &self.0[self.0.len() - 12..]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let parts: Vec<&str> = text.split('-').collect();
                let ok = matches!(parts.as_slice(), [p, time, random]
                    if *p == $prefix
                        && time.len() == 16
                        && time.bytes().all(|b| b.is_ascii_digit() || b == b't' || b == b'z')
                        && random.len() == 16
                        && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
                if ok {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Error::usage(format!(
                        "{:?} is not an id of the form {}-20260102t030405z-0123456789abcdef",
                        text, $prefix
                    )))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// One execution of a plan.
    RunId,
    "run"
);
id!(
    /// One immutable backup.
    BackupId,
    "bak"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_refuse_paths() {
        let id = RunId::generate();
        assert_eq!(id.as_str().parse::<RunId>().expect("own text"), id);
        assert_eq!(id.short().len(), 12);
        for bad in [
            "",
            "run",
            "run-1",
            "../run-20260102t030405z-0123456789abcdef",
            "bak-20260102t030405z-0123456789abcdef",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
