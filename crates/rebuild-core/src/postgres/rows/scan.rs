//! Where rows begin and end in a COPY stream, and what they add up to.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result};
use crate::model::{ContentHash, RowForm};

/// What every binary COPY stream begins with: the signature, no flags, no header extension
/// (<https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT>).
pub(crate) const BINARY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What every binary COPY stream ends with: a field count of -1.
pub(crate) const BINARY_TRAILER: &[u8; 2] = b"\xff\xff";

/// Bytes before the length of a header extension.
const BINARY_FIXED: usize = 15;

/// The sum of the rows that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes.
    pub hash: ContentHash,
    /// For each column, how many rows hold something other than NULL there.
    pub non_null: Vec<u64>,
}

impl Tally {
    /// Nothing, of a table with that many columns.
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            non_null: vec![0; columns],
            ..Self::default()
        }
    }

    /// Adds another part of the same table.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.hash.merge(other.hash);
        for (mine, theirs) in self.non_null.iter_mut().zip(&other.non_null) {
            *mine += theirs;
        }
    }

    /// Adds a row, but not which of its fields are filled.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        self.hash.add_row(xxh3_128(row));
    }
}

/// Finds whole rows in a COPY stream that arrives in pieces cut anywhere. It relies on nothing
/// but the stream's own bytes, and refuses what cannot be one.
#[derive(Debug)]
pub(crate) struct RowScanner {
    form: RowForm,
    stage: Stage,
    /// A row whose end has not come yet.
    cut: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    Ended,
}

/// What was found in one piece of a stream: whole rows at `rows`, and how many bytes are done
/// with. What follows those belongs in front of the next piece.
#[derive(Default)]
struct Scanned {
    rows: Range<usize>,
    used: usize,
}

impl RowScanner {
    /// At the beginning of a stream of that form.
    pub(crate) fn new(form: RowForm) -> Self {
        let stage = match form {
            RowForm::Text => Stage::Rows,
            RowForm::Binary => Stage::Header,
        };
        Self {
            form,
            stage,
            cut: Vec::new(),
        }
    }

    /// Takes the next piece: adds its whole rows, and one that began in an earlier piece, to
    /// `tally`, and hands their bytes to `rows`.
    ///
    /// # Errors
    /// The bytes are no COPY stream of that form and number of columns; `rows` failed.
    pub(crate) fn feed(
        &mut self,
        piece: &[u8],
        tally: &mut Tally,
        rows: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if self.cut.is_empty() {
            let found = self.scan(piece, tally)?;
            self.cut.extend_from_slice(&piece[found.used..]);
            return rows(&piece[found.rows]);
        }
        let mut joined = std::mem::take(&mut self.cut);
        joined.extend_from_slice(piece);
        let found = self.scan(&joined, tally)?;
        rows(&joined[found.rows])?;
        joined.drain(..found.used);
        self.cut = joined;
        Ok(())
    }

    /// Called when the stream has ended.
    ///
    /// # Errors
    /// The stream was cut off.
    pub(crate) fn end(&self) -> Result<()> {
        let whole = match self.form {
            RowForm::Text => true,
            RowForm::Binary => self.stage == Stage::Ended,
        };
        if whole && self.cut.is_empty() {
            Ok(())
        } else {
            Err(broken("it ends in the middle"))
        }
    }

    fn scan(&mut self, piece: &[u8], tally: &mut Tally) -> Result<Scanned> {
        match self.form {
            RowForm::Text => scan_text(piece, tally).map(|used| Scanned {
                rows: 0..used,
                used,
            }),
            RowForm::Binary => self.scan_binary(piece, tally),
        }
    }

    fn scan_binary(&mut self, piece: &[u8], tally: &mut Tally) -> Result<Scanned> {
        let mut start = 0;
        if self.stage == Stage::Ended {
            return if piece.is_empty() {
                Ok(Scanned::default())
            } else {
                Err(broken("something comes after its end"))
            };
        }
        if self.stage == Stage::Header {
            match header_length(piece)? {
                Some(length) => start = length,
                None => return Ok(Scanned::default()),
            }
            self.stage = Stage::Rows;
        }
        let mut at = start;
        while self.stage == Stage::Rows {
            match binary_row(&piece[at..], &mut tally.non_null)? {
                BinaryRow::Whole(length) => {
                    tally.add(&piece[at..at + length]);
                    at += length;
                }
                BinaryRow::Cut => {
                    return Ok(Scanned {
                        rows: start..at,
                        used: at,
                    });
                }
                BinaryRow::Trailer => self.stage = Stage::Ended,
            }
        }
        let rows = start..at;
        let used = at + BINARY_TRAILER.len();
        if piece.len() > used {
            return Err(broken("something comes after its end"));
        }
        Ok(Scanned { rows, used })
    }
}

/// Adds the rows of one COPY stream up, and keeps nothing of them.
#[derive(Debug)]
pub(crate) struct Sum {
    scanner: RowScanner,
    tally: Tally,
}

impl Sum {
    /// Of a stream of that form and number of columns.
    pub(crate) fn new(form: RowForm, columns: usize) -> Self {
        Self {
            scanner: RowScanner::new(form),
            tally: Tally::new(columns),
        }
    }

    /// Takes the next piece of the stream, cut anywhere.
    ///
    /// # Errors
    /// The bytes are no COPY stream of that form and number of columns.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<()> {
        self.scanner.feed(piece, &mut self.tally, |_| Ok(()))
    }

    /// What the rows add up to, when the stream has ended.
    ///
    /// # Errors
    /// The stream was cut off.
    pub(crate) fn finish(self) -> Result<Tally> {
        self.scanner.end()?;
        Ok(self.tally)
    }
}

fn broken(why: &str) -> Error {
    Error::corrupt(format!("this is no whole COPY stream: {why}"))
}

fn scan_text(piece: &[u8], tally: &mut Tally) -> Result<usize> {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', piece) {
        let row = &piece[at..end];
        tally.add(row);
        count_text_fields(row, &mut tally.non_null)?;
        at = end + 1;
    }
    Ok(at)
}

/// A newline or tab inside a value is written with a backslash, so a bare one always separates.
fn count_text_fields(row: &[u8], non_null: &mut [u64]) -> Result<()> {
    if non_null.is_empty() {
        return if row.is_empty() {
            Ok(())
        } else {
            Err(broken("a row of a table without columns is not empty"))
        };
    }
    let mut fields = 0;
    let mut at = 0;
    for end in memchr::memchr_iter(b'\t', row).chain(std::iter::once(row.len())) {
        let Some(count) = non_null.get_mut(fields) else {
            return Err(broken("a row has too many fields"));
        };
        *count += u64::from(&row[at..end] != b"\\N");
        fields += 1;
        at = end + 1;
    }
    if fields == non_null.len() {
        Ok(())
    } else {
        Err(broken("a row has too few fields"))
    }
}

fn header_length(piece: &[u8]) -> Result<Option<usize>> {
    let seen = piece.len().min(BINARY_FIXED);
    if piece[..seen] != BINARY_HEADER[..seen] {
        return Err(broken("it does not begin as binary COPY data without oids"));
    }
    let Some(extension) = int32(piece, BINARY_FIXED) else {
        return Ok(None);
    };
    let extension =
        usize::try_from(extension).map_err(|_| broken("its header has a negative length"))?;
    let length = BINARY_FIXED + 4 + extension;
    Ok((piece.len() >= length).then_some(length))
}

enum BinaryRow {
    /// A row of that many bytes.
    Whole(usize),
    /// The piece ends before the row does.
    Cut,
    /// The end of the stream.
    Trailer,
}

fn binary_row(bytes: &[u8], non_null: &mut [u64]) -> Result<BinaryRow> {
    let Some(head) = bytes.first_chunk::<2>() else {
        return Ok(BinaryRow::Cut);
    };
    let fields = i16::from_be_bytes(*head);
    if fields == -1 {
        return Ok(BinaryRow::Trailer);
    }
    if usize::try_from(fields).ok() != Some(non_null.len()) {
        return Err(broken(&format!(
            "a row has {fields} fields, the table has {}",
            non_null.len()
        )));
    }
    let mut at = 2;
    for column in 0..non_null.len() {
        match int32(bytes, at) {
            Some(-1) => at += 4,
            Some(size) => {
                let size = usize::try_from(size);
                at += 4 + size.map_err(|_| broken("a field has a negative length"))?;
                non_null[column] += 1;
            }
            None => {
                forget_fields(bytes, &mut non_null[..column]);
                return Ok(BinaryRow::Cut);
            }
        }
    }
    if at > bytes.len() {
        forget_fields(bytes, non_null);
        return Ok(BinaryRow::Cut);
    }
    Ok(BinaryRow::Whole(at))
}

/// Takes back the counts of a row that is cut: it comes again, whole, with the next piece.
fn forget_fields(bytes: &[u8], non_null: &mut [u64]) {
    let mut at = 2;
    for count in non_null {
        let size = int32(bytes, at).and_then(|size| usize::try_from(size).ok());
        *count -= u64::from(size.is_some());
        at += 4 + size.unwrap_or(0);
    }
}

fn int32(bytes: &[u8], at: usize) -> Option<i32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `stream` in pieces of `size` bytes, as a network might.
    fn in_pieces(form: RowForm, columns: usize, stream: &[u8], size: usize) -> Result<Tally> {
        let mut scanner = RowScanner::new(form);
        let mut tally = Tally::new(columns);
        let mut handed_on = 0;
        for piece in stream.chunks(size) {
            scanner.feed(piece, &mut tally, |rows| {
                handed_on += rows.len();
                Ok(())
            })?;
        }
        scanner.end()?;
        let around = match form {
            RowForm::Text => 0,
            RowForm::Binary => BINARY_HEADER.len() + BINARY_TRAILER.len(),
        };
        assert_eq!(handed_on, stream.len() - around);
        Ok(tally)
    }

    fn binary(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut out = BINARY_HEADER.to_vec();
        for row in rows {
            out.extend(i16::try_from(row.len()).expect("few fields").to_be_bytes());
            for field in *row {
                match field {
                    None => out.extend((-1i32).to_be_bytes()),
                    Some(bytes) => {
                        out.extend(i32::try_from(bytes.len()).expect("short").to_be_bytes());
                        out.extend_from_slice(bytes);
                    }
                }
            }
        }
        out.extend(BINARY_TRAILER);
        out
    }

    #[test]
    fn cuts_change_nothing() {
        // A value that looks like the end of the stream, and one that looks like a row.
        let stream = binary(&[
            &[Some(b"\xff\xff"), None],
            &[Some(b"\0\x02\0\0\0\0"), Some(b"")],
            &[None, Some(b"x")],
        ]);
        let whole = in_pieces(RowForm::Binary, 2, &stream, stream.len()).expect("whole");
        assert_eq!(
            (whole.rows, whole.non_null.as_slice()),
            (3, [2, 2].as_slice())
        );
        let text = b"a\\tb\t\\N\n\\N\t\n\\\\N\t1\n";
        let whole_text = in_pieces(RowForm::Text, 2, text, text.len()).expect("whole");
        assert_eq!(
            (whole_text.rows, whole_text.non_null.as_slice()),
            (3, [2, 2].as_slice())
        );
        for size in 1..stream.len() {
            assert_eq!(
                in_pieces(RowForm::Binary, 2, &stream, size).expect("pieces"),
                whole
            );
        }
        for size in 1..text.len() {
            assert_eq!(
                in_pieces(RowForm::Text, 2, text, size).expect("pieces"),
                whole_text
            );
        }
    }

    #[test]
    fn order_does_not_count_and_doubles_do() {
        let tally = |text: &[u8]| in_pieces(RowForm::Text, 1, text, 7).expect("text");
        assert_eq!(tally(b"a\nb\nc\n"), tally(b"c\na\nb\n"));
        assert_ne!(tally(b"a\na\n").hash, tally(b"b\nb\n").hash);
        assert_ne!(tally(b"a\na\na\nb\n").hash, tally(b"a\nb\nb\nb\n").hash);
    }

    #[test]
    fn tables_without_columns_have_rows() {
        assert_eq!(
            in_pieces(RowForm::Text, 0, b"\n\n", 1).expect("text").rows,
            2
        );
        let stream = binary(&[&[], &[]]);
        assert_eq!(
            in_pieces(RowForm::Binary, 0, &stream, 1)
                .expect("binary")
                .rows,
            2
        );
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let good = binary(&[&[Some(b"abc")]]);
        for cut in 0..good.len() {
            assert!(
                in_pieces(RowForm::Binary, 1, &good[..cut], 5).is_err(),
                "{cut}"
            );
        }
        let after = [good.as_slice(), b"x"].concat();
        for size in 1..=after.len() {
            assert!(
                in_pieces(RowForm::Binary, 1, &after, size).is_err(),
                "{size}"
            );
        }
        assert!(in_pieces(RowForm::Binary, 2, &good, 64).is_err());
        assert!(in_pieces(RowForm::Binary, 1, b"PGCOPX", 64).is_err());
        for text in ["a", "a\tb\n", "\n\na"] {
            assert!(
                in_pieces(RowForm::Text, 1, text.as_bytes(), 64).is_err(),
                "{text:?}"
            );
        }
        assert!(in_pieces(RowForm::Text, 2, b"a\n", 64).is_err());
        assert!(in_pieces(RowForm::Text, 0, b"a\n", 64).is_err());
    }
}
