//! The one error type of the crate: what failed, on what, why, and what to type next.

use std::error::Error as StdError;
use std::fmt;

/// What every fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of a failure; it decides the exit code and whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input (spec, argument, file) is wrong. Nothing was touched.
    Usage,
    /// A guard refused. Nothing was touched by the step that asked.
    Refused,
    /// A server could not be reached, or turned the client away.
    Unreachable,
    /// The server answered with an error.
    Server,
    /// An external program could not be run, or failed.
    Program,
    /// The store could not be read or written.
    Store,
    /// A backup, journal or plan is damaged, or comes from a newer version.
    Corrupt,
    /// A verification found a difference.
    Mismatch,
    /// A deadline passed. The outcome of what was asked may be unknown.
    Deadline,
    /// The operator asked to stop.
    Interrupted,
    /// A local file or process call failed.
    Io,
    /// An invariant of this crate does not hold; a bug.
    Internal,
}

/// An opaque error with questions on it.
///
/// `Display` prints this layer alone; causes are reached through
/// [`source`](StdError::source), so a reporter that walks the chain prints each once.
/// It never holds a secret, and server messages are stripped of row data
/// (DETAIL and CONTEXT) before they get here.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    half_way: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message` (what failed, on what, why; no trailing period).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            half_way: false,
            source: None,
        }))
    }

    /// A guard's refusal.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// Wrong input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Damaged or unreadable stored data.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A bug in this crate.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds the one thing to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that what failed had begun to change what was there, so that the same call goes on with it.
    #[must_use]
    pub fn half_way(mut self) -> Self {
        self.0.half_way = true;
        self
    }

    /// Wraps this error in a new layer that says what was being done; what else is known of it stays.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        let kind = self.0.kind;
        let hint = self.0.hint.clone();
        let half_way = self.0.half_way;
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint,
            half_way,
            source: Some(Box::new(self)),
        }))
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do next, if that is known.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// True if what failed had begun to change what was there: the same call goes on with it.
    pub fn is_half_way(&self) -> bool {
        self.0.half_way
    }

    /// True when a guard refused, so that nothing was changed by the step that asked.
    pub fn is_refusal(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Refused | ErrorKind::Usage)
    }

    /// The messages of every layer, outermost first, joined with `: `. For logs and journals.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())?;
        if let Some(hint) = &self.0.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, "a local input or output call failed").caused_by(e)
    }
}

/// `text` with all that could steer a terminal escaped: control characters but for the end of a
/// line, and those that turn the direction of what follows. Names and messages come from servers
/// that may be hostile.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' || turns(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character changes the order or the lines in which others are shown
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert_eq!(clean("a\nb é 漢 \u{1f40d}"), "a\nb é 漢 \u{1f40d}");
        for (text, shown) in [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb\x07", "a\\rb\\u{7}"),
            ("\x7f\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("safe\u{202e}txt", "safe\\u{202e}txt"),
            ("\u{2066}x\u{2069}\u{200f}", "\\u{2066}x\\u{2069}\\u{200f}"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }

    #[test]
    fn each_layer_is_printed_once() {
        let low =
            Error::new(ErrorKind::Server, "relation \"t\" does not exist").hint("apply the schema");
        let top = low.context("could not count the rows of \"t\"");
        assert_eq!(top.to_string(), "could not count the rows of \"t\"");
        assert_eq!(
            top.chain(),
            "could not count the rows of \"t\": relation \"t\" does not exist"
        );
        assert_eq!(top.kind(), ErrorKind::Server);
        assert_eq!(top.advice(), Some("apply the schema"));
    }
}
