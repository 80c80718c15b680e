//! Foreign keys, which the server need not look up again where the rows prove them.

use std::collections::HashSet;

use tokio_postgres::SimpleQueryMessage;

use super::run::{Origin, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::postgres::{Session, literal, server_error};

impl Shared {
    /// True if a foreign key between `tables` that held in the backup's snapshot must hold here
    /// too: all rows of both are exactly the snapshot's.
    pub(super) async fn rows_prove(&self, session: &Session, tables: &[String]) -> Result<bool> {
        if !self.own_schema || self.some_tables || matches!(self.origin, Origin::Csv(_)) {
            return Ok(false);
        }
        let whole = self.whole_tables.get_or_try_init(|| self.whole(session));
        let whole = whole.await?;
        Ok(tables.iter().all(|name| whole.contains(name)))
    }

    /// The tables whose rows are exactly the snapshot's, of which the server may be told so: only
    /// a superuser may, and only of tables that are no partitions and have none. Chosen or masked
    /// rows are not: an expression may give something else for each of the tables.
    async fn whole(&self, session: &Session) -> Result<HashSet<String>> {
        let direct = self.placed.iter().filter(|(entry, placement)| {
            let as_it_was = match &self.origin {
                Origin::Source(streams) => streams.reads_as_it_is(**entry),
                Origin::Backup | Origin::Csv(_) => true,
            };
            placement.is_direct() && self.manifest.tables[**entry].condition.is_none() && as_it_was
        });
        let names: Vec<&String> = direct.filter_map(|(at, _)| self.tables.get(at)).collect();
        let rows = session
            .query(
                "select t
                   from pg_catalog.unnest($1::pg_catalog.text[]) t
                   join pg_catalog.pg_class c on c.oid = t::pg_catalog.regclass
                  where c.relkind = 'r' and not c.relispartition
                    and pg_catalog.current_setting('is_superuser') = 'on'",
                &[&names],
            )
            .await;
        let names = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        names.map_err(|e| server_error("could not look at the tables of foreign keys", e))
    }

    /// Adds a foreign key that the rows prove.
    pub(super) async fn add_proven_key(
        &self,
        session: &Session,
        sql: &str,
        table: &str,
        name: &str,
    ) -> Result<()> {
        let both = proven_key(sql, table, name)?;
        let added = async {
            let answers = session.simple_query(&both).await;
            answers.map_err(|e| server_error(format!("could not run {sql:.400?}"), e))
        };
        let limit = self.options.statement_limit;
        match rows_changed(&self.ctx.within(limit, name, added).await?) {
            1 => Ok(()),
            n => Err(Error::internal(format!(
                "foreign key {name:?} of {table} was there {n} times"
            ))),
        }
    }

    /// With rows of some tables alone, a foreign key need not hold.
    pub(super) fn broken_key(&self, e: Error, tables: &[String]) -> Error {
        if !self.some_tables || e.kind() != ErrorKind::Server {
            return e;
        }
        e.context(format!(
            "a foreign key between {} does not hold with the rows of the chosen tables alone",
            tables.join(" and ")
        ))
        .hint("choose the table that it refers to as well")
    }
}

/// The statements that add a foreign key without having the server look every row up; they
/// change one row of a catalog.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn proven_key(sql: &str, table: &str, name: &str) -> Result<String> {
    Ok(format!(
        "{sql} NOT VALID;
         update pg_catalog.pg_constraint set convalidated = true
          where contype = 'f' and not convalidated and conname = {}
            and conrelid = {}::pg_catalog.regclass",
        literal(name)?,
        literal(table)?
    ))
}

/// How many rows statements have changed; those that define something change none.
pub(super) fn rows_changed(answers: &[SimpleQueryMessage]) -> u64 {
    let counts = answers.iter().map(|answer| match answer {
        SimpleQueryMessage::CommandComplete(rows) => *rows,
        _ => 0,
    });
    counts.sum()
}
