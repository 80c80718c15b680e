//! The folder that an export goes into.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::postgres::backup::layout::UNFINISHED_EXPORT;

/// A folder that was new or empty, and what has been written into it.
pub(super) struct Folder {
    path: PathBuf,
    /// Files that are whole.
    pub(super) written: Vec<PathBuf>,
}

impl Folder {
    /// Makes `path`, unless it is there and empty.
    ///
    /// # Errors
    /// A refusal if something is in it; it cannot be made or read.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mut there = tokio::fs::read_dir(path).await?;
        if there.next_entry().await?.is_some() {
            return Err(Error::refused(format!("{} is not empty", path.display()))
                .hint("name a folder that is new or empty"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            written: Vec::new(),
        })
    }

    /// The next file, which is for nobody but whoever asked for it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn begin(&self) -> Result<BufWriter<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path.join(UNFINISHED_EXPORT))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    }

    /// Gives the file that was begun its name, now that it is whole.
    ///
    /// # Errors
    /// The last of it cannot be written.
    pub(super) async fn finish(&self, file: BufWriter<File>, name: &str) -> Result<PathBuf> {
        // This writes what waits, and tells if that failed.
        drop(
            file.into_inner()
                .map_err(std::io::IntoInnerError::into_error)?,
        );
        let path = self.path.join(name);
        tokio::fs::rename(self.path.join(UNFINISHED_EXPORT), &path).await?;
        Ok(path)
    }

    /// Removes every file again: a part would pass for the whole, and stand in the way of the next
    /// attempt.
    pub(super) async fn clear(self) {
        for path in [self.path.join(UNFINISHED_EXPORT)]
            .iter()
            .chain(&self.written)
        {
            let _ = tokio::fs::remove_file(path).await;
        }
    }
}
