//! What became of the rows.

use std::io::Write;

use futures::{StreamExt, pin_mut};

use super::carried::Carried;
use super::site::{Site, failed};
use super::stage::{fate, staged};
use crate::error::Result;
use crate::model::TableName;
use crate::traits::{LeftOut, PutBackTable};

/// Takes every row that is left out.
pub(crate) trait LeftOutRows: Send {
    /// One row: its key, as a JSON object of its columns, and why it is left out. Both may hold
    /// what the row holds.
    ///
    /// # Errors
    /// It cannot be kept.
    fn take(&mut self, table: &TableName, key: &str, reason: &str) -> Result<()>;
}

/// Writes them as CSV (RFC 4180), with a header.
pub(crate) struct CsvLines<W: Write + Send> {
    out: W,
    begun: bool,
}

impl<W: Write + Send> CsvLines<W> {
    /// Into `out`.
    pub(crate) fn new(out: W) -> Self {
        Self { out, begun: false }
    }

    /// What was written into.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write + Send> LeftOutRows for CsvLines<W> {
    fn take(&mut self, table: &TableName, key: &str, reason: &str) -> Result<()> {
        if !self.begun {
            self.out.write_all(b"table,key,reason\r\n")?;
            self.begun = true;
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let table = quoted(&table.to_string());
        write!(self.out, "{table},{},{}\r\n", quoted(key), quoted(reason))?;
        Ok(())
    }
}

impl Site<'_> {
    /// Counts what became of the rows of `table`, in place `at`, and tells of those left out.
    ///
    /// # Errors
    /// The server failed, or the rows cannot be told of.
    pub(super) async fn report(
        &self,
        at: usize,
        table: &Carried,
        details: &mut dyn LeftOutRows,
    ) -> Result<PutBackTable> {
        let rows = staged(at);
        let counts = format!(
            "select fate, reason, pg_catalog.count(*) from {rows}
              where chosen group by fate, reason order by fate, reason collate \"C\""
        );
        let mut done = PutBackTable {
            table: table.rule.table.clone(),
            selected: 0,
            inserted: 0,
            replaced: 0,
            unchanged: 0,
            left_out: Vec::new(),
        };
        for row in self.rows(self.new, &counts, &[]).await? {
            let count = u64::try_from(row.get::<_, i64>(2)).unwrap_or_default();
            done.selected += count;
            match &*format!("'{}'", row.get::<_, &str>(0)) {
                fate::INSERTED => done.inserted += count,
                fate::REPLACED => done.replaced += count,
                fate::UNCHANGED => done.unchanged += count,
                _ => done.left_out.push(LeftOut {
                    reason: row.get::<_, Option<String>>(1).unwrap_or_default(),
                    rows: count,
                }),
            }
        }
        if !done.left_out.is_empty() {
            let sql = format!(
                "select label, reason from {rows} where chosen and fate = {} order by n",
                fate::LEFT_OUT
            );
            self.tell(&sql, &table.rule.table, details).await?;
        }
        Ok(done)
    }

    async fn tell(
        &self,
        sql: &str,
        table: &TableName,
        details: &mut dyn LeftOutRows,
    ) -> Result<()> {
        let none: [&str; 0] = [];
        let asked = async { self.new.query_raw(sql, none).await.map_err(failed) };
        let rows = self.patiently(asked).await?;
        pin_mut!(rows);
        while let Some(row) = self.patiently(async { Ok(rows.next().await) }).await? {
            let row = row.map_err(failed)?;
            let reason: Option<&str> = row.get(1);
            details.take(table, row.get(0), reason.unwrap_or_default())?;
        }
        Ok(())
    }
}
