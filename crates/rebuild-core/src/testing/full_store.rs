//! A store on a disk that fills up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::store::Store;

/// The files of a `file:` store, with room for so many bytes more. What is removed makes no room.
#[derive(Debug)]
pub struct FullStore {
    files: LocalFileSystem,
    room: Arc<AtomicU64>,
}

impl FullStore {
    /// The files of `store`, with room for `room` bytes.
    ///
    /// # Errors
    /// `store` is no `file:` store.
    pub fn over(store: &Store, room: u64) -> crate::error::Result<Store> {
        let folder = store.folder().ok_or_else(|| {
            crate::error::Error::usage(format!("{} is not a folder", store.url()))
        })?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(|e| {
            crate::error::Error::internal("the folder cannot be opened").caused_by(e)
        })?;
        Ok(Store::over(Arc::new(Self {
            files,
            room: Arc::new(AtomicU64::new(room)),
        })))
    }
}

fn take(room: &AtomicU64, bytes: usize) -> Result<()> {
    let bytes = bytes as u64;
    let taken = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
        room.checked_sub(bytes)
    });
    taken.map(drop).map_err(|_| Error::Generic {
        store: "FullStore",
        source: std::io::Error::from(rustix::io::Errno::NOSPC).into(),
    })
}

#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    room: Arc<AtomicU64>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match take(&self.room, data.content_length()) {
            Ok(()) => self.upload.put_part(data),
            Err(e) => Box::pin(std::future::ready(Err(e))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[async_trait]
impl ObjectStore for FullStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        take(&self.room, payload.content_length())?;
        self.files.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload {
            upload: self.files.put_multipart_opts(location, opts).await?,
            room: self.room.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

impl fmt::Display for FullStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullStore({})", self.files)
    }
}
