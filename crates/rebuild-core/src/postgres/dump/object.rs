//! A dump in a bucket, read as it comes: nothing of it is kept on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::source::{HEAD, Packing, pieces};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Name, Store};

/// Where a dump is.
#[derive(Clone, Debug)]
pub enum DumpFrom {
    /// A file or a folder of this machine.
    Path(PathBuf),
    /// An object in a bucket.
    Object(Store, Name),
    /// SQL that somebody else reads.
    Stream(Arc<dyn DumpStream>),
}

/// SQL, packed or not, read from the beginning as often as it is asked for.
#[async_trait]
pub trait DumpStream: std::fmt::Debug + Send + Sync {
    /// What it is, for errors.
    fn name(&self) -> String;

    /// The bytes, as they are stored.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    async fn open(&self) -> Result<Box<dyn AsyncRead + Send + Unpin>>;
}

impl DumpFrom {
    /// What `path` names: an object, if it begins with `s3://` or `gs://`.
    ///
    /// # Errors
    /// The URL names no object; the credentials for the bucket cannot be used.
    pub async fn find(path: &Path, environment: &Environment) -> Result<Self> {
        let text = path.to_str().unwrap_or_default();
        if !["s3://", "gs://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Ok(Self::Path(path.to_owned()));
        }
        let names_none = || Error::usage(format!("{text:?} names no object in a bucket"));
        let (folder, name) = text.rsplit_once('/').ok_or_else(names_none)?;
        let name = Name::new(name).map_err(|e| names_none().caused_by(e))?;
        Ok(Self::Object(Store::open(folder, environment).await?, name))
    }

    /// The last part of its name, for errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Path(path) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                name.to_string_lossy().into_owned()
            }
            Self::Object(_, name) => name.file_name().to_owned(),
            Self::Stream(stream) => stream.name(),
        }
    }
}

async fn bytes(store: &Store, name: &Name) -> Result<impl AsyncRead + Send + Unpin + 'static> {
    let pieces = store.stream(name).await?;
    Ok(StreamReader::new(pieces.map_err(std::io::Error::other)))
}

/// How the object is packed.
///
/// # Errors
/// It is not there, empty, or an archive, for which pg_restore wants a file.
pub(super) async fn packing(store: &Store, name: &Name) -> Result<Packing> {
    let shown = format!("{}/{}", store.url(), name.as_str());
    packing_of(&shown, bytes(store, name).await?).await
}

/// How what somebody else reads is packed.
///
/// # Errors
/// Those of [`packing`].
pub(super) async fn packing_of_stream(stream: &dyn DumpStream) -> Result<Packing> {
    packing_of(&stream.name(), stream.open().await?).await
}

async fn packing_of(shown: &str, beginning: impl AsyncRead + Unpin) -> Result<Packing> {
    let mut head = Vec::new();
    let read = beginning.take(HEAD).read_to_end(&mut head).await;
    read.map_err(|e| Error::new(ErrorKind::Store, format!("could not read {shown}")).caused_by(e))?;
    match Packing::of(&head) {
        None if head.is_empty() => Err(Error::corrupt(format!("the dump {shown} is empty"))),
        None => Err(Error::usage(format!("{shown} is an archive of pg_dump"))
            .hint("pg_restore reads it from a file: copy it here first")),
        Some(packing) => Ok(packing),
    }
}

/// The SQL of the object.
///
/// # Errors
/// It could not be read.
pub(super) async fn open(
    store: &Store,
    name: &Name,
    packing: Packing,
) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    Ok(unpacked(bytes(store, name).await?, packing))
}

/// The SQL in what was packed.
pub(super) fn unpacked(
    bytes: impl AsyncRead + Send + Unpin + 'static,
    packing: Packing,
) -> Box<dyn AsyncRead + Send + Unpin> {
    match packing {
        Packing::Plain => Box::new(bytes),
        Packing::Gzip => {
            let bytes = SyncIoBridge::new(bytes);
            pieces(move || Ok(flate2::read::MultiGzDecoder::new(bytes)))
        }
        Packing::Zstd => {
            let bytes = SyncIoBridge::new(bytes);
            pieces(move || zstd::Decoder::new(bytes))
        }
    }
}
