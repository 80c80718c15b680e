//! What a server says once the login is done: how long it is.
//!
//! The driver keeps a message until all of it is there, and whoever asks for rows of a catalog keeps all
//! of them. A row that comes by COPY is passed on and forgotten.

use super::Unwanted;

/// The longest message of an answer, in bytes: a definition, or what somebody has in a comment.
pub(super) const LONGEST_ANSWER: u32 = 64 << 20;

/// The longest row that comes by COPY, in bytes: no server holds a longer text
/// (<https://www.postgresql.org/docs/current/limits.html>).
pub(super) const LONGEST_ROW: u32 = 1 << 30;

/// The most that one answer may come to, without what comes by COPY, in bytes.
pub(super) const MOST_OF_AN_ANSWER: u64 = 1 << 30;

/// Of the message that is being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// Its type and its length, as far as they are there.
    head: [u8; 5],
    filled: usize,
    /// Bytes of it that are still to come.
    rest: usize,
    /// What the answer came to so far.
    seen: u64,
}

impl Answers {
    /// What comes after so many more bytes.
    pub(super) fn after(rest: usize) -> Self {
        Self {
            rest,
            ..Self::default()
        }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// A message, or all of an answer, is longer than anything that was asked for.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> Result<(), Unwanted> {
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (self.head.len() - self.filled).min(bytes.len());
            let (head, more) = bytes.split_at(wanted);
            self.head[self.filled..self.filled + wanted].copy_from_slice(head);
            self.filled += wanted;
            bytes = more;
            if self.filled == self.head.len() {
                self.message()?;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Judges the message whose head is there.
    fn message(&mut self) -> Result<(), Unwanted> {
        let [kind, a, b, c, d] = self.head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let row = kind == b'd';
        if length > if row { LONGEST_ROW } else { LONGEST_ANSWER } {
            return Err(Unwanted::AnswerTooLong(length));
        }
        // The length counts itself.
        self.rest = (length as usize).saturating_sub(4);
        if !row {
            self.seen += u64::from(length);
        }
        if self.seen > MOST_OF_AN_ANSWER {
            return Err(Unwanted::AnswerTooMuch);
        }
        if kind == b'Z' {
            self.seen = 0;
        }
        Ok(())
    }
}
