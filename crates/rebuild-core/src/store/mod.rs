//! One object store behind one URL, for backups and journals.

mod address;
#[cfg(any(feature = "s3", feature = "gs"))]
mod client;
mod create;
mod failure;
mod folder;
#[cfg(feature = "gs")]
mod gs;
mod name;
#[cfg(any(feature = "postgres", feature = "k8s", feature = "gcp"))]
mod note;
// Without any kind of bucket, nothing makes one.
#[cfg_attr(not(any(feature = "s3", feature = "gs")), allow(dead_code))]
mod remote;
#[cfg(feature = "s3")]
mod s3;
mod writer;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
#[cfg(any(test, feature = "testing"))]
pub(crate) use address::Address;
#[cfg(not(any(test, feature = "testing")))]
use address::Address;
use address::Kind;
use remote::{CALL, Remote};

#[cfg(feature = "postgres")]
pub(crate) use folder::free_bytes;
pub use name::Name;
#[cfg(any(feature = "postgres", feature = "k8s", feature = "gcp"))]
pub(crate) use note::{read_note, write_note};
pub use writer::Writer;

/// The largest object that is read into memory without its size being known, in bytes.
pub const LARGEST: u64 = 1 << 30;

/// Where backups (`backups/<id>/…`) and journals (`runs/<id>/…`) are kept. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The folder, for a `file:` store.
    folder: Option<PathBuf>,
    /// The folder of the whole store, if this is a part of one.
    top: Option<PathBuf>,
    /// The bucket, for one behind a network.
    remote: Option<Arc<Remote>>,
    url: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.url).finish()
    }
}

/// An object in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// Opens the store at `url`. Nothing is asked over a network yet.
    ///
    /// - `file:///an/absolute/folder`, made with mode 0700 if missing. Everything written to it is
    ///   synced to the disk, with its folder, before the write returns; files have mode 0600 and
    ///   folders 0700.
    /// - `s3://bucket/prefix` (feature `s3`). The environment says the rest: `AWS_ACCESS_KEY_ID`,
    ///   `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or a web identity, or a container's or an
    ///   instance's role; `AWS_REGION`; `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, plain http
    ///   only with `AWS_ALLOW_HTTP=true`; `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`; `AWS_CA_BUNDLE`;
    ///   `AWS_MAX_ATTEMPTS`. Profiles in files are not read.
    /// - `gs://bucket/prefix` (feature `gs`). Application default credentials
    ///   (`GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth application-default login` left, or
    ///   the machine's own service account), or `GOOGLE_SERVICE_ACCOUNT`,
    ///   `GOOGLE_SERVICE_ACCOUNT_KEY`, `GOOGLE_BEARER_TOKEN`; `GOOGLE_BASE_URL`, plain http only
    ///   with `GOOGLE_ALLOW_HTTP=true`; `STORAGE_EMULATOR_HOST`, which is sent no credentials.
    ///
    /// Every call to a bucket is tried again where that is safe, and has a deadline.
    ///
    /// # Errors
    /// The URL is of another kind; the folder belongs to somebody else, others may write to it, or
    /// it is a symbolic link; credentials are missing; the endpoint is not encrypted.
    pub async fn open(url: &str, environment: &Environment) -> Result<Self> {
        match Address::parse(url)? {
            Address::Folder(path) => Self::open_folder(url, &path),
            Address::Bucket {
                kind,
                bucket,
                prefix,
            } => {
                let (objects, remote) = open_bucket(kind, &bucket, environment)?;
                Ok(match prefix {
                    Some(prefix) => Self {
                        objects: Arc::new(PrefixStore::new(objects, prefix.path().clone())),
                        folder: None,
                        top: None,
                        remote: Some(Arc::new(remote.below(prefix.path()))),
                        url: url.to_owned(),
                    },
                    None => Self {
                        objects,
                        folder: None,
                        top: None,
                        remote: Some(Arc::new(remote)),
                        url: url.to_owned(),
                    },
                })
            }
        }
    }

    fn open_folder(url: &str, path: &std::path::Path) -> Result<Self> {
        let folder = folder::prepare(path)?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|e| failure::failed(None, "open", url, e))?
            .with_fsync(true)
            // A folder goes with the last object in it.
            .with_automatic_cleanup(true);
        Ok(Self {
            objects: Arc::new(objects),
            top: Some(folder.clone()),
            folder: Some(folder),
            remote: None,
            url: url.to_owned(),
        })
    }

    /// A store over any object store, for tests that wrap one in faults.
    #[cfg(any(test, feature = "testing"))]
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            folder: None,
            top: None,
            remote: None,
            url: "test:".to_owned(),
        }
    }

    /// The part of the store below `name`, as a store of its own. Nothing is made for it.
    #[must_use]
    pub fn below(&self, name: &Name) -> Self {
        let remote = self.remote.as_deref().cloned();
        Self {
            objects: Arc::new(PrefixStore::new(self.objects.clone(), name.path().clone())),
            folder: self
                .folder
                .as_ref()
                .map(|folder| folder.join(name.as_str())),
            top: self.top.clone(),
            remote: remote.map(|remote| Arc::new(remote.below(name.path()))),
            url: format!("{}/{name}", self.url.trim_end_matches('/')),
        }
    }

    /// The URL it was opened with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A writer for a new object of any size. The object appears when the writer is finished,
    /// and not at all if it is dropped.
    pub fn writer(&self, name: &Name) -> Writer {
        Writer::new(self.clone(), name.clone())
    }

    /// The whole object, for small ones.
    ///
    /// # Errors
    /// There is none of that name, or it is larger than [`LARGEST`]; the store could not be read.
    pub async fn get(&self, name: &Name) -> Result<Bytes> {
        let read = self.get_if(name, |size| size <= LARGEST).await?;
        read.map_err(|size| Error::corrupt(format!("{name} in the store has {size} bytes")))
    }

    /// The whole object, if it has `size` bytes, as is written down elsewhere.
    ///
    /// # Errors
    /// As [`get`](Self::get); it has another size.
    #[cfg(feature = "postgres")]
    pub(crate) async fn get_sized(&self, name: &Name, size: u64) -> Result<Bytes> {
        let read = self.get_if(name, |found| found == size).await?;
        read.map_err(|found| {
            Error::corrupt(format!(
                "{name} has {found} bytes, and not the {size} of its manifest"
            ))
        })
    }

    /// The object, or its size if that is not `wanted`: nothing of it is read then, for it could be
    /// more than there is memory.
    async fn get_if(
        &self,
        name: &Name,
        wanted: impl Fn(u64) -> bool,
    ) -> Result<std::result::Result<Bytes, u64>> {
        let read = async {
            let found = self.objects.get(name.path()).await?;
            match found.meta.size {
                size if wanted(size) => found.bytes().await.map(Ok),
                size => Ok(Err(size)),
            }
        };
        self.call("read", name, read).await
    }

    /// The object piece by piece.
    ///
    /// # Errors
    /// There is none of that name; each piece may fail on its own.
    pub async fn stream(&self, name: &Name) -> Result<BoxStream<'static, Result<Bytes>>> {
        let found = self
            .call("read", name, self.objects.get(name.path()))
            .await?;
        let pieces = (self.clone(), name.clone(), found.into_stream());
        let next = async |(store, name, mut pieces): (Self, Name, BoxStream<'static, _>)| {
            let piece = store.call("read", &name, pieces.try_next()).await?;
            Ok(piece.map(|piece| (piece, (store, name, pieces))))
        };
        Ok(futures::stream::try_unfold(pieces, next).boxed())
    }

    /// The size of an object, or `None` if there is none of that name.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn size(&self, name: &Name) -> Result<Option<u64>> {
        let look = async {
            match self.objects.head(name.path()).await {
                Ok(meta) => Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        };
        self.call("look for", name, look).await
    }

    /// Every object below `prefix`, by name.
    ///
    /// # Errors
    /// The store could not be read, or holds a name that this crate does not write.
    pub async fn list(&self, prefix: &Name) -> Result<Vec<Stored>> {
        let list = self.objects.list(Some(prefix.path())).try_collect();
        let listed: Vec<object_store::ObjectMeta> = self.call("list", prefix, list).await?;
        let mut found = Vec::with_capacity(listed.len());
        for meta in listed {
            found.push(Stored {
                name: Name::new(meta.location.as_ref())?,
                size: meta.size,
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The names directly below `prefix` that have objects below them; in a folder, also of folders
    /// that are empty, as a write that was cut off leaves them.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn folders(&self, prefix: &Name) -> Result<Vec<String>> {
        let list = self.objects.list_with_delimiter(Some(prefix.path()));
        let listed = self.call("list", prefix, list).await?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|p: &Path| p.filename().map(ToOwned::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Removes one object.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* that object.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn delete(&self, name: &Name) -> Result<()> {
        let delete = async {
            match self.objects.delete(name.path()).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.call("remove", name, delete).await
    }

    /// The local file of an object, for programs that need one; `None` where the store is remote.
    pub fn local_path(&self, name: &Name) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.join(name.as_str()))
    }

    /// The folder of a `file:` store.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Free bytes on the store's disk; `None` where that has no meaning.
    ///
    /// # Errors
    /// The disk could not be asked.
    pub fn free_bytes(&self) -> Result<Option<u64>> {
        self.folder.as_deref().map(folder::free_bytes).transpose()
    }

    /// An object of a folder lies in that folder, and is a plain file.
    fn check_inside(&self, name: &Name) -> Result<()> {
        match (&self.top, self.local_path(name)) {
            (Some(top), Some(path)) => folder::check_inside(top, &path),
            _ => Ok(()),
        }
    }

    /// An object that was just written is its owner's alone.
    fn keep_private(&self, name: &Name) -> Result<()> {
        let (Some(top), Some(path)) = (&self.top, self.local_path(name)) else {
            return Ok(());
        };
        folder::keep_private(top, &path).map_err(|e| {
            Error::new(
                ErrorKind::Store,
                format!("could not keep {name} in the store from other users"),
            )
            .caused_by(e)
        })
    }

    /// One call to the store: within its deadline, and with a message of what failed.
    async fn call<T>(
        &self,
        verb: &str,
        what: &Name,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        self.check_inside(what)?;
        self.in_time(verb, what, call)
            .await?
            .map_err(|e| self.failed(verb, what.as_str(), e))
    }

    /// Waits no longer for a server than [`CALL`]. A local disk's calls cannot be given up.
    async fn in_time<T>(
        &self,
        verb: &str,
        what: &Name,
        call: impl Future<Output = T>,
    ) -> Result<T> {
        if self.remote.is_none() {
            return Ok(call.await);
        }
        tokio::time::timeout(CALL, call).await.map_err(|_| {
            Error::new(
                ErrorKind::Deadline,
                format!(
                    "could not {verb} {what} in the store within {} seconds",
                    CALL.as_secs()
                ),
            )
        })
    }

    fn failed(&self, verb: &str, what: &str, e: object_store::Error) -> Error {
        failure::failed(self.remote.as_deref(), verb, what, e)
    }
}

fn open_bucket(
    kind: Kind,
    bucket: &str,
    environment: &Environment,
) -> Result<(Arc<dyn ObjectStore>, Remote)> {
    match kind {
        #[cfg(feature = "s3")]
        Kind::S3 => s3::open(bucket, environment),
        #[cfg(feature = "gs")]
        Kind::Gs => gs::open(bucket, environment),
        #[cfg(not(all(feature = "s3", feature = "gs")))]
        other => {
            let _ = environment;
            Err(Error::usage(format!(
                "this build of rebuild has no stores of the kind {other:?} ({bucket})"
            ))
            .hint("build it with the feature of that name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power cut cannot be had in a test; what asks for the sync can be looked at.
    #[tokio::test]
    async fn what_is_written_to_a_folder_is_synced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("a path").join("store");
        let url = format!("file://{}", path.display());
        let store = Store::open(&url, &Environment::default()).await;
        let objects = format!("{:?}", store.expect("a store").objects);
        assert!(objects.contains("fsync: true"), "{objects}");
    }
}
