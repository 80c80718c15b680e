//! Lengths of time as people write them.

use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::error::Error;

/// A length of time: `30s`, `5m`, `24h`, `7d`. A day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Within(pub Duration);

impl Within {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Within {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::usage(format!(
                "{text:?} is not a length of time such as 30s, 5m, 24h or 7d"
            ))
        };
        let span: Span = text.parse().map_err(|_| bad())?;
        let signed = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| bad())?;
        Duration::try_from(signed).map(Self).map_err(|_| bad())
    }
}

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
