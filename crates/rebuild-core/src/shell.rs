//! Words of a shell.

use std::borrow::Cow;

/// `text` as one word of a POSIX shell, in quotes where it needs them
/// (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_02>).
///
/// ```
/// assert_eq!(rebuild_core::shell_word("app-1"), "app-1");
/// assert_eq!(rebuild_core::shell_word("it's mine"), r"'it'\''s mine'");
/// ```
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,@%+=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for (text, word) in [
            ("a'b $x\n", "'a'\\''b $x\n'"),
            ("", "''"),
            ("é", "'é'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
