//! The formats of values.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::Timestamp;
use serde_json::Value;

/// True if a string is of a format. Of formats that are not known here, every string is.
pub(super) fn is(format: &str, text: &str) -> bool {
    match format {
        "int64" => text.parse::<i64>().is_ok(),
        "uint64" => text.parse::<u64>().is_ok(),
        "byte" => STANDARD.decode(text).is_ok() || URL_SAFE.decode(text).is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "date-time" | "google-datetime" => text.contains('T') && text.parse::<Timestamp>().is_ok(),
        "google-duration" => is_duration(text),
        "google-fieldmask" => is_field_mask(text),
        _ => true,
    }
}

/// True if a value is an integer of a format.
pub(super) fn is_integer(format: Option<&str>, value: &Value) -> bool {
    let number = value.as_i64();
    match format {
        Some("uint32") => number.is_some_and(|number| u32::try_from(number).is_ok()),
        _ => number.is_some_and(|number| i32::try_from(number).is_ok()),
    }
}

/// `1.500s`
fn is_duration(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let Some(number) = text.strip_suffix('s') else {
        return false;
    };
    let number = number.strip_prefix('-').unwrap_or(number);
    match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part) && part.len() <= 9,
        None => digits(number),
    }
}

/// `a,b.cD`
fn is_field_mask(text: &str) -> bool {
    let known = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'*');
    text.split(',')
        .all(|path| !path.is_empty() && path.bytes().all(known))
}
