//! How much was looked at, in words.

/// `1 table`, `12 tables`, `340,211 rows`.
pub(super) fn amount(count: u64, singular: &str, plural: &str) -> String {
    let noun = if count == 1 { singular } else { plural };
    format!("{} {noun}", grouped(count))
}

/// The number with a comma between thousands.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The length of `items` as a number to print.
pub(super) fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// `text` on one line and no longer than `limit` characters, control characters escaped.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == limit {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(amount(0, "row", "rows"), "0 rows");
        assert_eq!(amount(1, "row", "rows"), "1 row");
        assert_eq!(amount(340_211, "row", "rows"), "340,211 rows");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(excerpt("a\nb\u{1b}c", 9), "a\\nb\\u{1b}c");
        assert_eq!(excerpt("äöü", 2), "äö…");
    }
}
