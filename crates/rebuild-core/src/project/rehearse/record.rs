//! What a rehearsal writes down of itself before it makes anything.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{Identity, RunId};
use crate::plan::RehearsalName;
use crate::store::{Name, Store};

/// The version of the record that this crate writes and reads.
const VERSION: u32 = 1;
const FOLDER: &str = "rehearsals";
const RECORD: &str = "rehearsal.json";

/// A rehearsal, and everything that it may have made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Which one, of all that ever were. What is made before its run begins is made in this name.
    pub(super) id: RunId,
    /// The target.
    pub(super) target: Identity,
    /// The database that stands in for it.
    pub(super) database: String,
    /// The workspaces, in the order they are made in.
    pub(super) workspaces: Vec<Workspace>,
}

/// A workspace that was not there when it was written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Workspace {
    /// Of which infrastructure of the spec.
    pub(super) infrastructure: String,
    /// Which one was selected in the folder.
    pub(super) selected: Option<String>,
}

impl Record {
    pub(super) fn new(target: Identity, database: String, workspaces: Vec<Workspace>) -> Self {
        Self {
            version: VERSION,
            id: RunId::generate(),
            target,
            database,
            workspaces,
        }
    }

    /// The comment by which its databases are known: that of the copy, which the run hands on.
    pub(super) fn mark(&self) -> String {
        let (target, id) = (&self.target, &self.id);
        format!("rebuild: stands in for {target} in the rehearsal {id}, and is dropped at its end")
    }
}

/// The part of the store that is a rehearsal's own: its record, and the backups and journals of its
/// run.
pub(super) struct Shelf {
    store: Store,
    folder: Name,
}

impl Shelf {
    /// That of the rehearsal `name` of the database `target` on `server`. Databases of other servers that
    /// are called alike have their own.
    pub(super) fn of(
        store: &Store,
        name: &RehearsalName,
        server: &str,
        target: &str,
    ) -> Result<Self> {
        let of = format!("{server}/{target}");
        let hash = blake3::hash(of.as_bytes()).to_hex();
        Ok(Self {
            store: store.clone(),
            folder: Name::new(format!("{FOLDER}/{name}-{}", &hash[..12]))?,
        })
    }

    /// The store of the rehearsal's run.
    pub(super) fn store(&self) -> Store {
        self.store.below(&self.folder)
    }

    /// The store of what the copy is made by, which is no backup of the rehearsal.
    pub(super) fn of_the_copy(&self) -> Result<Store> {
        Ok(self.store.below(&self.folder.join("copy")?))
    }

    /// Where it is, for people.
    pub(super) fn describe(&self) -> String {
        self.store().url().to_owned()
    }

    /// The record, if there is one.
    pub(super) async fn read(&self) -> Result<Option<Record>> {
        let name = self.folder.join(RECORD)?;
        if self.store.size(&name).await?.is_none() {
            return Ok(None);
        }
        let bytes = self.store.get(&name).await?;
        let what = format!("the record of a rehearsal, {name}, cannot be read");
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|e| Error::corrupt(what.clone()).caused_by(e))?;
        if record.version != VERSION {
            return Err(Error::corrupt(what).hint("it is of another version of this program"));
        }
        Ok(Some(record))
    }

    /// Writes the record, of which there is none.
    pub(super) async fn write(&self, record: &Record) -> Result<()> {
        let json = serde_json::to_vec(record)
            .map_err(|e| Error::internal("a record without a JSON form").caused_by(e))?;
        self.store.put_new(&self.folder.join(RECORD)?, json).await
    }

    /// Notes that the workspace at `place` was made, and by nobody else.
    pub(super) async fn note_made(&self, place: usize) -> Result<()> {
        let name = self.made(place)?;
        self.store.put_new(&name, &b"{}"[..]).await
    }

    /// True if that was noted.
    pub(super) async fn was_made(&self, place: usize) -> Result<bool> {
        Ok(self.store.size(&self.made(place)?).await?.is_some())
    }

    fn made(&self, place: usize) -> Result<Name> {
        self.folder.join(&format!("workspace-{place}.json"))
    }

    /// Every run that was begun in the rehearsal.
    pub(super) async fn runs(&self) -> Result<Vec<RunId>> {
        let found = self.store().folders(&Name::new("runs")?).await?;
        found.iter().map(|id| id.parse()).collect()
    }

    /// Removes everything, the record last.
    pub(super) async fn clear(&self) -> Result<()> {
        let record = self.folder.join(RECORD)?;
        for object in self.store.list(&self.folder).await? {
            if object.name != record {
                self.store.delete(&object.name).await?;
            }
        }
        self.store.delete(&record).await
    }

    /// True if nothing is there.
    pub(super) async fn is_clear(&self) -> Result<bool> {
        Ok(self.store.list(&self.folder).await?.is_empty())
    }
}
