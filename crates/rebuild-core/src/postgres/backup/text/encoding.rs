//! From a database's encoding to UTF-8.

use super::letters;
use crate::error::{Error, Result};

/// Brings text into UTF-8, for files that other programs read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres::backup) struct ToUtf8 {
    from: String,
    letters: Option<&'static [u16; 128]>,
}

impl ToUtf8 {
    /// From the encoding that PostgreSQL calls `encoding`. `None` where nothing is to be done: it is
    /// UTF-8, or the server knows the bytes of no encoding.
    pub(in crate::postgres::backup) fn from(encoding: &str) -> Option<Self> {
        match encoding {
            "UTF8" | "SQL_ASCII" => None,
            from => Some(Self {
                from: from.to_owned(),
                letters: letters::of(from),
            }),
        }
    }

    /// Adds `text` to `out`.
    ///
    /// # Errors
    /// A refusal if a letter is not known here, or there is none in UTF-8.
    pub(in crate::postgres::backup) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // Every encoding of a server has ASCII, and nothing else below 128.
        if text.is_ascii() {
            out.extend_from_slice(text);
            return Ok(());
        }
        let Some(letters) = self.letters else {
            return Err(Error::refused(format!(
                "its rows are in {}, which is not turned into UTF-8 here",
                self.from
            ))
            .hint(
                "export it as SQL, or set csv = true in the spec's [backup] section before a \
                 backup is taken: then the server writes the CSV files",
            ));
        };
        let mut bytes = [0; 4];
        for byte in text {
            let Some(place) = byte.checked_sub(0x80) else {
                out.push(*byte);
                continue;
            };
            let letter = match letters[usize::from(place)] {
                0 => None,
                letter => char::from_u32(u32::from(letter)),
            };
            let letter = letter.ok_or_else(|| {
                Error::refused(format!(
                    "the byte {byte:#04x} of {} stands for nothing in UTF-8",
                    self.from
                ))
                .hint("export it as SQL, which keeps the bytes as they are")
            })?;
            out.extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
        }
        Ok(())
    }
}
