//! Just enough of CSV: the header line, and which fields of the records hold a value.

use std::io::{BufRead, BufReader, Read};

use crate::error::{Error, Result};

/// More than 1600 columns of 63 bytes each need.
const LONGEST_HEADER: usize = 1 << 20;
const PIECE: usize = 256 * 1024;

/// Reads the names in the header line. A table without columns has an empty one.
///
/// # Errors
/// There is none, or it is not in UTF-8.
pub(super) fn read_header(input: impl Read) -> Result<Vec<String>> {
    let bad = |why: &str| Error::refused(format!("it has no header line: {why}"));
    let mut input = BufReader::new(input).take(LONGEST_HEADER as u64);
    let mut line = Vec::new();
    // A name may hold a line break, in quotes.
    loop {
        let read = input.read_until(b'\n', &mut line).map_err(damaged)?;
        if line.is_empty() {
            return Err(bad("it is empty"));
        }
        if line.iter().filter(|b| **b == b'"').count() % 2 == 0 {
            break;
        }
        if read == 0 {
            return Err(bad("a quote is not closed"));
        }
    }
    let text = String::from_utf8(line).map_err(|e| bad("it is not UTF-8").caused_by(e))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(names(text))
}

fn names(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    if line.is_empty() {
        return names;
    }
    let mut name = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => name.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    names
}

/// How many records there are below the header line, and how many of them hold something other
/// than NULL, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) records: u64,
    pub(super) columns: Vec<u64>,
}

/// Counts the values of a file with `columns` columns.
///
/// # Errors
/// The file cannot be read.
pub(super) fn count(mut input: impl Read, columns: usize) -> Result<Filled> {
    let mut filled = Filled {
        records: 0,
        columns: vec![0; columns],
    };
    let (mut quoted, mut header) = (false, true);
    let (mut field, mut something) = (0, false);
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece).map_err(damaged)?;
        // The last line may lack its end.
        let last: &[u8] = if field > 0 || something { b"\n" } else { b"" };
        let bytes = if read == 0 { last } else { &piece[..read] };
        for byte in bytes {
            match byte {
                b'"' => (quoted, something) = (!quoted, true),
                b',' | b'\n' if !quoted => {
                    if let (false, true, Some(n)) =
                        (header, something, filled.columns.get_mut(field))
                    {
                        *n += 1;
                    }
                    (field, something) = (field + 1, false);
                    if *byte == b'\n' {
                        filled.records += u64::from(!header);
                        (field, header) = (0, false);
                    }
                }
                b'\r' if !quoted => {}
                _ => something = true,
            }
        }
        if read == 0 {
            return Ok(filled);
        }
    }
}

/// Finds a line of `\.` alone with rows after it. Servers before 18 take that line for the end of the rows, and
/// leave out what follows without a word (<https://www.postgresql.org/docs/17/sql-copy.html#SQL-COPY-CSV-FORMAT>).
pub(super) struct EndMark {
    line: u64,
    quoted: bool,
    seen: Seen,
}

/// What the line so far consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Backslash,
    Mark,
    Ended,
    Else,
}

impl Default for EndMark {
    fn default() -> Self {
        Self {
            line: 1,
            quoted: false,
            seen: Seen::Nothing,
        }
    }
}

impl EndMark {
    /// Looks at the next piece of the file.
    ///
    /// # Errors
    /// A refusal that names the line: it is such a one, and this piece begins or goes on after it.
    pub(super) fn look(&mut self, piece: &[u8]) -> Result<()> {
        for byte in piece {
            if self.seen == Seen::Ended {
                let line = self.line - 1;
                return Err(Error::refused(format!(
                    "line {line} is \\. alone, which PostgreSQL takes for the end of the rows, and there are more"
                ))
                .hint(r#"if it is a value, write it in quotes ("\."); if not, remove it"#));
            }
            self.quoted ^= *byte == b'"';
            self.seen = match (self.seen, byte) {
                (Seen::Mark, b'\n') => Seen::Ended,
                (_, b'\n') => Seen::Nothing,
                (Seen::Mark, b'\r') => Seen::Mark,
                (Seen::Nothing, b'\\') if !self.quoted => Seen::Backslash,
                (Seen::Backslash, b'.') => Seen::Mark,
                _ => Seen::Else,
            };
            self.line += u64::from(*byte == b'\n');
        }
        Ok(())
    }
}

pub(super) fn damaged(e: std::io::Error) -> Error {
    Error::corrupt("it cannot be read").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_postgresql_writes_them() {
        for (text, expected) in [
            ("a,b\n1,2\n", vec!["a", "b"]),
            ("\u{feff}a,\"b\"\r\n", vec!["a", "b"]),
            ("\"x,\"\"y\"\"\n z\",é", vec!["x,\"y\"\n z", "é"]),
            ("\n\n", vec![]),
        ] {
            assert_eq!(read_header(text.as_bytes()).expect(text), expected);
        }
        for bad in [&b""[..], b"\"a", b"\xff\n"] {
            assert!(read_header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rows_after_a_mark_of_their_end_are_noticed() {
        let looked = |text: &str, step: usize| {
            let mut marks = EndMark::default();
            text.as_bytes()
                .chunks(step)
                .try_for_each(|piece| marks.look(piece))
        };
        for fine in [
            "a\n\\.\n",
            "a\n\\.",
            "a\n\"\\.\"\n1\n",
            "a\n\\.x\n1\n",
            "a,b\n\\.,1\n2,3\n",
            "a\n\"\n\\.\n\"\n1\n",
        ] {
            for step in [1, 3, 100] {
                assert!(looked(fine, step).is_ok(), "{fine:?}");
            }
        }
        for cut in ["a\n1\n\\.\n2\n", "a\r\n1\r\n\\.\r\n2\r\n"] {
            for step in [1, 3, 100] {
                let refused = looked(cut, step).expect_err(cut);
                assert!(
                    refused.to_string().starts_with("line 3 is \\. alone"),
                    "{refused}"
                );
            }
        }
    }

    #[test]
    fn values_are_counted_and_nulls_are_not() {
        let text = "a,b,c\n1,,\"\"\r\n\"x\n,\"\"y\",,\n,2,";
        let filled = count(text.as_bytes(), 3).expect("read");
        assert_eq!((filled.records, filled.columns), (3, vec![2, 1, 1]));
        let none = count(&b"a\n"[..], 1).expect("read");
        assert_eq!((none.records, none.columns), (0, vec![0]));
    }
}
