//! SQL tokens, as far as they matter for finding the end of a statement.
//!
//! The rules are those of the server's lexer
//! (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html>) with
//! `standard_conforming_strings` on.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::text::Fault;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A key word or an identifier without quotes.
    Word,
    /// A string or an identifier with quotes of any kind.
    Quoted,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `;`.
    Semicolon,
    /// `.`.
    Dot,
    /// Anything else.
    Other,
}

/// A token and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// Its bytes.
    pub(crate) range: Range<usize>,
}

/// Reads tokens from left to right, each byte once; white space and comments are skipped.
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// Goes on at byte `at`, which is past what was read.
    pub(super) fn skip_to(&mut self, at: usize) {
        debug_assert!(at >= self.at);
        self.at = at;
    }

    /// The next token, or `None` at the end.
    pub(crate) fn token(&mut self) -> Result<Option<Token>, Fault> {
        self.skip_blanks()?;
        let start = self.at;
        let Some(&first) = self.bytes.get(start) else {
            return Ok(None);
        };
        let kind = match first {
            b'\'' => self.quoted(start, b'\'')?,
            b'"' => self.quoted(start, b'"')?,
            b'e' | b'E' if self.byte(start + 1) == Some(b'\'') => self.escaped(start)?,
            b'$' => self.dollar(start)?,
            b'\\' => return Err(self.backslash(start)),
            b'(' => self.single(TokenKind::Open),
            b')' => self.single(TokenKind::Close),
            b';' => self.single(TokenKind::Semicolon),
            b'.' => self.single(TokenKind::Dot),
            b'0'..=b'9' => {
                self.at = self.run(start, |b| b.is_ascii_digit());
                TokenKind::Other
            }
            b if starts_word(b) => {
                self.at = self.run(start, in_word);
                TokenKind::Word
            }
            _ => self.single(TokenKind::Other),
        };
        Ok(Some(Token {
            kind,
            range: start..self.at,
        }))
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    /// The end of the bytes from `start` on that `belongs` takes.
    fn run(&self, start: usize, belongs: impl Fn(u8) -> bool) -> usize {
        self.bytes[start..]
            .iter()
            .position(|&b| !belongs(b))
            .map_or(self.bytes.len(), |n| start + n)
    }

    fn skip_blanks(&mut self) -> Result<(), Fault> {
        loop {
            self.at = self.run(self.at, is_blank);
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (Some(b'-'), Some(b'-')) => self.at = self.line_end(self.at),
                (Some(b'/'), Some(b'*')) => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn line_end(&self, from: usize) -> usize {
        memchr2(b'\n', b'\r', &self.bytes[from..]).map_or(self.bytes.len(), |n| from + n)
    }

    /// Block comments nest.
    fn block_comment(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.unterminated(start, "comment")),
            }
        }
    }

    /// From a quote to the quote that ends it; a doubled one ends nothing.
    fn quoted(&mut self, start: usize, quote: u8) -> Result<TokenKind, Fault> {
        let mut at = start + 1;
        loop {
            let Some(n) = memchr(quote, &self.bytes[at..]) else {
                let what = if quote == b'"' {
                    "quoted identifier"
                } else {
                    "string"
                };
                return Err(self.unterminated(start, what));
            };
            at += n + 1;
            if self.byte(at) == Some(quote) {
                at += 1;
            } else {
                self.at = at;
                return Ok(TokenKind::Quoted);
            }
        }
    }

    /// `E'…'`, where a backslash takes the next byte with it. A string that goes on after a line
    /// end (`E'a'`, newline, `'b'`) keeps its escapes, so the pieces are one token.
    fn escaped(&mut self, start: usize) -> Result<TokenKind, Fault> {
        let mut at = start + 2;
        loop {
            let Some(n) = memchr2(b'\'', b'\\', self.bytes.get(at..).unwrap_or_default()) else {
                return Err(self.unterminated(start, "string"));
            };
            at += n;
            if self.bytes[at] == b'\\' || self.byte(at + 1) == Some(b'\'') {
                at += 2;
            } else if let Some(next) = self.continued(at + 1) {
                at = next + 1;
            } else {
                self.at = at + 1;
                return Ok(TokenKind::Quoted);
            }
        }
    }

    /// The quote that takes up a string again: after white space and `--` comments with a line
    /// end among them.
    fn continued(&self, from: usize) -> Option<usize> {
        let mut at = from;
        let mut line_end = false;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'\''), _) => return line_end.then_some(at),
                (Some(b'-'), Some(b'-')) => at = self.line_end(at),
                (Some(b), _) if is_blank(b) => {
                    line_end |= matches!(b, b'\n' | b'\r');
                    at += 1;
                }
                _ => return None,
            }
        }
    }

    /// `$tag$…$tag$`, or a lone dollar sign (of `$1`).
    fn dollar(&mut self, start: usize) -> Result<TokenKind, Fault> {
        let tag_end = match self.byte(start + 1) {
            Some(b) if starts_word(b) => self.run(start + 1, |b| in_word(b) && b != b'$'),
            _ => start + 1,
        };
        if self.byte(tag_end) != Some(b'$') {
            return Ok(self.single(TokenKind::Other));
        }
        let delimiter = &self.bytes[start..=tag_end];
        match memmem::find(&self.bytes[tag_end + 1..], delimiter) {
            Some(n) => {
                self.at = tag_end + 1 + n + delimiter.len();
                Ok(TokenKind::Quoted)
            }
            None => {
                let tag = String::from_utf8_lossy(delimiter).into_owned();
                Err(self.unterminated(start, &format!("string in {tag}")))
            }
        }
    }

    fn unterminated(&self, start: usize, what: &str) -> Fault {
        Fault::at(
            self.bytes,
            start,
            format!("the {what} that begins here has no end"),
        )
    }

    fn backslash(&self, start: usize) -> Fault {
        let end = self
            .run(start + 1, |b| b.is_ascii_alphanumeric() || b == b'_')
            .min(start + 32);
        let end = match self.byte(end) {
            Some(b) if end == start + 1 && b.is_ascii_punctuation() => end + 1,
            _ => end,
        };
        let command = String::from_utf8_lossy(&self.bytes[start..end]).into_owned();
        let hint = match command.as_str() {
            "\\i" | "\\ir" | "\\include" | "\\include_relative" => {
                "list the file under the patterns of SQL files instead"
            }
            "\\restrict" | "\\unrestrict" => {
                "pg_dump wrote this line to guard psql; it can be deleted"
            }
            "\\copy" => "use COPY … FROM stdin with the rows in the file",
            "\\." => "the rows of COPY … FROM stdin end here, but no such statement is before them",
            _ => "write it as SQL, or run it with psql in a command step",
        };
        Fault::at(
            self.bytes,
            start,
            format!("{command} is a command of psql, not SQL"),
        )
        .hint(hint)
    }
}

/// White space, as the server sees it.
pub(crate) fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn starts_word(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn in_word(b: u8) -> bool {
    starts_word(b) || b.is_ascii_digit() || b == b'$'
}
