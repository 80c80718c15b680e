//! Where the statements of a SQL file begin and end, as psql would see it.
//!
//! What ends a statement is the semicolon outside of quotes, comments, parentheses and the body
//! of an SQL-standard function (`BEGIN ATOMIC … END`); see the lexer of psql and
//! <https://www.postgresql.org/docs/current/sql-createfunction.html>. The last statement needs
//! none. psql's commands and variables do not exist here: a backslash outside of quotes is
//! refused, and `:name` is left alone. Where psql, which reads line by line, loses the server's
//! rules (an `E'…'` string that goes on in the next line, CASE and END as names in a function's
//! body), the server's are kept.

use std::ops::Range;

use memchr::memchr;

use super::lex::{Lexer, Token, TokenKind};
use super::refuse::{self, Copy};
use super::text::{Fault, newlines};

/// How many tokens tell what a statement is; enough for every form that matters.
const HEAD: usize = 64;
/// Of these, how many may stand in parentheses (the options of REINDEX and COPY).
const INNER: usize = 24;

/// What has to be known about a statement to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Nothing special.
    Plain,
    /// `COPY … FROM stdin`, with its rows in the file.
    CopyIn {
        /// The rows, without the `\.` that ends them.
        data: Range<usize>,
        /// The line of the first row.
        line: usize,
    },
    /// `BEGIN` or `START TRANSACTION`.
    Begin,
    /// `COMMIT` or `END`.
    Commit,
    /// Any other statement that ends a transaction: `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`.
    Rollback,
    /// `COMMIT AND CHAIN` or `ROLLBACK AND CHAIN`: ends a transaction and begins the next.
    Chain,
    /// Something that cannot be part of a transaction, such as `CREATE INDEX CONCURRENTLY`.
    Alone,
}

/// One statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes in the text, without the semicolon.
    pub range: Range<usize>,
    /// The line where it begins, from 1.
    pub line: usize,
    /// What it is.
    pub kind: StatementKind,
}

impl Statement {
    /// Its text, given the text of the whole file.
    pub fn text<'a>(&self, file: &'a str) -> &'a str {
        &file[self.range.clone()]
    }

    /// The line of its `character`, counted from 1 as in the server's error messages.
    pub fn line_at(&self, file: &str, character: usize) -> usize {
        let text = self.text(file);
        let at = text
            .char_indices()
            .nth(character.saturating_sub(1))
            .map_or(text.len(), |(at, _)| at);
        self.line + newlines(&text.as_bytes()[..at])
    }
}

/// The statements of `text`, in order. What lies between them is white space, comments,
/// semicolons and the rows of `COPY … FROM stdin`.
///
/// Reads every byte a fixed number of times.
///
/// # Errors
/// A quote or comment has no end; a command of psql; rows that do not end in `\.`; a COPY that
/// has no place in a file; a SET that changes how the file is read.
pub fn split(text: &str) -> Result<Vec<Statement>, Fault> {
    let mut splitter = Splitter::new(text);
    while splitter.statement()? {}
    Ok(splitter.found)
}

/// A statement as far as it was read.
struct Scanned<'a> {
    range: Range<usize>,
    /// The first byte after its semicolon, if it has one.
    semicolon: Option<usize>,
    head: Head<'a>,
}

struct Splitter<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// A byte, and the line it is in; statements ask in order.
    lines: (usize, usize),
    found: Vec<Statement>,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            lexer: Lexer::new(text),
            lines: (0, 1),
            found: Vec::new(),
        }
    }

    /// Reads one statement; false at the end of the text.
    fn statement(&mut self) -> Result<bool, Fault> {
        let Some(scanned) = self.scan()? else {
            return Ok(false);
        };
        let line = self.line(scanned.range.start);
        refuse::settings(&scanned.head, line)?;
        let kind = match refuse::copy(&scanned.head, line)? {
            Copy::In => self.rows(scanned.semicolon, line)?,
            Copy::No => scanned.head.kind(),
        };
        self.found.push(Statement {
            range: scanned.range,
            line,
            kind,
        });
        Ok(true)
    }

    /// Reads to the end of the next statement, past stray semicolons.
    fn scan(&mut self) -> Result<Option<Scanned<'a>>, Fault> {
        let first = loop {
            match self.lexer.token()? {
                None => return Ok(None),
                Some(token) if token.kind == TokenKind::Semicolon => {}
                Some(token) => break token,
            }
        };
        let start = first.range.start;
        let mut end = start;
        let mut head = Head::default();
        let mut nesting = Nesting::default();
        let mut next = Some(first);
        let semicolon = loop {
            let Some(token) = next else { break None };
            if token.kind == TokenKind::Semicolon && nesting.is_outer() {
                break Some(token.range.end);
            }
            end = token.range.end;
            let text = &self.text[token.range.clone()];
            nesting.take(&token, text, &head);
            head.take(&token, text, nesting.parentheses);
            next = self.lexer.token()?;
        };
        Ok(Some(Scanned {
            range: start..end,
            semicolon,
            head,
        }))
    }

    fn line(&mut self, at: usize) -> usize {
        let (from, line) = self.lines;
        let line = line + newlines(&self.text.as_bytes()[from..at]);
        self.lines = (at, line);
        line
    }

    /// The rows that follow a `COPY … FROM stdin`, from the next line to the line `\.`.
    fn rows(&mut self, semicolon: Option<usize>, line: usize) -> Result<StatementKind, Fault> {
        let bytes = self.text.as_bytes();
        let no_end = || {
            Fault::new(line, "the rows of this COPY do not end in a line \\.")
                .hint("the file may be cut short")
        };
        let rest = semicolon.ok_or_else(no_end)?;
        let line_end = rest + memchr(b'\n', &bytes[rest..]).ok_or_else(no_end)?;
        let tail = self.text[rest..line_end].trim();
        if !tail.is_empty() && !tail.starts_with("--") {
            return Err(Fault::at(
                bytes,
                rest,
                "nothing may follow COPY … FROM stdin in its line: its rows begin in the next",
            ));
        }
        let data = line_end + 1;
        let mut at = data;
        while at < bytes.len() {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            let row = &bytes[at..end];
            if row.strip_suffix(b"\r").unwrap_or(row) == b"\\." {
                self.lexer.skip_to(end);
                return Ok(StatementKind::CopyIn {
                    data: data..at,
                    line: self.line(data),
                });
            }
            at = end + 1;
        }
        Err(no_end())
    }
}

/// How deep the reader is in parentheses and in the body of an SQL-standard function.
#[derive(Default)]
struct Nesting {
    parentheses: usize,
    body: usize,
    /// The last token was the word BEGIN.
    after_begin: bool,
    /// The last token was a dot or the word AS, after which CASE and END are names.
    before_name: bool,
}

impl Nesting {
    fn is_outer(&self) -> bool {
        self.parentheses == 0 && self.body == 0
    }

    fn take(&mut self, token: &Token, text: &str, head: &Head<'_>) {
        let word = token.kind == TokenKind::Word;
        let is = |key: &str| word && text.eq_ignore_ascii_case(key);
        match token.kind {
            TokenKind::Open => self.parentheses += 1,
            TokenKind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Word if self.parentheses == 0 && !self.before_name => {
                if self.body == 0 {
                    if self.after_begin && is("atomic") && head.creates_routine() {
                        self.body = 1;
                    }
                } else if is("case") {
                    self.body += 1;
                } else if is("end") {
                    self.body -= 1;
                }
            }
            _ => {}
        }
        self.after_begin = is("begin");
        self.before_name = token.kind == TokenKind::Dot || is("as");
    }
}

/// A token of a statement's head.
pub(super) struct HeadWord<'a> {
    /// Its text, quotes included.
    pub(super) text: &'a str,
    /// True for a string or a quoted identifier.
    pub(super) quoted: bool,
    inner: bool,
}

impl HeadWord<'_> {
    /// True if it is the key word `key`.
    pub(super) fn is(&self, key: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(key)
    }
}

/// The words that a statement begins with; punctuation is left out, except the dots of names.
#[derive(Default)]
pub(super) struct Head<'a> {
    found: Vec<HeadWord<'a>>,
    inner: usize,
    after_dot: bool,
}

impl<'a> Head<'a> {
    fn take(&mut self, token: &Token, text: &'a str, depth: usize) {
        let after_dot = std::mem::replace(&mut self.after_dot, token.kind == TokenKind::Dot);
        let quoted = token.kind == TokenKind::Quoted;
        let number = token.kind == TokenKind::Other && text.as_bytes()[0].is_ascii_digit();
        if after_dot || !(quoted || number || token.kind == TokenKind::Word) {
            return;
        }
        let inner = depth > 0;
        if self.found.len() < HEAD && (!inner || self.inner < INNER) {
            self.inner += usize::from(inner);
            self.found.push(HeadWord {
                text,
                quoted,
                inner,
            });
        }
    }

    /// Every word kept.
    pub(super) fn words(&self) -> impl Iterator<Item = &HeadWord<'a>> {
        self.found.iter()
    }

    /// The words outside of parentheses.
    pub(super) fn outer(&self) -> impl Iterator<Item = &HeadWord<'a>> {
        self.found.iter().filter(|w| !w.inner)
    }

    /// True if the statement begins with these key words.
    pub(super) fn starts(&self, keys: &[&str]) -> bool {
        let mut outer = self.outer();
        keys.iter()
            .all(|key| outer.next().is_some_and(|w| w.is(key)))
    }

    fn has(&self, key: &str) -> bool {
        self.outer().any(|w| w.is(key))
    }

    fn creates_routine(&self) -> bool {
        self.starts(&["create", "function"])
            || self.starts(&["create", "procedure"])
            || self.starts(&["create", "or", "replace", "function"])
            || self.starts(&["create", "or", "replace", "procedure"])
    }

    fn kind(&self) -> StatementKind {
        if self.starts(&["begin"]) || self.starts(&["start", "transaction"]) {
            StatementKind::Begin
        } else if self.cannot_be_in_transaction() {
            StatementKind::Alone
        } else if self.starts(&["rollback"]) && self.has("to") {
            StatementKind::Plain
        } else if self.ends_transaction() && self.has("chain") && !self.has("no") {
            StatementKind::Chain
        } else if self.starts(&["commit"]) || self.starts(&["end"]) {
            StatementKind::Commit
        } else if self.ends_transaction() || self.starts(&["prepare", "transaction"]) {
            StatementKind::Rollback
        } else {
            StatementKind::Plain
        }
    }

    fn ends_transaction(&self) -> bool {
        ["commit", "end", "rollback", "abort"]
            .iter()
            .any(|key| self.starts(&[key]))
    }

    /// The statements whose pages say that they "cannot be executed inside a transaction block".
    /// Those that only sometimes refuse one are counted in: alone they always run.
    fn cannot_be_in_transaction(&self) -> bool {
        const ALWAYS: &[&[&str]] = &[
            &["vacuum"],
            &["alter", "system"],
            &["create", "database"],
            &["drop", "database"],
            &["create", "tablespace"],
            &["drop", "tablespace"],
            &["create", "subscription"],
            &["alter", "subscription"],
            &["drop", "subscription"],
            &["reindex", "database"],
            &["reindex", "system"],
            &["reindex", "schema"],
            &["commit", "prepared"],
            &["rollback", "prepared"],
            &["discard", "all"],
        ];
        let concurrent = self.has("concurrently");
        ALWAYS.iter().any(|keys| self.starts(keys))
            || (self.starts(&["cluster"])
                && self.outer().all(|w| w.is("cluster") || w.is("verbose")))
            || (self.starts(&["reindex"]) && self.words().any(|w| w.is("concurrently")))
            || (self.starts(&["alter", "database"]) && self.has("tablespace"))
            || (self.starts(&["alter", "table"]) && self.has("detach") && concurrent)
            || (concurrent
                && (self.starts(&["create", "index"])
                    || self.starts(&["create", "unique", "index"])
                    || self.starts(&["drop", "index"])))
    }
}

mod first;
#[cfg(test)]
mod tests;

pub(crate) use first::{First, first};
