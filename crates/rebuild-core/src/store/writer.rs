//! Writing an object of any size with a bounded amount of memory.

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::{Name, Store};
use crate::error::Result;

/// Bytes per part, at first.
const PART: usize = 8 << 20;

/// Bytes per part of an object that has become large: S3 takes no more than 10,000 parts, so an
/// object may have some 570 GB.
const LARGE_PART: usize = 64 << 20;

/// How many parts are small.
const SMALL_PARTS: usize = 1000;

/// Writes one object, in parts where it is large. Nothing is visible under its name until
/// [`finish`](Self::finish) returns. Dropped unfinished, it leaves nothing under the name, and the
/// parts that the store has taken are removed as soon as the runtime comes to it.
pub struct Writer {
    store: Store,
    name: Name,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: usize,
    part: BytesMut,
    written: u64,
}

impl Writer {
    pub(super) fn new(store: Store, name: Name) -> Self {
        Self {
            store,
            name,
            upload: None,
            parts: 0,
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
        loop {
            let size = if self.parts < SMALL_PARTS {
                PART
            } else {
                LARGE_PART
            };
            if self.part.len() < size {
                return Ok(());
            }
            let part = self.part.split_to(size).freeze();
            self.send(part).await?;
        }
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        if self.upload.is_none() {
            let begin = self.store.objects.put_multipart(self.name.path());
            self.upload = Some(self.store.call("write", &self.name, begin).await?);
        }
        if let Some(upload) = &mut self.upload {
            let sent = upload.put_part(PutPayload::from_bytes(part));
            self.store.call("write", &self.name, sent).await?;
            self.parts += 1;
        }
        Ok(())
    }

    /// Makes the object visible and durable; returns its size.
    ///
    /// # Errors
    /// The store could not be written; there is then no such object, unless it was the answer to
    /// the last request that was lost.
    pub async fn finish(mut self) -> Result<u64> {
        let rest = self.part.split().freeze();
        if self.upload.is_none() {
            let put = self.store.objects.put(self.name.path(), rest.into());
            self.store.call("write", &self.name, put).await?;
            self.store.keep_private(&self.name)?;
            return Ok(self.written);
        }
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        if let Some(upload) = &mut self.upload {
            let done = self
                .store
                .call("finish", &self.name, upload.complete())
                .await;
            if let Err(e) = done {
                // The upload is gone when it was completed and the answer to that was lost.
                if self.store.size(&self.name).await.ok().flatten() != Some(self.written) {
                    return Err(e);
                }
            }
        }
        self.upload = None;
        self.store.keep_private(&self.name)?;
        Ok(self.written)
    }

    /// Gives up, and removes the parts.
    ///
    /// # Errors
    /// The store could not be written; the parts then stay until the bucket's own rule for
    /// incomplete uploads removes them.
    pub async fn abort(mut self) -> Result<()> {
        match self.upload.take() {
            Some(mut upload) => self.store.call("give up", &self.name, upload.abort()).await,
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        // Parts cost money until somebody removes them. A folder's are removed by the upload.
        if self.store.remote.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (store, name) = (self.store.clone(), self.name.clone());
            runtime.spawn(async move {
                if let Err(e) = store.call("give up", &name, upload.abort()).await {
                    tracing::warn!("parts of {name} are left in the store: {}", e.chain());
                }
            });
        }
    }
}
