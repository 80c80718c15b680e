//! What a database has and the backup does not, where the backup's own schema is what it should have.

use std::collections::BTreeSet;

use super::PgRestorer;
use super::placement::{Placements, is_a_migrators};
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::backup::Manifest;
use crate::postgres::rows::tables::{LiveTable, list_tables};
use crate::postgres::verify::Picks;
use crate::postgres::{Session, qualified, server_error};

impl PgRestorer {
    /// Describes each table with rows and each column that the backup does not know. Nothing if the schema came
    /// from elsewhere, which may have more, or if only some tables are restored.
    ///
    /// # Errors
    /// The database could not be read.
    pub(super) async fn unknown(
        &self,
        session: &Session,
        manifest: &Manifest,
        placements: &Placements,
        except: Picks<'_>,
    ) -> Result<Vec<String>> {
        if !self.own_schema || !self.choice.tables.is_empty() {
            return Ok(Vec::new());
        }
        let columns = placements.new_columns.iter().filter(|(t, _)| !except(t));
        let columns =
            columns.map(|(table, column)| format!("{table} has a column {column}, which is"));
        let mut unknown: Vec<String> = columns.collect();
        let known = manifest.tables.iter().map(|entry| &entry.table);
        let targets = placements.placed.iter().map(|p| &p.target);
        let known: BTreeSet<&TableName> = known.chain(targets).collect();
        for table in list_tables(session).await? {
            if !is_known(&table, &known)
                && !except(&table.table)
                && has_rows(session, &table).await?
            {
                unknown.push(format!("{} has rows, and is", table.table));
            }
        }
        let told = unknown.into_iter();
        Ok(told
            .map(|what| format!("{what} not in the backup"))
            .collect())
    }
}

/// True if its rows are looked at with those of a table of the backup, or are nobody's data.
fn is_known(table: &LiveTable, known: &BTreeSet<&TableName>) -> bool {
    !table.holds_rows()
        || table.condition.is_some()
        || is_a_migrators(&table.table)
        || known.contains(&table.table)
        || table.root.iter().any(|root| known.contains(root))
}

async fn has_rows(session: &Session, table: &LiveTable) -> Result<bool> {
    let sql = format!(
        "select exists (select from only {})",
        qualified(&table.table)?
    );
    let row = session.query_one(&sql, &[]).await;
    let row = row.map_err(|e| server_error(format!("could not read table {}", table.table), e))?;
    Ok(row.get(0))
}
