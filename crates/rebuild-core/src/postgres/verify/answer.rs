//! What a query should give, and how it differs from what it gave.

use super::amount::excerpt;
use crate::error::{Error, Result};
use crate::spec::Expected;

/// How many differences are printed.
const SHOWN: usize = 5;

/// How much of a row is printed.
const WIDTH: usize = 200;

/// One value that a query should give.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    /// As PostgreSQL writes it.
    Text(String),
    /// Compared as a number: `1.5` is `1.50`.
    Number(f64),
}

/// The rows that a query should give, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer(Vec<Vec<Value>>);

impl Answer {
    /// Reads what a spec says: a value (one row of one column), a row, or rows; in a row, a
    /// missing value is an empty list. An empty list by itself is no rows at all.
    ///
    /// # Errors
    /// Wrong input if lists are nested deeper than that, or if values and rows are mixed.
    pub(super) fn new(expected: &Expected) -> Result<Self> {
        let Expected::List(items) = expected else {
            return Ok(Self(vec![vec![value(expected)?]]));
        };
        let is_row = |item: &Expected| matches!(item, Expected::List(values) if !values.is_empty());
        if items.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if !items.iter().any(is_row) {
            return Ok(Self(vec![row(items)?]));
        }
        items
            .iter()
            .map(|item| match item {
                Expected::List(values) if !values.is_empty() => row(values),
                _ => Err(Error::usage(
                    "expect mixes values and rows: write one value, one row [1, 2], or rows [[1, 2], [3, 4]]",
                )),
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

fn row(values: &[Expected]) -> Result<Vec<Value>> {
    values.iter().map(value).collect()
}

fn value(expected: &Expected) -> Result<Value> {
    Ok(match expected {
        Expected::Bool(true) => Value::Text("t".into()),
        Expected::Bool(false) => Value::Text("f".into()),
        Expected::Integer(n) => Value::Text(n.to_string()),
        Expected::Float(n) => Value::Number(*n),
        Expected::Text(text) => Value::Text(text.clone()),
        Expected::List(items) if items.is_empty() => Value::Null,
        Expected::List(_) => {
            return Err(Error::usage(
                "expect is nested too deep: a row holds values, and rows are a list of rows",
            ));
        }
    })
}

impl Value {
    fn is(&self, found: Option<&str>) -> bool {
        match (self, found) {
            (Self::Null, None) => true,
            (Self::Text(text), Some(found)) => text == found,
            (Self::Number(n), Some(found)) => found
                .parse::<f64>()
                .is_ok_and(|f| f == *n || (f.is_nan() && n.is_nan())),
            _ => false,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Null => "NULL".into(),
            Self::Text(text) => text.clone(),
            Self::Number(n) => n.to_string(),
        }
    }
}

/// Compares rows as they arrive and keeps no more than the first few differences.
pub(super) struct Comparison<'a> {
    expected: &'a Answer,
    rows: usize,
    differences: usize,
    shown: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Nothing has arrived yet.
    pub(super) fn new(expected: &'a Answer) -> Self {
        Self {
            expected,
            rows: 0,
            differences: 0,
            shown: Vec::new(),
        }
    }

    /// How many rows have arrived.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the next row.
    pub(super) fn add(&mut self, found: &[Option<&str>]) {
        let expected = self.expected.0.get(self.rows);
        self.rows += 1;
        let same = expected.is_some_and(|row| {
            row.len() == found.len() && row.iter().zip(found).all(|(e, f)| e.is(*f))
        });
        if !same {
            self.differ(self.rows, expected.map(Vec::as_slice), Some(found));
        }
    }

    /// No more rows come. One line for each of the first rows that differ.
    pub(super) fn finish(mut self) -> Vec<String> {
        for at in self.rows..self.expected.0.len() {
            self.differ(at + 1, self.expected.0.get(at).map(Vec::as_slice), None);
        }
        if self.differences > self.shown.len() {
            self.shown.push(format!(
                "and {} more rows differ",
                self.differences - self.shown.len()
            ));
        }
        self.shown
    }

    fn differ(
        &mut self,
        number: usize,
        expected: Option<&[Value]>,
        found: Option<&[Option<&str>]>,
    ) {
        self.differences += 1;
        if self.shown.len() >= SHOWN {
            return;
        }
        let join = |values: Vec<String>| excerpt(&values.join("|"), WIDTH);
        let expected = expected.map_or_else(
            || "no row".to_owned(),
            |row| join(row.iter().map(Value::show).collect()),
        );
        let found = found.map_or_else(
            || "no row".to_owned(),
            |row| join(row.iter().map(|v| v.unwrap_or("NULL").to_owned()).collect()),
        );
        self.shown
            .push(format!("row {number}: expected {expected}, found {found}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Result<Answer> {
        Answer::new(&serde_json::from_str(json).expect(json))
    }

    fn compare(json: &str, found: &[&[Option<&str>]]) -> Vec<String> {
        let answer = answer(json).expect(json);
        let mut comparison = Comparison::new(&answer);
        for row in found {
            comparison.add(row);
        }
        comparison.finish()
    }

    #[test]
    fn a_value_a_row_and_rows() {
        for (json, found) in [
            ("true", [Some("t")].as_slice()),
            ("-3", &[Some("-3")]),
            ("1.5", &[Some("1.50")]),
            ("\"a b\"", &[Some("a b")]),
            ("\"\"", &[Some("")]),
            ("[[]]", &[None]),
            ("[1, [], \"x\"]", &[Some("1"), None, Some("x")]),
        ] {
            assert_eq!(compare(json, &[found]), [""; 0], "{json}");
            assert_eq!(compare(json, &[]).len(), 1, "{json}");
        }
        assert_eq!(compare("[]", &[]), [""; 0]);
        let rows: &[&[Option<&str>]] = &[&[Some("a"), Some("1")], &[Some("b"), None]];
        assert_eq!(compare("[[\"a\", 1], [\"b\", []]]", rows), [""; 0]);
    }

    #[test]
    fn differences_are_named_and_few() {
        assert_eq!(
            compare("5", &[&[Some("6")]]),
            ["row 1: expected 5, found 6"]
        );
        assert_eq!(
            compare("\"\"", &[&[None]]),
            ["row 1: expected , found NULL"]
        );
        assert_eq!(compare("1", &[&[Some("01")]]).len(), 1);
        assert_eq!(
            compare("1", &[&[Some("1"), Some("2")]]),
            ["row 1: expected 1, found 1|2"]
        );
        assert_eq!(
            compare("[[1],[2]]", &[&[Some("1")]]),
            ["row 2: expected 2, found no row"]
        );
        let many = vec![[Some("x")].as_slice(); 9];
        let lines = compare("[]", &many);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "row 1: expected no row, found x");
        assert_eq!(lines[5], "and 4 more rows differ");
    }

    #[test]
    fn what_is_neither_a_row_nor_rows_is_refused() {
        for json in ["[[1], 2]", "[[1], []]", "[[[1]]]"] {
            assert!(answer(json).is_err(), "{json}");
        }
    }
}
