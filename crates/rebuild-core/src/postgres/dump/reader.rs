//! Reading a dump's SQL statement by statement.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2, memmem, memrchr};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, Result};
use crate::postgres::schema::lex::is_blank;
use crate::postgres::schema::{Fault, First, first};

/// Bytes in one piece of a dump.
const PIECE: usize = 256 << 10;

/// The longest statement of any dump.
const LONGEST: usize = 256 << 20;

/// pg_dump's first comment, and its last.
const HEADER: &str = "-- PostgreSQL database dump";
const TRAILER: &str = "-- PostgreSQL database dump complete";

/// One thing of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A statement.
    Statement {
        /// Its text, without the semicolon.
        text: String,
        /// The line where what comes before it ends.
        line: usize,
    },
    /// `COPY ... FROM stdin`, whose [rows](DumpReader::rows) must be read next.
    Copy {
        /// The statement.
        text: String,
        /// The line where what comes before it ends.
        line: usize,
    },
}

/// A dump, read from front to back.
pub(crate) struct DumpReader<R> {
    name: String,
    input: R,
    /// How much is read at first, in bytes.
    pub(crate) piece: usize,
    /// The longest statement, in bytes. Rows of COPY do not count.
    pub(super) longest: usize,
    buffer: BytesMut,
    ended: bool,
    line: usize,
    /// Rows of COPY come next.
    in_rows: bool,
    /// Whether the rows that were read end with a line.
    line_begins: bool,
    header: bool,
    trailer: bool,
    restricted: Option<String>,
}

impl<R: AsyncRead + Unpin> DumpReader<R> {
    /// Reads `input`; errors call it `name`.
    pub(crate) fn new(name: String, input: R) -> Self {
        Self {
            name,
            input,
            piece: PIECE,
            longest: LONGEST,
            buffer: BytesMut::new(),
            ended: false,
            line: 1,
            in_rows: false,
            line_begins: true,
            header: false,
            trailer: false,
            restricted: None,
        }
    }

    /// The line that is read next, from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The next statement; `None` at the end.
    ///
    /// # Errors
    /// The dump is cut short or damaged, is not in UTF-8, holds a command of psql, or a statement
    /// that no dump can have.
    pub(crate) async fn next(&mut self) -> Result<Option<Item>> {
        loop {
            let found = match self.skip_lines()? {
                true => first(self.text()?),
                false => Ok(First::Blank),
            };
            match found {
                // The rows begin in the next line, which must be there.
                Ok(First::Whole {
                    end, rows: true, ..
                }) if !self.ended && memchr(b'\n', &self.buffer[end..]).is_none() => {}
                Ok(First::Whole { range, end, rows }) => {
                    return self.take(range, end, rows).map(Some);
                }
                Ok(First::Blank) if self.ended => {
                    self.at_end()?;
                    return Ok(None);
                }
                Ok(First::Unfinished) if self.ended => {
                    return Err(self.cut_short("its last statement has no end"));
                }
                Err(fault) if self.ended || self.buffer.len() >= self.longest => {
                    return Err(self.fault(fault));
                }
                Ok(_) | Err(_) => {}
            }
            if self.buffer.len() >= self.longest {
                return Err(Error::corrupt(format!(
                    "{}:{}: a statement is longer than {} MiB",
                    self.name,
                    self.line,
                    self.longest >> 20
                )));
            }
            // Twice as much each time: every byte is looked at a few times, no more.
            self.fill(self.buffer.len().max(self.piece)).await?;
        }
    }

    /// The next piece of the rows of a COPY; `None` after the last.
    ///
    /// # Errors
    /// The dump is cut short or damaged.
    pub(crate) async fn rows(&mut self) -> Result<Option<Bytes>> {
        if !self.in_rows {
            return Ok(None);
        }
        loop {
            match self.end_of_rows() {
                Some(0) => {
                    self.in_rows = false;
                    let line = memchr(b'\n', &self.buffer).map_or(self.buffer.len(), |n| n + 1);
                    self.consume(line);
                    return Ok(None);
                }
                Some(end) => return Ok(Some(self.consume_rows(end))),
                None => {}
            }
            let sure = self.sure_rows();
            if sure > 0 {
                return Ok(Some(self.consume_rows(sure)));
            }
            if self.ended {
                return Err(self.cut_short("the rows of a COPY do not end in a line \\."));
            }
            self.fill(self.piece).await?;
        }
    }

    /// Where the line `\.` begins.
    fn end_of_rows(&self) -> Option<usize> {
        memmem::find_iter(&self.buffer, b"\\.").find(|&at| {
            let begins = match at {
                0 => self.line_begins,
                _ => self.buffer[at - 1] == b'\n',
            };
            let rest = &self.buffer[at + 2..];
            begins && (rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
        })
    }

    /// How many bytes are rows: all, but for what may be the beginning of the line `\.`.
    fn sure_rows(&self) -> usize {
        let last = match memrchr(b'\n', &self.buffer) {
            Some(n) => n + 1,
            None if self.line_begins => 0,
            None => return self.buffer.len(),
        };
        if b"\\.\r\n".starts_with(&self.buffer[last..]) {
            last
        } else {
            self.buffer.len()
        }
    }

    fn consume_rows(&mut self, length: usize) -> Bytes {
        let rows = self.consume(length).freeze();
        self.line_begins = rows.ends_with(b"\n");
        rows
    }

    /// Passes over blanks, line comments, and the two commands by which newer versions of pg_dump
    /// keep psql from running any other; false if one of these is not all there.
    fn skip_lines(&mut self) -> Result<bool> {
        loop {
            let blanks = self.buffer.iter().position(|b| !is_blank(*b));
            self.consume(blanks.unwrap_or(self.buffer.len()));
            let end = match *self.buffer {
                [b'-', b'-', ..] => memchr2(b'\n', b'\r', &self.buffer),
                [b'\\', ..] => memchr(b'\n', &self.buffer),
                _ => return Ok(true),
            };
            if end.is_none() && !self.ended {
                return Ok(false);
            }
            let line = self.consume(end.unwrap_or(self.buffer.len()));
            let line = String::from_utf8_lossy(&line);
            match line.trim_end().strip_prefix('\\') {
                Some(_) if end.is_none() => {
                    return Err(self.cut_short("its last line has no end"));
                }
                Some(command) => self.command(command)?,
                None => {
                    self.header |= line.trim_end() == HEADER;
                    self.trailer |= line.trim_end() == TRAILER;
                }
            }
        }
    }

    fn command(&mut self, command: &str) -> Result<()> {
        let (word, key) = command.split_once(' ').unwrap_or((command, ""));
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
        match word {
            "restrict" if is_key && self.restricted.is_none() => {
                self.restricted = Some(key.to_owned());
                Ok(())
            }
            "unrestrict" if self.restricted.as_deref() == Some(key) => {
                self.restricted = None;
                Ok(())
            }
            _ => {
                let word: String = word.chars().filter(|c| !c.is_control()).take(32).collect();
                let error = Error::refused(format!(
                    "{}:{}: the command \\{word} of psql is not run",
                    self.name, self.line
                ));
                Err(match word.as_str() {
                    "connect" | "c" => error.hint("make the dump without --create"),
                    _ => error.hint("a dump has none; look where this one comes from"),
                })
            }
        }
    }

    /// What there is of text: up to bytes that are none, which may be rows, or a character that
    /// is not all there.
    fn text(&self) -> Result<&str> {
        let e = match std::str::from_utf8(&self.buffer) {
            Ok(text) => return Ok(text),
            Err(e) => e,
        };
        let text = std::str::from_utf8(&self.buffer[..e.valid_up_to()]).unwrap_or_default();
        let finished = matches!(first(text), Ok(First::Whole { .. }));
        if !finished && e.error_len().is_some() {
            return Err(Error::usage(format!(
                "{}:{}: a statement is not in UTF-8",
                self.name, self.line
            ))
            .hint("make the dump with --encoding=UTF8"));
        }
        Ok(text)
    }

    fn take(&mut self, range: std::ops::Range<usize>, end: usize, rows: bool) -> Result<Item> {
        let line = self.line;
        let text = String::from_utf8_lossy(&self.buffer[range]).into_owned();
        self.consume(end);
        self.trailer = false;
        if !rows {
            return Ok(Item::Statement { text, line });
        }
        (self.in_rows, self.line_begins) = (true, true);
        // The rows begin in the next line.
        if let Some(n) = memchr(b'\n', &self.buffer)
            && self.buffer[..n].iter().all(u8::is_ascii_whitespace)
        {
            self.consume(n + 1);
            return Ok(Item::Copy { text, line });
        }
        Err(self.cut_short("the rows of a COPY do not begin in the line after it"))
    }

    fn consume(&mut self, length: usize) -> BytesMut {
        let taken = self.buffer.split_to(length);
        self.line += memchr::memchr_iter(b'\n', &taken).count();
        taken
    }

    async fn fill(&mut self, more: usize) -> Result<()> {
        self.buffer.reserve(more);
        let wanted = self.buffer.len() + more;
        while self.buffer.len() < wanted && !self.ended {
            let read = self.input.read_buf(&mut self.buffer).await;
            let read = read.map_err(|e| {
                Error::corrupt(format!("the dump {} is cut short or damaged", self.name))
                    .caused_by(e)
            })?;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// A dump of pg_dump says when it is complete. Other SQL cannot be asked.
    fn at_end(&self) -> Result<()> {
        if self.header && !self.trailer {
            return Err(self.cut_short("the comment is missing that says that it is complete"));
        }
        if self.restricted.is_some() {
            return Err(self.cut_short("it ends before \\unrestrict"));
        }
        Ok(())
    }

    fn cut_short(&self, why: &str) -> Error {
        Error::corrupt(format!(
            "the dump {} is cut short or damaged: {why} (line {})",
            self.name, self.line
        ))
    }

    fn fault(&self, mut fault: Fault) -> Error {
        fault.line += self.line - 1;
        fault.in_file(&self.name)
    }
}
