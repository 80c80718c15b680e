//! Times as answers carry them.

use jiff::Timestamp;

/// A time to the millisecond.
pub(crate) fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Microseconds since 1970, as generations of objects are.
pub(crate) fn micros() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Milliseconds since 1970, as the numbers of backups are.
pub(crate) fn millis() -> i64 {
    Timestamp::now().as_millisecond()
}
