//! Which migration tool manages a database, and the version that it records there.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::tools::{TOOLS, Tool};
use crate::error::{Error, ErrorKind, Result};
use crate::model::TableName;
use crate::postgres::{Session, qualified, server_error};

/// What a version table without a row says.
const NOTHING_APPLIED: &str = "nothing applied";

/// A table that may be a version table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    name: TableName,
    columns: Vec<String>,
}

/// The migration tool that manages the database, and the version it records; `None` if there is
/// no version table. Known are alembic, Django, Flyway, sqlx, refinery, Prisma, golang-migrate,
/// Rails and dbmate, by their tables' columns, in any schema. Where there are several, their
/// names are joined, in one order, and the version tells of each.
///
/// # Errors
/// [`ErrorKind::Program`] if a migration is recorded as failed or half done; the server could
/// not be asked, or the role may not read the table.
pub async fn migration_version(session: &Session) -> Result<Option<(String, String)>> {
    let tables = candidates(session).await?;
    let mut found = Vec::new();
    for (tool, table) in recognise(&tables) {
        let version = read(session, tool, table).await?;
        found.push((tool.name, table, version));
    }
    Ok(join(&found))
}

/// The tables that have as many columns as a version table, and no more.
async fn candidates(session: &Session) -> Result<Vec<Candidate>> {
    let rows = session
        .query(
            "select n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
                    pg_catalog.array_agg(a.attname::pg_catalog.text order by a.attname collate \"C\")
               from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               join pg_catalog.pg_attribute a on a.attrelid = c.oid
              where c.relkind in ('r', 'p') and c.relpersistence <> 't'
                and a.attnum > 0 and not a.attisdropped
                and n.nspname <> 'information_schema'
                and n.nspname::pg_catalog.text not like 'pg\\_%'
              group by n.nspname, c.relname
             having pg_catalog.count(*) <= 10
              order by n.nspname collate \"C\", c.relname collate \"C\"",
            &[],
        )
        .await
        .map_err(|e| server_error("could not look for a migration tool's table", e))?;
    Ok(rows
        .iter()
        .map(|row| Candidate {
            name: TableName {
                schema: row.get(0),
                name: row.get(1),
            },
            columns: row.get(2),
        })
        .collect())
}

/// The version tables among `tables`, and whose they are, by tool, schema and name.
fn recognise(tables: &[Candidate]) -> Vec<(&'static Tool, &Candidate)> {
    let is_beside = |name: &TableName, other: &str| {
        tables
            .iter()
            .any(|t| t.name.schema == name.schema && t.name.name == other)
    };
    let mut found: Vec<_> = tables
        .iter()
        .filter_map(|table| {
            let tool = TOOLS.iter().find(|tool| {
                tool.columns == table.columns
                    && tool.table.is_none_or(|name| name == table.name.name)
                    && tool
                        .beside
                        .is_none_or(|other| is_beside(&table.name, other))
            })?;
            Some((tool, table))
        })
        .collect();
    // The tables are in order already.
    found.sort_by_key(|(tool, _)| tool.name);
    found
}

/// What one migration tool records in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The tool.
    pub(crate) tool: &'static str,
    /// Its table.
    pub(crate) table: TableName,
    /// As in [`migration_version`].
    pub(crate) version: String,
    /// Every migration that is applied, with its checksum, by name; `None` where only the newest
    /// is recorded.
    pub(crate) applied: Option<BTreeMap<String, Option<String>>>,
}

/// What every migration tool records that manages the database.
///
/// # Errors
/// As [`migration_version`].
pub(crate) async fn migrations(session: &Session) -> Result<Vec<Recorded>> {
    let tables = candidates(session).await?;
    let mut found = Vec::new();
    for (tool, table) in recognise(&tables) {
        let applied = match tool.applied {
            Some(sql) => Some(applied(session, tool, sql, table).await?),
            None => None,
        };
        found.push(Recorded {
            tool: tool.name,
            table: table.name.clone(),
            version: read(session, tool, table).await?,
            applied,
        });
    }
    Ok(found)
}

async fn applied(
    session: &Session,
    tool: &Tool,
    sql: &str,
    table: &Candidate,
) -> Result<BTreeMap<String, Option<String>>> {
    let sql = sql.replace("{t}", &qualified(&table.name)?);
    let rows = session.query(&sql, &[]).await.map_err(|e| {
        let what = format!("could not read the migrations that {} records", tool.name);
        server_error(what, e)
    })?;
    let name = |row: &Row| row.get::<_, Option<String>>(0).unwrap_or_default();
    Ok(rows.iter().map(|row| (name(row), row.get(1))).collect())
}

async fn read(session: &Session, tool: &Tool, table: &Candidate) -> Result<String> {
    let name = qualified(&table.name)?;
    let ask = async |sql: &str| -> Result<Option<String>> {
        let row = session
            .query_opt(&sql.replace("{t}", &name), &[])
            .await
            .map_err(|e| {
                server_error(
                    format!("could not read the version that {} records", tool.name),
                    e,
                )
            })?;
        Ok(row.and_then(|row| row.get(0)))
    };
    if let Some(sql) = tool.unfinished
        && let Some(migration) = ask(sql).await?
    {
        return Err(Error::new(
            ErrorKind::Program,
            format!(
                "{} records in {name} that its migration {migration:?} failed or is half done",
                tool.name
            ),
        )
        .hint(tool.repair));
    }
    Ok(ask(tool.version)
        .await?
        .unwrap_or_else(|| NOTHING_APPLIED.to_owned()))
}

fn join(found: &[(&str, &Candidate, String)]) -> Option<(String, String)> {
    match found {
        [] => None,
        [(tool, _, version)] => Some(((*tool).to_owned(), version.clone())),
        several => {
            let mut tools: Vec<&str> = several.iter().map(|(tool, _, _)| *tool).collect();
            tools.dedup();
            let versions: Vec<String> = several
                .iter()
                .map(|(tool, t, version)| format!("{tool} {}: {version}", t.name))
                .collect();
            Some((tools.join(" + "), versions.join("; ")))
        }
    }
}
