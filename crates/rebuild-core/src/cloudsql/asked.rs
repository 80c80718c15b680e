//! What was asked for with a backup besides its rows. It is written down before anything of it is made, so
//! that of a backup just that is missed, and removed with it, whatever the spec asks for today.

use serde::{Deserialize, Serialize};

use super::{Besides, BucketPath};
use crate::error::{Error, Result};
use crate::model::BackupId;
use crate::store::{Name, Store, read_note};

/// The form of [`Asked`].
const VERSION: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// A backup of the whole instance.
    pub(super) run: bool,
    /// An export, and where it goes: `gs://BUCKET/OBJECT`.
    export: Option<String>,
}

fn name(id: &BackupId) -> Result<Name> {
    Name::new(format!("cloudsql/besides/{id}.json"))
}

impl Asked {
    /// What `besides` asks for with the backup `id`.
    fn of(besides: &Besides, id: &BackupId) -> Self {
        let export = besides.export.as_ref();
        Self {
            run: besides.run.is_some(),
            export: export.map(|export| export.object(id).to_string()),
        }
    }

    /// Where the export is, if there is to be one.
    ///
    /// # Errors
    /// What was written down is no such place.
    pub(super) fn export(&self) -> Result<Option<BucketPath>> {
        let read = self.export.as_ref().map(|place| place.parse()).transpose();
        read.map_err(|e: Error| {
            Error::corrupt("what was written down of an export cannot be read").caused_by(e)
        })
    }

    /// What was written down of the backup `id`, if anything was asked for with it.
    ///
    /// # Errors
    /// The store could not be read; what is there is damaged, or of another version.
    pub(super) async fn read(store: &Store, id: &BackupId) -> Result<Option<Self>> {
        read_note(store, &name(id)?, VERSION).await
    }

    /// Writes down what `besides` asks for, and what was asked for before with the same backup.
    ///
    /// *Repeats:* changes nothing. *Destroys:* nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); the store could not be written.
    pub(super) async fn write_down(besides: &Besides, store: &Store, id: &BackupId) -> Result<()> {
        let mut asked = Self::of(besides, id);
        if let Some(before) = Self::read(store, id).await? {
            asked.run |= before.run;
            asked.export = asked.export.or(before.export.clone());
            if asked == before {
                return Ok(());
            }
        }
        let no_json = |e| Error::internal("a note has no JSON form").caused_by(e);
        let mut value = serde_json::to_value(&asked).map_err(no_json)?;
        value["version"] = VERSION.into();
        let mut writer = store.writer(&name(id)?);
        let text = serde_json::to_vec_pretty(&value).map_err(no_json)?;
        writer.write(&text).await?;
        writer.finish().await.map(|_| ())
    }

    /// Forgets it, once nothing of it is left.
    ///
    /// *Repeats:* one that is gone is no error.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn forget(store: &Store, id: &BackupId) -> Result<()> {
        store.delete(&name(id)?).await
    }
}
