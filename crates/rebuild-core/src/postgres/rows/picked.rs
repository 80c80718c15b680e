//! What rows add up to in some of their columns.

use std::ops::Range;

use super::scan::Tally;
use crate::error::{Error, Result};
use crate::model::RowForm;

/// Adds rows up as if their table had some of its columns only, or had them in another order.
#[derive(Debug)]
pub(crate) struct Picked {
    form: RowForm,
    /// The places of the columns in the rows that come, in the order wanted.
    picks: Vec<usize>,
    /// Where the fields of a row are.
    fields: Vec<Range<usize>>,
    row: Vec<u8>,
    tally: Tally,
}

impl Picked {
    /// Of rows in that form; `picks` are the places of the columns.
    pub(crate) fn new(form: RowForm, picks: &[usize]) -> Self {
        Self {
            form,
            picks: picks.to_vec(),
            fields: Vec::new(),
            row: Vec::new(),
            tally: Tally::new(picks.len()),
        }
    }

    /// Takes whole rows of a COPY stream.
    ///
    /// # Errors
    /// They are no such rows, or lack one of the columns.
    pub(crate) fn add(&mut self, rows: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < rows.len() {
            at += match self.form {
                RowForm::Text => self.text(&rows[at..])?,
                RowForm::Binary => self.binary(&rows[at..])?,
            };
        }
        Ok(())
    }

    /// What they add up to.
    pub(crate) fn finish(self) -> Tally {
        self.tally
    }

    /// The first row of `rows`; returns its length.
    fn text(&mut self, rows: &[u8]) -> Result<usize> {
        let end = memchr::memchr(b'\n', rows).ok_or_else(broken)?;
        self.fields.clear();
        let mut from = 0;
        for to in memchr::memchr_iter(b'\t', &rows[..end]).chain([end]) {
            self.fields.push(from..to);
            from = to + 1;
        }
        self.row.clear();
        for (n, &pick) in self.picks.iter().enumerate() {
            if n > 0 {
                self.row.push(b'\t');
            }
            let field = &rows[self.fields.get(pick).ok_or_else(broken)?.clone()];
            self.row.extend_from_slice(field);
            self.tally.non_null[n] += u64::from(field != b"\\N");
        }
        self.tally.add(&self.row);
        Ok(end + 1)
    }

    /// As [`text`](Self::text). Each field goes with the length before it.
    fn binary(&mut self, rows: &[u8]) -> Result<usize> {
        let head = rows.first_chunk::<2>().ok_or_else(broken)?;
        self.fields.clear();
        let mut at = head.len();
        for _ in 0..i16::from_be_bytes(*head) {
            let size = rows.get(at..).and_then(|rest| rest.first_chunk::<4>());
            // A NULL has the length -1, and no bytes.
            let size = i32::from_be_bytes(*size.ok_or_else(broken)?);
            let end = at + 4 + usize::try_from(size).unwrap_or(0);
            self.fields.push(at..end);
            at = end;
        }
        if at > rows.len() {
            return Err(broken());
        }
        self.row.clear();
        let count = i16::try_from(self.picks.len()).map_err(|_| broken())?;
        self.row.extend_from_slice(&count.to_be_bytes());
        for (n, &pick) in self.picks.iter().enumerate() {
            let field = &rows[self.fields.get(pick).ok_or_else(broken)?.clone()];
            self.row.extend_from_slice(field);
            self.tally.non_null[n] += u64::from(!field.starts_with(&(-1i32).to_be_bytes()));
        }
        self.tally.add(&self.row);
        Ok(at)
    }
}

fn broken() -> Error {
    Error::corrupt("a row does not have the fields that its manifest says")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(form: RowForm, picks: &[usize], rows: &[u8]) -> Result<Tally> {
        let mut picked = Picked::new(form, picks);
        picked.add(rows)?;
        Ok(picked.finish())
    }

    fn binary(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut out = Vec::new();
        for row in rows {
            out.extend(i16::try_from(row.len()).expect("few fields").to_be_bytes());
            for field in *row {
                let size = field.map_or(Ok(-1), |f| i32::try_from(f.len()));
                out.extend(size.expect("short").to_be_bytes());
                out.extend_from_slice(field.unwrap_or_default());
            }
        }
        out
    }

    #[test]
    fn rows_add_up_as_those_of_a_table_with_those_columns() {
        let text = |picks: &[usize], rows: &str| sum(RowForm::Text, picks, rows.as_bytes());
        let fewer = text(&[2, 0], "a\tgone\t\\N\nb\\tc\t\\N\td\n").expect("text");
        assert_eq!(fewer, text(&[0, 1], "\\N\ta\nd\tb\\tc\n").expect("text"));
        assert_eq!((fewer.rows, fewer.non_null), (2, vec![1, 2]));
        let none = text(&[], "a\nb\n").expect("text");
        assert_eq!((none.rows, none.hash), {
            let empty = text(&[0], "\n\n").expect("text");
            (2, empty.hash)
        });

        let rows = binary(&[
            &[Some(b"a"), Some(b"gone"), None],
            &[Some(b"\xff\xff\xff\xff"), None, Some(b"")],
        ]);
        let fewer = sum(RowForm::Binary, &[2, 0], &rows).expect("binary");
        let like = binary(&[&[None, Some(b"a")], &[Some(b""), Some(b"\xff\xff\xff\xff")]]);
        let like = sum(RowForm::Binary, &[0, 1], &like).expect("binary");
        assert_eq!(fewer, like);
        assert_eq!((fewer.rows, fewer.non_null), (2, vec![1, 2]));
    }

    #[test]
    fn what_are_no_such_rows_is_damage() {
        let row = binary(&[&[Some(b"abc"), None]]);
        for cut in 1..row.len() {
            sum(RowForm::Binary, &[0], &row[..cut]).expect_err("cut off");
        }
        sum(RowForm::Binary, &[2], &row).expect_err("no such column");
        sum(RowForm::Text, &[1], b"a\n").expect_err("no such column");
        sum(RowForm::Text, &[0], b"a").expect_err("cut off");
    }
}
