//! Tables, columns and extensions are there, and as said.

use super::amount::{amount, len};
use super::look::Look;
use crate::error::Result;
use crate::model::{Check, Outcome, TableName};
use crate::postgres::server_error;

/// A relation of that schema and name, as a word.
const RELATION: &str = "
    select case c.relkind when 'r' then 'table' when 'p' then 'table' when 'f' then 'table'
                when 'v' then 'table' when 'm' then 'table'
                when 'S' then 'a sequence' when 'c' then 'a composite type' else 'an index' end
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname::pg_catalog.text = $1 and c.relname::pg_catalog.text = $2";

/// What a column is. A domain may say that there is no NULL in it where the column does not.
const COLUMN: &str = "
    select pg_catalog.format_type(a.atttypid, a.atttypmod),
           not (a.attnotnull or (t.typtype = 'd' and t.typnotnull))
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      left join pg_catalog.pg_attribute a
        on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       and a.attname::pg_catalog.text = $3
      left join pg_catalog.pg_type t on t.oid = a.atttypid
     where n.nspname::pg_catalog.text = $1 and c.relname::pg_catalog.text = $2
       and c.relkind in ('r', 'p', 'f', 'v', 'm')";

/// Every column of that name in a table that is neither the system's nor an extension's.
const COLUMNS: &str = "
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
           pg_catalog.format_type(a.atttypid, a.atttypmod)
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where a.attname::pg_catalog.text = $1 and a.attnum > 0 and not a.attisdropped
       and c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
       and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
              and d.objsubid = 0 and d.deptype = 'e')
     order by 1, 2";

/// The tables exist, or views of those names.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn tables(look: &Look<'_>, wanted: &[TableName]) -> Result<Check> {
    let mut complaints = Vec::new();
    for table in wanted {
        let what = || format!("could not look for {table}");
        let row = look
            .session()
            .query_opt(RELATION, &[&table.schema, &table.name])
            .await
            .map_err(|e| server_error(what(), e))?;
        let kind: Option<String> = row
            .map(|row| row.try_get(0))
            .transpose()
            .map_err(|e| server_error(what(), e))?;
        match kind.as_deref() {
            Some("table") => {}
            Some(other) => {
                complaints.push(format!("{table}: expected a table or view, found {other}"))
            }
            None => complaints.push(format!("{table}: expected a table or view, found nothing")),
        }
    }
    Ok(check(
        "tables",
        amount(len(wanted), "table", "tables"),
        complaints,
    ))
}

/// What a column should be.
#[derive(Clone, Debug)]
pub(super) struct ColumnWanted {
    /// Of that table or view.
    pub(super) table: TableName,
    /// Its name.
    pub(super) column: String,
    /// Its type, as `format_type` writes it.
    pub(super) type_name: Option<String>,
    /// Whether it may be NULL.
    pub(super) nullable: Option<bool>,
}

impl ColumnWanted {
    /// `column public.gpu.vendor`
    pub(super) fn name(&self) -> String {
        format!("column {}.{}", self.table, self.column)
    }
}

/// The column exists and is as said.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn column(look: &Look<'_>, wanted: &ColumnWanted) -> Result<Check> {
    let what = || format!("could not look at {}", wanted.name());
    let row = look
        .session()
        .query_opt(
            COLUMN,
            &[&wanted.table.schema, &wanted.table.name, &wanted.column],
        )
        .await
        .map_err(|e| server_error(what(), e))?;
    let mut complaints = Vec::new();
    if let Some(row) = &row {
        let type_name: Option<String> = row.try_get(0).map_err(|e| server_error(what(), e))?;
        let nullable: Option<bool> = row.try_get(1).map_err(|e| server_error(what(), e))?;
        complaints.extend(column_complaints(
            wanted,
            type_name,
            nullable.unwrap_or(true),
        ));
    } else {
        complaints.push(format!("there is no table {}", wanted.table));
    }
    Ok(check(&wanted.name(), "1 column".into(), complaints))
}

fn column_complaints(
    wanted: &ColumnWanted,
    type_name: Option<String>,
    nullable: bool,
) -> Vec<String> {
    let Some(found) = type_name else {
        return vec![format!(
            "{} has no column {:?}",
            wanted.table, wanted.column
        )];
    };
    let mut complaints = Vec::new();
    if let Some(expected) = wanted.type_name.as_ref().filter(|t| **t != found) {
        complaints.push(format!("expected type {expected}, found {found}"));
    }
    let word = |nullable| if nullable { "NULL allowed" } else { "NOT NULL" };
    if let Some(expected) = wanted.nullable.filter(|n| *n != nullable) {
        complaints.push(format!(
            "expected {}, found {}",
            word(expected),
            word(nullable)
        ));
    }
    complaints
}

/// Every column of that name has that type; there must be one.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn every_column(look: &Look<'_>, name: &str, type_name: &str) -> Result<Check> {
    let what = || format!("could not look for columns named {name:?}");
    let rows = look
        .session()
        .query(COLUMNS, &[&name])
        .await
        .map_err(|e| server_error(what(), e))?;
    let mut complaints = Vec::new();
    for row in &rows {
        let (schema, table, found): (String, String, String) =
            (|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))()
                .map_err(|e| server_error(what(), e))?;
        if found != type_name {
            let table = TableName::new(schema, table);
            complaints.push(format!(
                "{table}.{name}: expected type {type_name}, found {found}"
            ));
        }
    }
    if rows.is_empty() {
        complaints.push(format!("no table has a column {name:?}"));
    }
    Ok(check(
        &format!("every column {name}"),
        amount(len(&rows), "column", "columns"),
        complaints,
    ))
}

/// The extension is installed, in that version if one is said.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn extension(look: &Look<'_>, name: &str, version: Option<&str>) -> Result<Check> {
    let what = || format!("could not look for extension {name:?}");
    let row = look
        .session()
        .query_opt(
            "select extversion from pg_catalog.pg_extension where extname::pg_catalog.text = $1",
            &[&name],
        )
        .await
        .map_err(|e| server_error(what(), e))?;
    let found: Option<String> = row
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(|e| server_error(what(), e))?;
    let complaints = match (&found, version) {
        (None, _) => vec![format!("extension {name:?} is not installed")],
        (Some(found), Some(wanted)) if found != wanted => {
            vec![format!("expected version {wanted}, found {found}")]
        }
        (Some(_), _) => Vec::new(),
    };
    let looked_at = found.map_or_else(|| "nothing".to_owned(), |v| format!("version {v}"));
    Ok(check(&format!("extension {name}"), looked_at, complaints))
}

/// A check that failed if there is any complaint.
pub(super) fn check(name: &str, looked_at: String, complaints: Vec<String>) -> Check {
    Check {
        name: name.to_owned(),
        looked_at,
        outcome: if complaints.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(complaints)
        },
    }
}
