//! What lies in the folder of CSV files.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::record::{Filled, count, damaged, read_header};
use crate::error::{Error, Result};
use crate::model::TableName;
use crate::postgres::backup::layout;

/// A CSV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres::restore) struct CsvFile {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its size as it lies there.
    pub(super) bytes: u64,
    /// The columns, as its header line names them.
    pub(super) columns: Vec<String>,
    /// The table, where the folder's own list says so.
    pub(super) listed: Option<TableName>,
}

impl CsvFile {
    /// Its name without what tells its format.
    pub(super) fn stem(&self) -> &str {
        let name = self.name.strip_suffix(".zst").unwrap_or(&self.name);
        name.strip_suffix(".csv").unwrap_or(name)
    }

    /// Opens it for reading, decompressed. `watch` is called with the number of bytes each time
    /// some were read of the file itself.
    ///
    /// # Errors
    /// It is not there, or is not a plain file any more.
    pub(super) fn open(
        &self,
        folder: &Path,
        watch: impl FnMut(u64) + Send + 'static,
    ) -> Result<Box<dyn Read + Send>> {
        let file = open(folder, &self.name)?;
        let watched = Watched { file, watch };
        if self.name.ends_with(".zst") {
            let decoder = zstd::stream::read::Decoder::new(watched).map_err(damaged)?;
            return Ok(Box::new(decoder));
        }
        Ok(Box::new(watched))
    }

    /// How many rows it has, and how many have a value in each column.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn count(&self, folder: &Path) -> Result<Filled> {
        count(self.open(folder, |_| ())?, self.columns.len())
            .map_err(|e| e.context(format!("could not read {}", self.name)))
    }
}

struct Watched<F> {
    file: File,
    watch: F,
}

impl<F: FnMut(u64)> Read for Watched<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        (self.watch)(read as u64);
        Ok(read)
    }
}

/// A symbolic link could lead anywhere, so it is not followed.
fn open(folder: &Path, name: &str) -> Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .custom_flags(no_link)
        .open(folder.join(name))
        .map_err(damaged)
        .map_err(|e| e.context(format!("could not open {name}")))
}

/// Reads what lies in `folder`, with the header line of each file.
///
/// # Errors
/// A refusal that names the first thing that does not belong there: a folder, a link, a file of
/// another format, two files of one name, a header without columns' names or with one twice.
pub(super) fn read(folder: &Path) -> Result<Vec<CsvFile>> {
    let unreadable =
        |e| Error::refused(format!("the folder {} cannot be read", folder.display())).caused_by(e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Error::refused(format!("{name:?} has no name in UTF-8")));
        };
        if name == layout::UNFINISHED_EXPORT {
            let why = "says that an export into this folder was cut off; give it again, into another folder";
            return Err(refusal(name, why));
        }
        if name.starts_with('.') {
            continue;
        }
        if !entry.file_type().map_err(unreadable)?.is_file() {
            return Err(refusal(name, "is not a plain file"));
        }
        names.push((name.to_owned(), entry.metadata().map_err(unreadable)?.len()));
    }
    names.sort();
    let mut listed = list(folder, &names)?;
    let mut files: Vec<CsvFile> = Vec::new();
    for (name, bytes) in names {
        if name == layout::CSV_TABLES {
            continue;
        }
        if !name.ends_with(".csv") && !name.ends_with(".csv.zst") {
            return Err(refusal(&name, "is neither .csv nor .csv.zst"));
        }
        let mut file = CsvFile {
            name,
            bytes,
            columns: Vec::new(),
            listed: None,
        };
        file.listed = listed.remove(file.stem());
        if let Some(other) = files.iter().find(|f| f.stem() == file.stem()) {
            let why = format!("is of the same table as {}", other.name);
            return Err(refusal(&file.name, &why));
        }
        let header = read_header(file.open(folder, |_| ())?);
        file.columns = header.map_err(|e| e.context(format!("{} cannot be used", file.name)))?;
        require_names(&file)?;
        files.push(file);
    }
    match listed.keys().next() {
        None => Ok(files),
        Some(missing) => Err(Error::refused(format!(
            "{} names {missing}, and there is no {missing}.csv and no {missing}.csv.zst",
            layout::CSV_TABLES
        ))
        .hint("put the file there, or take it off the list")),
    }
}

/// The folder's own list of which file is of which table, by stem.
fn list(folder: &Path, names: &[(String, u64)]) -> Result<BTreeMap<String, TableName>> {
    if !names.iter().any(|(name, _)| name == layout::CSV_TABLES) {
        return Ok(BTreeMap::new());
    }
    let mut text = Vec::new();
    open(folder, layout::CSV_TABLES)?.read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|e| {
        Error::corrupt(format!("{} is not a list of tables", layout::CSV_TABLES)).caused_by(e)
    })
}

fn require_names(file: &CsvFile) -> Result<()> {
    for (n, column) in file.columns.iter().enumerate() {
        if column.is_empty() {
            return Err(refusal(
                &file.name,
                "has a column without a name in its header",
            ));
        }
        if file.columns[..n].contains(column) {
            let why = format!("has the column {column:?} twice in its header");
            return Err(refusal(&file.name, &why));
        }
    }
    Ok(())
}

fn refusal(name: &str, why: &str) -> Error {
    Error::refused(format!("{name:?} {why}"))
        .hint("the folder of restore.csv holds files schema.table.csv or .csv.zst, and no others")
}
