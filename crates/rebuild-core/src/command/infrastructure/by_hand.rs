//! Command lines for people to type.

use super::program::Program;

impl Program {
    /// The program with `arguments`, as a shell takes it.
    pub(super) fn by_hand(&self, arguments: &[String]) -> String {
        let words = std::iter::once(self.path()).chain(arguments.iter().map(String::as_str));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A word that a shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_takes_each_word_as_it_is() {
        for (word, expected) in [
            ("-target=a.b", "-target=a.b"),
            ("a[\"b\"]", "'a[\"b\"]'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
