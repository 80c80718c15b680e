//! The text of a SQL file, and what is wrong with it where.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The comment in the head of a file (before its first statement) that asks for its statements
/// to be run one by one, outside of a transaction.
pub const NO_TRANSACTION: &str = "rebuild: no transaction";

/// What is wrong with a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault in `line`.
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            hint: None,
        }
    }

    /// A fault at byte `at` of `text`.
    pub(super) fn at(text: &[u8], at: usize, message: impl Into<String>) -> Self {
        Self::new(line_of(text, at), message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error for the file that is called `path`.
    pub fn in_file(self, path: &str) -> Error {
        let error = Error::new(
            ErrorKind::Usage,
            format!("{path}:{}: {}", self.line, self.message),
        );
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The line of byte `at`, from 1.
pub(super) fn line_of(text: &[u8], at: usize) -> usize {
    1 + newlines(&text[..at.min(text.len())])
}

/// How many lines end in `text`.
pub(super) fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The text of a file: UTF-8, without the byte order mark that some editors put first.
///
/// # Errors
/// The bytes are not UTF-8, or a NUL byte is among them, which no PostgreSQL text can hold.
pub fn decode(mut bytes: Vec<u8>) -> Result<String, Fault> {
    if let Some(at) = memchr::memchr(0, &bytes) {
        return Err(Fault::at(&bytes, at, "the file has a NUL byte")
            .hint("save the file as UTF-8 (UTF-16 has NUL bytes)"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Fault::at(e.as_bytes(), at, "the file is not valid UTF-8").hint("save the file as UTF-8")
    })
}

/// True if a line of `head`, the part of a file before its first statement, is the comment
/// `-- rebuild: no transaction`.
pub fn head_has_marker(head: &str) -> bool {
    head.lines().any(|line| {
        line.trim()
            .strip_prefix("--")
            .is_some_and(|rest| rest.trim() == NO_TRANSACTION)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_dropped_and_bad_bytes_have_a_line() {
        assert_eq!(
            decode(b"\xef\xbb\xbfselect 1".to_vec()).expect("fine"),
            "select 1"
        );
        assert_eq!(decode(b"a\n\nb\0".to_vec()).expect_err("NUL").line, 3);
        assert_eq!(decode(b"a\nb\xff".to_vec()).expect_err("UTF-8").line, 2);
        let error = decode(b"\xff".to_vec())
            .expect_err("UTF-8")
            .in_file("a.sql");
        assert_eq!(error.to_string(), "a.sql:1: the file is not valid UTF-8");
    }

    #[test]
    fn the_marker_is_a_comment_of_its_own() {
        assert!(head_has_marker("\n  --rebuild: no transaction  \r\n"));
        assert!(head_has_marker("-- first\n-- rebuild: no transaction\n"));
        assert!(!head_has_marker("-- rebuild: no transactions"));
        assert!(!head_has_marker("-- note: -- rebuild: no transaction"));
    }
}
