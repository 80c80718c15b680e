//! Writing an object of any size with a bounded amount of memory.

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, PutPayload};

use super::{Name, failed};
use crate::error::Result;

/// Bytes per part. S3 takes no more than 10,000 parts, so this bounds an object at 80 GB.
const PART: usize = 8 << 20;

/// Writes one object in parts. Nothing is visible under its name until [`finish`](Self::finish)
/// returns; dropped unfinished, it leaves nothing under the name.
pub struct Writer {
    name: Name,
    upload: Box<dyn MultipartUpload>,
    part: BytesMut,
    written: u64,
}

impl Writer {
    pub(super) fn new(name: Name, upload: Box<dyn MultipartUpload>) -> Self {
        Self {
            name,
            upload,
            part: BytesMut::new(),
            written: 0,
        }
    }

    /// Adds bytes; waits while the store takes a part.
    ///
    /// # Errors
    /// The store could not be written; the writer must then be dropped or aborted.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.part.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
        while self.part.len() >= PART {
            let part = self.part.split_to(PART).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        self.upload
            .put_part(PutPayload::from_bytes(part))
            .await
            .map_err(|e| failed("write", self.name.as_str(), e))
    }

    /// Makes the object visible and durable; returns its size.
    ///
    /// # Errors
    /// The store could not be written; there is then no such object.
    pub async fn finish(mut self) -> Result<u64> {
        let rest = self.part.split().freeze();
        if !rest.is_empty() || self.written == 0 {
            self.send(rest).await?;
        }
        self.upload
            .complete()
            .await
            .map_err(|e| failed("finish", self.name.as_str(), e))?;
        Ok(self.written)
    }

    /// Gives up, and removes the parts.
    ///
    /// # Errors
    /// The store could not be written; the parts then stay until they are pruned.
    pub async fn abort(mut self) -> Result<()> {
        self.upload
            .abort()
            .await
            .map_err(|e| failed("give up", self.name.as_str(), e))
    }
}
