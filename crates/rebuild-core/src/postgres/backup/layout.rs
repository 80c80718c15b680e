//! Where the parts of a backup lie, relative to its own folder.

use crate::error::{Error, Result};
use crate::model::{BackupId, TableName};

/// The folder of all backups in a store.
pub(crate) const BACKUPS: &str = "backups";
/// Written last: a folder without it is no backup.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The schema as pg_dump's custom archive, with the large objects.
pub(crate) const SCHEMA_DUMP: &str = "schema.dump";
/// What comes before the rows, as SQL.
pub(crate) const PRE_DATA: &str = "pre-data.sql";
/// What comes after the rows, as SQL.
pub(crate) const POST_DATA: &str = "post-data.sql";
/// The large objects' contents as SQL, compressed.
pub(crate) const LARGE_OBJECTS: &str = "large-objects.sql.zst";
/// The database itself and its settings, as SQL.
pub(crate) const DATABASE: &str = "database.sql";
/// Roles that the database needs, as SQL.
pub(crate) const ROLES_SQL: &str = "roles.sql";
/// Roles that the database needs, as data.
pub(crate) const ROLES: &str = "roles.json";
/// The values of sequences, as SQL.
pub(crate) const SEQUENCES: &str = "sequences.sql";
/// Refreshes the materialised views that had rows, as SQL.
pub(crate) const REFRESH: &str = "refresh.sql";
/// Restores the backup with psql and zstd.
pub(crate) const RESTORE_SCRIPT: &str = "restore.sh";
/// The folder of the rows.
pub(crate) const ROWS: &str = "rows";

/// The folder of the CSV files.
pub(crate) const CSV: &str = "csv";

/// The list of which exported CSV file is of which table: an object with the files' names without
/// `.csv`, and for each the table's schema and name.
pub(crate) const CSV_TABLES: &str = "tables.json";

/// What a file of an export is called until it is whole.
pub(crate) const UNFINISHED_EXPORT: &str = ".unfinished";

/// The folder of the backup `id` in a store.
pub(crate) fn folder(id: &BackupId) -> String {
    format!("{BACKUPS}/{id}")
}

/// The file of a chunk: the table's place in the manifest, the part of the table that one worker
/// read, and the chunk's place in it. Where a part may be read twice, the `attempt` too: the
/// second need not cut the rows where the first did, so the chunks of the two must not be mixed.
pub(crate) fn chunk_file(table: usize, part: u32, chunk: usize, attempt: Option<&str>) -> String {
    let place = format!("{table:05}-{part:05}-{chunk:05}");
    match attempt {
        None => format!("{ROWS}/{place}.copy.zst"),
        Some(attempt) => format!("{ROWS}/{place}-{attempt}.copy.zst"),
    }
}

/// The CSV file of a table: its own name where no file system objects to it, and otherwise what
/// is left of it with the table's place in the manifest. Two tables never share a file, not even
/// where upper and lower case are the same.
pub(crate) fn csv_file(index: usize, table: &TableName) -> String {
    format!("{CSV}/{}.csv.zst", csv_stem(index, table))
}

/// The name of [`csv_file`] without its folder and what tells its format.
pub(crate) fn csv_stem(index: usize, table: &TableName) -> String {
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if plain(&table.schema) && plain(&table.name) && table.schema.len() + table.name.len() <= 80 {
        return format!("{}.{}", table.schema, table.name);
    }
    let kept: String = format!("{}.{}", table.schema, table.name)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        .take(60)
        .collect();
    format!("{index:05}-{kept}")
}

/// Refuses a name that does not stay in the backup's folder: a path of at most two components of
/// `A-Z a-z 0-9 . _ -`, none of which begins with a dot.
///
/// # Errors
/// The manifest is damaged, or somebody made it.
pub(crate) fn check_file_name(path: &str) -> Result<()> {
    let component = |c: &str| {
        !c.is_empty()
            && !c.starts_with('.')
            && c.len() <= 100
            && c.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|c| component(c)) {
        Ok(())
    } else {
        Err(Error::corrupt(format!(
            "the manifest names the file {path:?}, which no backup has"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        for good in [
            MANIFEST,
            "rows/00000-00000-00000.copy.zst",
            &chunk_file(1, 2, 3, None),
            &chunk_file(1, 2, 3, Some("0123456789ab")),
            &csv_file(7, &TableName::new("public", "orders")),
            &csv_file(7, &TableName::new(".É/..", "a b\n")),
        ] {
            check_file_name(good).expect(good);
        }
        let long = "x".repeat(4096);
        for bad in [
            "", "/", "a/", "/a", "..", "../a", "a/../b", "a/b/c", ".hidden", "a\\b", "a\0", "é",
            "a b", "rows//x", &long,
        ] {
            assert!(check_file_name(bad).is_err(), "{bad:?}");
        }
    }
}
