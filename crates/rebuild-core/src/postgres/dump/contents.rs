//! What a SQL dump holds, found by reading it.

use std::io::Read;

use tokio::io::AsyncRead;

use super::reader::{DumpReader, Item};
use super::source::pieces;
use crate::error::Result;

/// What a SQL dump holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DumpContents {
    /// Tables with rows of their own.
    pub(crate) tables: u64,
    /// Their rows.
    pub(crate) rows: u64,
}

/// Reads a dump of pg_dump that is under gzip, from front to back.
///
/// # Errors
/// It is damaged, or cut short.
pub(crate) async fn read_gzip(
    name: &str,
    compressed: impl Read + Send + 'static,
) -> Result<DumpContents> {
    let decoder = move || Ok(flate2::read::MultiGzDecoder::new(compressed));
    read(name, pieces(decoder)).await
}

async fn read(name: &str, sql: impl AsyncRead + Send + Unpin) -> Result<DumpContents> {
    let mut dump = DumpReader::new(name.to_owned(), sql);
    let mut contents = DumpContents::default();
    while let Some(item) = dump.next().await? {
        if let Item::Copy { .. } = item {
            contents.tables += 1;
            while let Some(rows) = dump.rows().await? {
                contents.rows += memchr::memchr_iter(b'\n', &rows).count() as u64;
            }
        }
    }
    Ok(contents)
}
