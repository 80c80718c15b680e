//! Percent-encoding of the parts of a connection URL.

use std::fmt::Write;

/// `text` with every byte but RFC 3986's unreserved characters as `%XX`, which every part of a
/// URL accepts.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(super::encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(super::encode("p@s/s w:é%"), "p%40s%2Fs%20w%3A%C3%A9%25");
    }
}
