//! One object store behind one URL, for backups and journals.

mod folder;
mod name;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::error::{Error, ErrorKind, Result};

#[cfg(feature = "postgres")]
pub(crate) use folder::free_bytes;
pub use name::Name;
pub use writer::Writer;

/// Where backups (`backups/<id>/…`) and journals (`runs/<id>/…`) are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The folder, for a `file:` store.
    folder: Option<PathBuf>,
    url: String,
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
    /// Opens the store at `url`: `file:///an/absolute/folder`, made with mode 0700 if missing.
    ///
    /// Everything written to it is synced to the disk, with its folder, before the write returns.
    ///
    /// # Errors
    /// The URL is of another kind; the folder belongs to somebody else, others may write to it, or
    /// it is a symbolic link.
    pub async fn open(url: &str) -> Result<Self> {
        let parsed = url::Url::parse(url).map_err(|e| {
            Error::usage(format!("{url:?} is not the URL of a store"))
                .caused_by(e)
                .hint("give file:///an/absolute/folder")
        })?;
        if parsed.scheme() != "file" {
            return Err(Error::usage(format!(
                "stores of the kind {:?} are not supported",
                parsed.scheme()
            ))
            .hint("give file:///an/absolute/folder"));
        }
        let path = parsed.to_file_path().map_err(|()| {
            Error::usage(format!("{url:?} does not name a folder of this machine"))
        })?;
        let folder = folder::prepare(&path)?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|e| failed("open", url, e))?
            .with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            folder: Some(folder),
            url: url.to_owned(),
        })
    }

    /// A store over any object store, for tests that wrap one in faults.
    #[cfg(any(test, feature = "testing"))]
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            folder: None,
            url: "test:".to_owned(),
        }
    }

    /// The URL it was opened with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Writes a new object; durable when it returns.
    ///
    /// # Errors
    /// A refusal if an object of that name exists; the store could not be written.
    pub async fn put_new(&self, name: &Name, bytes: impl Into<Bytes>) -> Result<()> {
        let options = PutOptions::from(PutMode::Create);
        let payload = object_store::PutPayload::from_bytes(bytes.into());
        match self.objects.put_opts(name.path(), payload, options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(Error::refused(format!(
                "{name} exists in the store already"
            ))),
            Err(e) => Err(failed("write", name.as_str(), e)),
        }
    }

    /// A writer for a new object of any size. The object appears when the writer is finished,
    /// and not at all if it is dropped.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn writer(&self, name: &Name) -> Result<Writer> {
        let upload = self
            .objects
            .put_multipart(name.path())
            .await
            .map_err(|e| failed("write", name.as_str(), e))?;
        Ok(Writer::new(name.clone(), upload))
    }

    /// The whole object, for small ones.
    ///
    /// # Errors
    /// There is none of that name; the store could not be read.
    pub async fn get(&self, name: &Name) -> Result<Bytes> {
        let found = self
            .objects
            .get(name.path())
            .await
            .map_err(|e| failed("read", name.as_str(), e))?;
        found
            .bytes()
            .await
            .map_err(|e| failed("read", name.as_str(), e))
    }

    /// The object piece by piece.
    ///
    /// # Errors
    /// There is none of that name; each piece may fail on its own.
    pub async fn stream(&self, name: &Name) -> Result<BoxStream<'static, Result<Bytes>>> {
        use futures::StreamExt;
        let found = self
            .objects
            .get(name.path())
            .await
            .map_err(|e| failed("read", name.as_str(), e))?;
        let name = name.clone();
        Ok(found
            .into_stream()
            .map_err(move |e| failed("read", name.as_str(), e))
            .boxed())
    }

    /// The size of an object, or `None` if there is none of that name.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn size(&self, name: &Name) -> Result<Option<u64>> {
        match self.objects.head(name.path()).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed("look for", name.as_str(), e)),
        }
    }

    /// Every object below `prefix`, by name.
    ///
    /// # Errors
    /// The store could not be read, or holds a name that this crate does not write.
    pub async fn list(&self, prefix: &Name) -> Result<Vec<Stored>> {
        let mut found: Vec<Stored> = self
            .objects
            .list(Some(prefix.path()))
            .map_err(|e| failed("list", prefix.as_str(), e))
            .and_then(|meta| async move {
                Ok(Stored {
                    name: Name::new(meta.location.as_ref())?,
                    size: meta.size,
                })
            })
            .try_collect()
            .await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The names directly below `prefix` that have objects below them.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn folders(&self, prefix: &Name) -> Result<Vec<String>> {
        let listed = self
            .objects
            .list_with_delimiter(Some(prefix.path()))
            .await
            .map_err(|e| failed("list", prefix.as_str(), e))?;
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
        match self.objects.delete(name.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed("remove", name.as_str(), e)),
        }
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
}

/// A store error: what could not be done to which object.
fn failed(verb: &str, what: &str, e: object_store::Error) -> Error {
    let error = Error::new(
        ErrorKind::Store,
        format!("could not {verb} {what} in the store"),
    );
    let text = e.to_string().to_lowercase();
    let hint = if text.contains("no space left") {
        Some("the store's disk is full; make room, then resume")
    } else if text.contains("permission denied") {
        Some("the store's files belong to another user")
    } else {
        None
    };
    let error = error.caused_by(e);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
