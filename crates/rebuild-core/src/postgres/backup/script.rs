//! Restoring a backup with psql and zstd alone, for the day this program is gone.

use super::layout::{DATABASE, LARGE_OBJECTS, POST_DATA, PRE_DATA, REFRESH, ROLES_SQL, SEQUENCES};
use super::manifest::{MatviewEntry, SequenceEntry, TableEntry};
use crate::error::Result;
use crate::model::RowForm;
use crate::postgres::rows::form::copy_options;
use crate::postgres::rows::names::Names;
use crate::postgres::{literal, qualified};
use crate::shell_word;
use crate::traits::BackupMode;

/// What bends rows and statements, and the values under which they are right.
pub(super) const SETTINGS: [(&str, &str); 12] = [
    ("datestyle", "ISO,YMD"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("lc_monetary", "C"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("default_transaction_read_only", "off"),
];

/// The statement that brings the rows of a table in.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn copy_in(names: Names, table: &TableEntry, form: RowForm) -> Result<String> {
    let columns = names.list(table.columns.iter().map(|c| c.name.as_str()))?;
    let list = if columns.is_empty() {
        String::new()
    } else {
        format!(" ({columns})")
    };
    Ok(format!(
        "copy {}{list} from stdin with {}",
        names.table(table.root.as_ref().unwrap_or(&table.table))?,
        copy_options(form)
    ))
}

/// The values of sequences, as SQL.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn sequences_sql(sequences: &[SequenceEntry]) -> Result<String> {
    let mut sql = String::from("set client_encoding = 'UTF8';\n");
    for entry in sequences {
        sql.push_str(&format!(
            "select pg_catalog.setval({}::pg_catalog.regclass, {}, {});\n",
            literal(&qualified(&entry.sequence)?)?,
            entry.last_value,
            entry.is_called
        ));
    }
    Ok(sql)
}

/// Refreshes the materialised views that had rows, in an order that works.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn refresh_sql(views: &[MatviewEntry]) -> Result<String> {
    let mut sql = String::from("set client_encoding = 'UTF8';\n");
    for entry in views.iter().filter(|v| v.populated) {
        sql.push_str(&format!(
            "refresh materialized view {};\n",
            qualified(&entry.view)?
        ));
    }
    Ok(sql)
}

/// The script. It takes the name of the database to create; the server comes from the `PG…`
/// variables of libpq.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn restore_script(
    database: &str,
    encoding: &str,
    mode: BackupMode,
    tables: &[TableEntry],
) -> Result<String> {
    let names = Names::under(encoding);
    let mut script = HEAD
        .replace("@DATABASE@", &shell_word(database))
        .replace("@ENCODING@", &shell_word(encoding))
        .replace("@ROLES@", ROLES_SQL)
        .replace("@CREATE@", DATABASE)
        .replace("@PRE@", PRE_DATA);
    for table in tables {
        if let Some(condition) = &table.condition {
            // The extension was made with rows of its own.
            let theirs = format!("delete from only {} {condition}", qualified(&table.table)?);
            script.push_str(&format!("without {}\n", shell_word(&theirs)));
        }
        let copy = copy_in(names, table, table.form)?;
        for chunk in &table.chunks {
            script.push_str(&format!("rows {} {}\n", chunk.file, shell_word(&copy)));
        }
    }
    if mode == BackupMode::Full {
        script.push_str(&format!("file {SEQUENCES}\npacked {LARGE_OBJECTS}\n"));
    }
    script.push_str(&format!("file {POST_DATA}\n"));
    if mode == BackupMode::Full {
        script.push_str(&format!("file {REFRESH}\n"));
    }
    script.push_str("echo \"restored into $database\" >&2\n");
    Ok(script)
}

const HEAD: &str = r#"#!/bin/sh
# Restores this backup into a new database. Needs psql and zstd, and a superuser.
#
#   PGHOST=... PGPORT=... PGUSER=... sh restore.sh [NAME]
#
# Missing roles are made, without passwords. It stops at the first error; drop the database
# before you try again. Check the files first: manifest.json has the BLAKE3 of each.
set -eu
cd "$(dirname "$0")"
database=@DATABASE@
if [ "$#" -gt 0 ]; then database=$1; fi

# Rows are in this encoding; settings that could bend them are fixed.
encoding=@ENCODING@
PGOPTIONS="-c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c lc_monetary=C \
-c extra_float_digits=3 -c bytea_output=hex -c standard_conforming_strings=on -c xmloption=content \
-c array_nulls=on -c statement_timeout=0 -c lock_timeout=0 \
-c default_transaction_read_only=off"
export PGOPTIONS

psql_quiet() { psql -X -q -o /dev/null -v ON_ERROR_STOP=1 "$@"; }
sql() { PGDATABASE=$database psql_quiet "$@"; }
file() { sql -f "$1"; }
without() { PGCLIENTENCODING=UTF8 sql -c "$1"; }
# What is read is tested first: of a pipe, sh takes the word of psql alone, which is content with nothing.
packed() {
    zstd -q -t "$1"
    zstd -q -d -c "$1" | sql -f -
}
rows() {
    zstd -q -t "$1"
    zstd -q -d -c "$1" | PGCLIENTENCODING=$encoding sql -c "$2"
}

PGDATABASE=${REBUILD_MAINTENANCE_DATABASE:-postgres} psql_quiet -f @ROLES@
PGDATABASE=${REBUILD_MAINTENANCE_DATABASE:-postgres} psql_quiet -v database="$database" -f @CREATE@
file @PRE@
"#;

#[cfg(test)]
mod tests {
    use super::{HEAD, SETTINGS};

    #[test]
    fn the_script_has_every_setting() {
        let options = HEAD.split('"').find(|part| part.starts_with("-c "));
        let options = options.expect("options").replace("\\\n", "");
        let named: Vec<String> = SETTINGS
            .iter()
            .map(|(name, value)| format!("-c {name}={value}"))
            .collect();
        assert_eq!(options, named.join(" "));
    }
}
