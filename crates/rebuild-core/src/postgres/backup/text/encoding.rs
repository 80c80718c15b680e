//! From a database's encoding to UTF-8.

use crate::error::{Error, Result};

/// Brings text into UTF-8, for files that other programs read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres::backup) struct ToUtf8 {
    from: String,
    latin: bool,
}

impl ToUtf8 {
    /// From the encoding that PostgreSQL calls `encoding`. `None` where nothing is to be done: it is
    /// UTF-8, or the server knows the bytes of no encoding.
    pub(in crate::postgres::backup) fn from(encoding: &str) -> Option<Self> {
        match encoding {
            "UTF8" | "SQL_ASCII" => None,
            from => Some(Self {
                from: from.to_owned(),
                latin: from == "LATIN1",
            }),
        }
    }

    /// Adds `text` to `out`.
    ///
    /// # Errors
    /// A refusal if there is a letter that is not known to be the same everywhere.
    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // Every encoding of a server has ASCII, and nothing else below 128.
        if text.is_ascii() {
            out.extend_from_slice(text);
            return Ok(());
        }
        if !self.latin {
            return Err(Error::refused(format!(
                "its rows are in {}, which is not turned into UTF-8 here",
                self.from
            ))
            .hint(
                "export it as SQL, or set csv = true in the spec's [backup] section before a \
                 backup is taken: then the server writes the CSV files",
            ));
        }
        let letters = text.iter().map(|byte| char::from(*byte));
        let mut bytes = [0; 4];
        for letter in letters {
            out.extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
        }
        Ok(())
    }
}
