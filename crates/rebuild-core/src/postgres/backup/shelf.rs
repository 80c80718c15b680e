//! The backups in a store.

use super::layout::{BACKUPS, MANIFEST, folder};
use super::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{BackupId, Identity};
use crate::store::{Name, Store};
use crate::traits::{BackupSummary, DestroyPermit};

/// A manifest is read into memory; no database makes a larger one.
const LARGEST_MANIFEST: u64 = 1 << 30;

/// Where backups stand.
pub(in crate::postgres) struct Shelf {
    pub(super) store: Store,
}

impl Shelf {
    /// The backups in `store`.
    pub(in crate::postgres) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The folder of a backup.
    ///
    /// # Errors
    /// Never: an id is always a name.
    pub(super) fn folder(&self, id: &BackupId) -> Result<Name> {
        Name::new(folder(id))
    }

    /// Every finished backup, newest first.
    ///
    /// # Errors
    /// The store could not be read, or a manifest in it is damaged.
    pub(in crate::postgres) async fn list(&self) -> Result<Vec<BackupSummary>> {
        let (found, unreadable) = self.look().await?;
        match unreadable.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(found),
        }
    }

    /// Every finished backup, newest first, and what is wrong with those whose manifest cannot be read: in a
    /// store that is shared, one of somebody else's is in nobody's way.
    ///
    /// # Errors
    /// The store could not be read.
    pub(super) async fn look(&self) -> Result<(Vec<BackupSummary>, Vec<Error>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for name in self.store.folders(&Name::new(BACKUPS)?).await? {
            // What has another name is nothing that was put there as a backup.
            let Ok(id) = name.parse::<BackupId>() else {
                continue;
            };
            let manifest = match self.manifest_bytes(&id).await {
                Ok(None) => continue,
                Ok(Some(bytes)) => read(&id, &bytes),
                Err(e) if e.kind() == ErrorKind::Corrupt => Err(e),
                Err(e) => return Err(e),
            };
            match manifest {
                Ok(manifest) => found.push(manifest.summary()),
                Err(e) => unreadable.push(e),
            }
        }
        found.sort_by(|a, b| (b.taken_at, &b.id).cmp(&(a.taken_at, &a.id)));
        Ok((found, unreadable))
    }

    /// The manifest of `id`, if that backup is finished.
    ///
    /// # Errors
    /// The manifest is damaged or another backup's, or the store could not be read.
    pub(super) async fn find(&self, id: &BackupId) -> Result<Option<Manifest>> {
        let bytes = self.manifest_bytes(id).await?;
        bytes.map(|bytes| read(id, &bytes)).transpose()
    }

    /// The manifest of `id`.
    ///
    /// # Errors
    /// As [`find`](Self::find), and if there is no such finished backup.
    pub(in crate::postgres) async fn manifest(&self, id: &BackupId) -> Result<Manifest> {
        self.find(id).await?.ok_or_else(|| {
            Error::usage(format!(
                "there is no finished backup {id} in {}",
                self.store.url()
            ))
            .hint("see what there is with: rebuild backups list")
        })
    }

    /// A text file of the backup that `manifest` is of.
    ///
    /// # Errors
    /// It is missing, is not what the manifest says, or is not UTF-8.
    pub(in crate::postgres) async fn text(
        &self,
        manifest: &Manifest,
        file: &str,
    ) -> Result<String> {
        let entry = manifest.file(file)?;
        let name = self.folder(&manifest.id)?.join(file)?;
        let damaged = || Error::corrupt(format!("{name} is not what the backup's manifest says"));
        if self.store.size(&name).await? != Some(entry.stored_bytes) {
            return Err(damaged());
        }
        let bytes = self.store.get(&name).await?;
        if blake3::hash(&bytes).to_hex().as_str() != entry.blake3 {
            return Err(damaged());
        }
        String::from_utf8(bytes.to_vec())
            .map_err(|e| Error::corrupt(format!("{name} is not UTF-8")).caused_by(e))
    }

    async fn manifest_bytes(&self, id: &BackupId) -> Result<Option<bytes::Bytes>> {
        let name = self.folder(id)?.join(MANIFEST)?;
        match self.store.size(&name).await? {
            None => Ok(None),
            Some(size) if size > LARGEST_MANIFEST => Err(Error::corrupt(format!(
                "{MANIFEST} of backup {id} has {size} bytes"
            ))),
            Some(_) => self.store.get(&name).await.map(Some),
        }
    }

    /// Removes the backup `id`, finished or not, with a permit for what it is a backup of. What
    /// was never finished is no copy of anything, so any permit will do.
    ///
    /// # Errors
    /// The permit is for something else, it cannot be told what the backup is of, or the store
    /// could not be written.
    pub(super) async fn remove(&self, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        if let Some(bytes) = self.manifest_bytes(id).await? {
            permit.spend_on(&subject(&bytes).ok_or_else(|| {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("the manifest of backup {id} does not say what it is a backup of"),
                )
                .hint(format!(
                    "remove {}/{} yourself",
                    self.store.url(),
                    folder(id)
                ))
            })?)?;
        }
        self.clear(id).await
    }

    /// Removes every file of `id`, the manifest first: what is left of it is no backup.
    ///
    /// # Errors
    /// The store could not be written.
    pub(in crate::postgres) async fn clear(&self, id: &BackupId) -> Result<()> {
        let folder = self.folder(id)?;
        self.store.delete(&folder.join(MANIFEST)?).await?;
        for stored in self.store.list(&folder).await? {
            self.store.delete(&stored.name).await?;
        }
        Ok(())
    }
}

/// The manifest of `id`, which is in `bytes`.
///
/// # Errors
/// It is damaged, another backup's, or of a newer version.
fn read(id: &BackupId, bytes: &[u8]) -> Result<Manifest> {
    let manifest = Manifest::from_bytes(bytes)
        .map_err(|e| e.context(format!("could not read {MANIFEST} of backup {id}")))?;
    if manifest.id == *id {
        return Ok(manifest);
    }
    Err(Error::corrupt(format!(
        "{MANIFEST} of backup {id} is that of backup {}",
        manifest.id
    )))
}

/// What a manifest says it is of, even if it is damaged elsewhere.
fn subject(bytes: &[u8]) -> Option<Identity> {
    #[derive(serde::Deserialize)]
    struct Subject {
        of: Identity,
    }
    serde_json::from_slice::<Subject>(bytes).ok().map(|s| s.of)
}
