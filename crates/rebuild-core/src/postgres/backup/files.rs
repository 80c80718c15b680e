//! Files of a backup that is being taken.

use bytes::Bytes;

use super::manifest::FileEntry;
use crate::error::Result;
use crate::store::{Name, Store, Writer};

/// Writes one file and adds its checksum up on the way.
pub(super) struct HashedFile {
    file: String,
    writer: Writer,
    hasher: blake3::Hasher,
}

impl HashedFile {
    /// A new file of the backup in `folder`.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn create(store: &Store, folder: &Name, file: &str) -> Result<Self> {
        Ok(Self {
            file: file.to_owned(),
            writer: store.writer(&folder.join(file)?),
            hasher: blake3::Hasher::new(),
        })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.writer.write(bytes).await
    }

    /// Makes the file visible.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn finish(self) -> Result<FileEntry> {
        Ok(FileEntry {
            file: self.file,
            stored_bytes: self.writer.finish().await?,
            blake3: self.hasher.finalize().to_hex().to_string(),
        })
    }
}

/// Writes a small file.
///
/// # Errors
/// It exists, or the store could not be written.
pub(super) async fn put(
    store: &Store,
    folder: &Name,
    file: &str,
    bytes: impl Into<Bytes>,
) -> Result<FileEntry> {
    let bytes = bytes.into();
    let entry = FileEntry {
        file: file.to_owned(),
        stored_bytes: bytes.len() as u64,
        blake3: blake3::hash(&bytes).to_hex().to_string(),
    };
    store.put_new(&folder.join(file)?, bytes).await?;
    Ok(entry)
}
