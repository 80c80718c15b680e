//! The keys of the rows that differ.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::pin::Pin;

use futures::StreamExt;
use tokio_postgres::RowStream;

use super::{DifferingKey, Differs, KEYS_SHOWN, KeyDifferences};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::TableName;
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, ident, server_error};

/// How to find the rows of a table that differ.
pub(in crate::postgres) struct Keys<'a> {
    /// The table.
    pub(in crate::postgres) table: &'a TableName,
    /// The columns that are compared.
    pub(in crate::postgres) all: &'a [String],
    /// Those of the primary key.
    pub(in crate::postgres) columns: &'a [String],
}

/// Rows, by what a `SELECT` reads them from in a session.
pub(in crate::postgres) type From<'a> = (&'a Session, &'a str);

/// A row as both servers give it: its key, and a hash of all of it.
struct Hashed {
    /// The bytes of each value's text, by which the rows are in order.
    key: Vec<Vec<u8>>,
    hash: Vec<u8>,
}

impl Keys<'_> {
    /// Reads both tables in the order of the key, beside each other.
    ///
    /// # Errors
    /// A server could not be asked, or did not answer in time.
    pub(in crate::postgres) async fn compare(
        &self,
        ctx: &Ctx,
        first: From<'_>,
        second: From<'_>,
        options: &RowOptions,
    ) -> Result<KeyDifferences> {
        let what = format!("finding the rows in which {} differs", self.table);
        let reading = async {
            let (a, b) = tokio::try_join!(self.read(first), self.read(second))?;
            self.merge(a, b).await
        };
        ctx.within(options.statement_limit, &what, reading).await
    }

    /// The order is that of bytes, which no collation of either server bends, and the hash is of
    /// the row's text, which is exact under the settings of our sessions.
    async fn read(&self, (session, from): From<'_>) -> Result<Rows> {
        let value = |name: &String| Ok(bytes_of(&format!("{}::pg_catalog.text", ident(name)?)));
        let key: Vec<String> = self.columns.iter().map(value).collect::<Result<_>>()?;
        let key = key.join(", ");
        let all: Vec<String> = self
            .all
            .iter()
            .map(|name| ident(name))
            .collect::<Result<_>>()?;
        let places: Vec<String> = (1..=self.columns.len()).map(|n| n.to_string()).collect();
        let sql = format!(
            "select {key}, pg_catalog.sha256({}) from {from} order by {}",
            bytes_of(&format!("row({})::pg_catalog.text", all.join(", "))),
            places.join(", ")
        );
        let nothing: [&str; 0] = [];
        let stream = session
            .query_raw(&sql, nothing)
            .await
            .map_err(|e| server_error(format!("could not read {}", self.table), e))?;
        Ok(Rows {
            stream: Box::pin(stream),
            columns: self.columns.len(),
        })
    }

    async fn merge(&self, mut first: Rows, mut second: Rows) -> Result<KeyDifferences> {
        let mut found = KeyDifferences {
            columns: self.columns.to_vec(),
            ..KeyDifferences::default()
        };
        let (mut a, mut b) = tokio::try_join!(first.next(), second.next())?;
        loop {
            let order = match (&a, &b) {
                (None, None) => return Ok(found),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.key.cmp(&b.key),
            };
            match (&a, &b) {
                (Some(a), _) if order == Ordering::Less => found.add(Differs::OnlyInFirst, a),
                (_, Some(b)) if order == Ordering::Greater => found.add(Differs::OnlyInSecond, b),
                (Some(a), Some(b)) if a.hash != b.hash => found.add(Differs::Changed, a),
                _ => {}
            }
            if order != Ordering::Greater {
                a = first.next().await?;
            }
            if order != Ordering::Less {
                b = second.next().await?;
            }
        }
    }
}

/// The bytes of a text in UTF8, or as they are where nobody knows what they mean.
fn bytes_of(text: &str) -> String {
    format!(
        "pg_catalog.convert_to({text}, case pg_catalog.getdatabaseencoding()
             when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)"
    )
}

impl KeyDifferences {
    /// For people: how many keys differ and some of them, a line each. `first` and `second` are what the two
    /// sides are called. Keys are data, so control characters in them are escaped.
    pub fn describe(&self, first: &str, second: &str) -> String {
        let mut out = format!(
            "by {}: {} only in {first}, {} only in {second}, {} changed",
            self.columns.join(", "),
            self.only_first,
            self.only_second,
            self.changed
        );
        for differing in &self.shown {
            let how = match differing.how {
                Differs::OnlyInFirst => '-',
                Differs::OnlyInSecond => '+',
                Differs::Changed => '~',
            };
            let key = differing.key.join(", ");
            let _ = write!(out, "\n    {how} {}", key.escape_debug());
        }
        out
    }

    fn add(&mut self, how: Differs, row: &Hashed) {
        let count = match how {
            Differs::OnlyInFirst => &mut self.only_first,
            Differs::OnlyInSecond => &mut self.only_second,
            Differs::Changed => &mut self.changed,
        };
        *count += 1;
        if self.shown.len() < KEYS_SHOWN {
            let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
            self.shown.push(DifferingKey {
                how,
                key: row.key.iter().map(text).collect(),
            });
        }
    }
}

/// Rows as they arrive; no more than a few are in memory.
struct Rows {
    stream: Pin<Box<RowStream>>,
    columns: usize,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<Hashed>> {
        let failed = |e| server_error("could not read rows in the order of their keys", e);
        let Some(row) = self.stream.next().await.transpose().map_err(failed)? else {
            return Ok(None);
        };
        let key = (0..self.columns)
            .map(|at| row.try_get(at))
            .collect::<Result<Vec<Vec<u8>>, _>>()
            .map_err(failed)?;
        let hash = row.try_get(self.columns).map_err(failed)?;
        Ok(Some(Hashed { key, hash }))
    }
}
