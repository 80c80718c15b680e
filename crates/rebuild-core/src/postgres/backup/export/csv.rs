//! Each table as a CSV file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use super::Export;
use super::folder::Folder;
use super::rows::{Progress, TableOut};
use crate::error::{Error, Result};
use crate::postgres::backup::layout::{CSV_TABLES, csv_stem};
use crate::postgres::backup::manifest::TableEntry;
use crate::postgres::backup::text::{Dialect, Layout, Lines, Rows, ToUtf8};

impl Export<'_> {
    /// Writes each table under its name, and what the names stand for. What the server wrote when
    /// the backup was taken is taken as it is; otherwise the same is made of the rows.
    ///
    /// # Errors
    /// Something in the backup is damaged; its encoding is none that is turned into UTF-8; the
    /// folder cannot be written.
    pub(super) async fn csv(&self, folder: &mut Folder) -> Result<()> {
        let tables = &self.manifest.tables;
        let progress = Progress::of(tables.iter().filter(|table| table.csv.is_none()));
        let mut stems = BTreeMap::new();
        for (index, table) in tables.iter().enumerate() {
            self.ctx.check_stop("the export")?;
            let stem = csv_stem(index, &table.table);
            let name = format!("{stem}.csv");
            let mut file = folder.begin()?;
            match &table.csv {
                Some(stored) => self.stored(stored, &mut file).await?,
                None => file = self.csv_of(table, file, &progress).await?,
            }
            let path = folder.finish(file, &name).await?;
            folder.written.push(path);
            stems.insert(stem, &table.table);
        }
        // The name of a file is not always that of its table.
        let list = serde_json::to_vec_pretty(&stems)
            .map_err(|e| Error::internal("the list of tables has no JSON form").caused_by(e))?;
        let mut file = folder.begin()?;
        file.write_all(&list)?;
        folder.finish(file, CSV_TABLES).await?;
        Ok(())
    }

    async fn csv_of(
        &self,
        table: &TableEntry,
        file: BufWriter<File>,
        progress: &Progress,
    ) -> Result<BufWriter<File>> {
        let dialect = Dialect::of(self.manifest.server_version);
        let rows = Rows::of(table, dialect, ToUtf8::from(&self.manifest.encoding))
            .map_err(|e| e.context(format!("could not export table {}", table.table)))?;
        let mut lines = Lines::new(Layout::Csv, table.columns.len());
        for column in &table.columns {
            lines.value(column.name.as_bytes());
        }
        lines.end();
        let mut out = TableOut::new(table, rows, lines, file);
        // A table without rows has no chunk that would write it.
        out.lines.take(&mut out.file)?;
        Ok(self.rows(table, out, progress).await?.file)
    }
}
