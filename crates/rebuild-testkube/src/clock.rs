//! Times as objects carry them.

use jiff::Timestamp;

/// Now, to the second, as `metadata.creationTimestamp` and its like are written.
pub(crate) fn now() -> String {
    format(Timestamp::now())
}

/// A time to the second.
pub(crate) fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds since a time that an object carries; nothing if it carries none.
pub(crate) fn seconds_since(time: &str) -> Option<i64> {
    let then: Timestamp = time.parse().ok()?;
    Some(Timestamp::now().as_second() - then.as_second())
}
