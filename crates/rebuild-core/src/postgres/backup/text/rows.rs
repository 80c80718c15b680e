//! The rows of a COPY stream, field by field.

use super::cursor::Cursor;
use super::{Dialect, Layout, Lines, ToUtf8, Type};
use crate::error::{Error, Result};
use crate::model::RowForm;
use crate::postgres::backup::manifest::TableEntry;

/// Makes lines of whole rows of one table.
pub(in crate::postgres::backup) struct Rows {
    form: Form,
    columns: Vec<String>,
    dialect: Dialect,
    /// Into which encoding values are brought, if into another than the database's.
    encoding: Option<ToUtf8>,
    /// The value that is looked at.
    plain: Vec<u8>,
    /// The same in the other encoding.
    other: Vec<u8>,
    octal_chars: bool,
}

enum Form {
    Text,
    Binary(Vec<Type>),
}

impl Rows {
    /// Of `table`, in the form that it is stored in.
    ///
    /// # Errors
    /// A column is of a type that is not carried in that form.
    pub(in crate::postgres::backup) fn of(
        table: &TableEntry,
        dialect: Dialect,
        encoding: Option<ToUtf8>,
    ) -> Result<Self> {
        let form = match table.form {
            RowForm::Text => Form::Text,
            RowForm::Binary => {
                let types = table.columns.iter().map(|c| Type::of(&c.base));
                Form::Binary(types.collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            form,
            columns: table.columns.iter().map(|c| c.name.clone()).collect(),
            dialect,
            encoding,
            plain: Vec::new(),
            other: Vec::new(),
            octal_chars: false,
        })
    }

    /// Whether a `"char"` was written in a way that servers before 15 do not know.
    pub(in crate::postgres::backup) fn has_octal_chars(&self) -> bool {
        self.octal_chars
    }

    /// Adds `rows`, which are whole rows, to `lines`.
    ///
    /// # Errors
    /// A value is damaged, which names its column.
    pub(in crate::postgres::backup) fn write(
        &mut self,
        rows: &[u8],
        lines: &mut Lines,
    ) -> Result<()> {
        match &self.form {
            Form::Binary(_) => self.binary(rows, lines),
            Form::Text => self.text(rows, lines),
        }
    }

    fn binary(&mut self, rows: &[u8], lines: &mut Lines) -> Result<()> {
        let mut from = Cursor::new(rows);
        while from.left() > 0 {
            let fields = from.i16()?;
            if usize::try_from(fields).ok() != Some(self.columns.len()) {
                return Err(Error::corrupt(
                    "a row has more or fewer fields than columns",
                ));
            }
            for column in 0..self.columns.len() {
                match from.field()? {
                    None => lines.null(),
                    Some(value) => self.value(column, value, lines)?,
                }
            }
            lines.end();
        }
        Ok(())
    }

    fn value(&mut self, column: usize, value: &[u8], lines: &mut Lines) -> Result<()> {
        let Form::Binary(types) = &self.form else {
            return Err(Error::internal("a text was taken for a value"));
        };
        let kind = types[column];
        self.plain.clear();
        let (dialect, plain) = (self.dialect, &mut self.plain);
        kind.write(value, dialect, plain)
            .and_then(|()| no_nul(&self.plain))
            .and_then(|()| self.add(lines))
            .map_err(|e| e.context(format!("column {:?}", self.columns[column])))?;
        if dialect.octal_chars && kind.holds_char() {
            // A backslash that is itself the value has no digit after it.
            let mut pairs = self.plain.windows(2);
            self.octal_chars |= pairs.any(|pair| pair[0] == b'\\' && pair[1].is_ascii_digit());
        }
        Ok(())
    }

    /// A line that begins as the end of the rows would is none that a server writes, and whoever
    /// reads the file would take what follows for statements.
    fn text(&mut self, rows: &[u8], lines: &mut Lines) -> Result<()> {
        no_nul(rows)?;
        let mut rest = rows;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (row, after) = rest.split_at(end);
            rest = &after[1..];
            if row.starts_with(b"\\.") {
                return Err(Error::corrupt("a row says that it is the end of the rows"));
            }
            if lines.layout() == Layout::Csv {
                self.text_row(row, lines)?;
            }
        }
        if lines.layout() == Layout::Copy {
            lines.as_they_are(rows);
        }
        Ok(())
    }

    fn text_row(&mut self, row: &[u8], lines: &mut Lines) -> Result<()> {
        // A table without columns has empty lines, which hold no field.
        let fields = row.split(|byte| *byte == b'\t').take(self.columns.len());
        for (column, field) in fields.enumerate() {
            if field == b"\\N" {
                lines.null();
                continue;
            }
            self.plain.clear();
            unescape(field, &mut self.plain)
                .and_then(|()| self.add(lines))
                .map_err(|e| e.context(format!("column {:?}", self.columns[column])))?;
        }
        lines.end();
        Ok(())
    }

    fn add(&mut self, lines: &mut Lines) -> Result<()> {
        match &self.encoding {
            None => lines.value(&self.plain),
            Some(encoding) => {
                self.other.clear();
                encoding.write(&self.plain, &mut self.other)?;
                lines.value(&self.other);
            }
        }
        Ok(())
    }
}

/// Takes back what COPY's text form does to a value.
fn unescape(field: &[u8], plain: &mut Vec<u8>) -> Result<()> {
    let mut rest = field;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        plain.push(match rest.get(at + 1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0b,
            Some(b'\\') => b'\\',
            _ => return Err(Error::corrupt("a backslash stands before what needs none")),
        });
        rest = &rest[at + 2..];
    }
    plain.extend_from_slice(rest);
    Ok(())
}

/// No text of PostgreSQL holds this byte. psql, which reads lines as strings that end with it, would take
/// what follows for the beginning of another line, and so for the end of the rows.
fn no_nul(text: &[u8]) -> Result<()> {
    match memchr::memchr(0, text) {
        None => Ok(()),
        Some(_) => Err(Error::corrupt("a row holds a byte that is in no text")),
    }
}
