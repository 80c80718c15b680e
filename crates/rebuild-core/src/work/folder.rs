//! What of a work lies in the store.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Share, WorkId};
use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, RunId};
use crate::sealed;
use crate::store::{Name, Store};

/// The folder of all works in a store.
const WORK: &str = "work";
const TASK: &str = "task.json";

/// The version of the documents.
const FORMAT: u32 = 1;

/// A document is read into memory; none is larger.
const LARGEST: u64 = 256 << 20;

/// The folder of one work.
#[derive(Clone, Debug)]
pub struct WorkFolder {
    store: Store,
    id: WorkId,
}

/// What kind of work is posted, and how it is known later whether anybody waits for it still.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Posting {
    /// What kind of work it is.
    pub(crate) kind: String,
    /// The servers on which the coordinator has a session until the work is done, by their system
    /// identifiers.
    pub(crate) servers: Vec<String>,
    /// The backup that is unfinished until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<BackupId>,
}

impl Posting {
    /// Of a work of that kind, whose coordinator has sessions on `servers`.
    pub(crate) fn new<'a>(kind: &str, servers: impl IntoIterator<Item = &'a Identity>) -> Self {
        let servers = servers.into_iter().map(|of| of.server.clone());
        Self {
            kind: kind.to_owned(),
            servers: servers.collect(),
            backup: None,
        }
    }
}

/// What a task says besides what is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// The version of the coordinator: shares are only done by workers of the same one, for what
    /// they return is added up.
    rebuild_version: String,
    #[serde(flatten)]
    pub(super) posting: Posting,
    pub(super) work: WorkId,
    /// The coordinator's run, whose name the workers' sessions have.
    pub(super) run: RunId,
    pub(super) workers: u32,
}

#[derive(Serialize, Deserialize)]
struct TaskFile<T> {
    #[serde(flatten)]
    head: Head,
    task: T,
}

#[derive(Serialize, Deserialize)]
struct ResultFile<R> {
    format: u32,
    work: WorkId,
    /// The checksum of the task that it is a result of.
    task: String,
    index: u32,
    attempt: String,
    result: R,
}

/// A task as it was found.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) head: Head,
    pub(super) digest: String,
    bytes: bytes::Bytes,
}

impl Posted {
    /// What is to be done.
    pub(super) fn task<T: DeserializeOwned>(&self) -> Result<T> {
        #[derive(Deserialize)]
        struct Body<T> {
            task: T,
        }
        let read: Body<T> = serde_json::from_slice(&self.bytes).map_err(|e| {
            Error::corrupt(format!(
                "the task of work {} cannot be read",
                self.head.work
            ))
            .caused_by(e)
        })?;
        Ok(read.task)
    }
}

/// A result that counts.
pub(crate) struct Counted<R> {
    /// Which attempt it is of; in the names of all that the attempt wrote.
    pub(crate) attempt: String,
    /// What the worker did.
    pub(crate) result: R,
}

impl WorkFolder {
    /// The folder of `id` in `store`. Nothing is made for it.
    pub fn new(store: Store, id: WorkId) -> Self {
        Self { store, id }
    }

    /// The name of the work.
    pub fn id(&self) -> &WorkId {
        &self.id
    }

    fn name(&self, file: &str) -> Result<Name> {
        Name::new(format!("{WORK}/{}/{file}", self.id))
    }

    fn result_name(&self, index: u32) -> Result<Name> {
        self.name(&result_file(index))
    }

    /// Posts the task; returns its checksum.
    ///
    /// # Errors
    /// A refusal if there is one; the store could not be written.
    pub(super) async fn post<T: Serialize>(
        &self,
        posting: &Posting,
        run: &RunId,
        workers: u32,
        task: &T,
    ) -> Result<String> {
        let bytes = sealed::seal(&TaskFile {
            head: Head {
                format: FORMAT,
                rebuild_version: env!("CARGO_PKG_VERSION").to_owned(),
                posting: posting.clone(),
                work: self.id.clone(),
                run: run.clone(),
                workers,
            },
            task,
        })?;
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let posted = self.store.put_new(&self.name(TASK)?, bytes).await;
        posted.map_err(|e| e.context(format!("could not post work {}", self.id)))?;
        Ok(digest)
    }

    /// The task, if it is posted and not over.
    ///
    /// # Errors
    /// It is damaged, or of another version of rebuild; the store could not be read.
    pub(super) async fn posted(&self) -> Result<Option<Posted>> {
        let Some(bytes) = self.read(TASK).await? else {
            return Ok(None);
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(|e| {
            Error::corrupt(format!("the task of work {} cannot be read", self.id)).caused_by(e)
        })?;
        if head.format != FORMAT || head.rebuild_version != env!("CARGO_PKG_VERSION") {
            return Err(Error::refused(format!(
                "work {} was posted by rebuild {}, and this worker is rebuild {}",
                self.id,
                head.rebuild_version,
                env!("CARGO_PKG_VERSION")
            ))
            .hint("start the workers from the image of the coordinator's version"));
        }
        if head.work != self.id {
            return Err(Error::corrupt(format!(
                "the task of work {} is that of work {}",
                self.id, head.work
            )));
        }
        let digest = blake3::hash(&bytes).to_hex().to_string();
        Ok(Some(Posted {
            head,
            digest,
            bytes,
        }))
    }

    /// Every work of which anything is in `store`.
    ///
    /// # Errors
    /// The store could not be read.
    pub(super) async fn all(store: &Store) -> Result<Vec<Self>> {
        let names = store.folders(&Name::new(WORK)?).await?;
        // What has another name is nothing that was put there as a work.
        let ids = names.iter().filter_map(|name| name.parse().ok());
        Ok(ids.map(|id| Self::new(store.clone(), id)).collect())
    }

    /// Makes sure that the work is not over.
    ///
    /// # Errors
    /// A refusal if it is; the store could not be read.
    pub(crate) async fn require_open(&self) -> Result<()> {
        match self.store.size(&self.name(TASK)?).await? {
            Some(_) => Ok(()),
            None => Err(over(&self.id)),
        }
    }

    /// True if the worker `index` has left a result.
    pub(super) async fn has_result(&self, index: u32) -> Result<bool> {
        let found = self.store.size(&self.result_name(index)?).await?;
        Ok(found.is_some())
    }

    /// Which of the workers have left results: how many.
    pub(super) async fn results(&self, workers: u32) -> Result<u32> {
        let folder = Name::new(format!("{WORK}/{}", self.id))?;
        let listed = self.store.list(&folder).await?;
        let there: std::collections::BTreeSet<&str> = listed
            .iter()
            .filter_map(|stored| stored.name.as_str().rsplit('/').next())
            .collect();
        let left = |index: &u32| there.contains(&*result_file(*index));
        Ok(u32::try_from((0..workers).filter(left).count()).unwrap_or(u32::MAX))
    }

    /// Leaves the result of `share`.
    ///
    /// # Errors
    /// A refusal if another attempt has left one; the store could not be written.
    pub(super) async fn leave<R: Serialize>(&self, share: &Share, result: &R) -> Result<()> {
        let bytes = sealed::seal(&ResultFile {
            format: FORMAT,
            work: self.id.clone(),
            task: share.digest().to_owned(),
            index: share.index(),
            attempt: share.attempt().to_owned(),
            result,
        })?;
        let name = self.result_name(share.index())?;
        self.store.put_new(&name, bytes).await
    }

    /// The result of the worker `index`, of the task with the checksum `digest`.
    ///
    /// # Errors
    /// It is missing, damaged, or of another task or worker; the store could not be read.
    pub(super) async fn result<R: DeserializeOwned>(
        &self,
        digest: &str,
        index: u32,
    ) -> Result<Counted<R>> {
        let id = &self.id;
        let Some(bytes) = self.read(&result_file(index)).await? else {
            return Err(Error::corrupt(format!(
                "worker {index} of work {id} left no result in {}",
                self.store.url()
            ))
            .hint("is the store that the workers' spec names the same one?"));
        };
        let wrong =
            |why: &str| Error::corrupt(format!("the result of worker {index} of work {id} {why}"));
        let read: ResultFile<R> =
            serde_json::from_slice(&bytes).map_err(|e| wrong("cannot be read").caused_by(e))?;
        if read.work != *id || read.task != digest || read.index != index {
            return Err(wrong("is one of another work or worker"));
        }
        Ok(Counted {
            attempt: read.attempt,
            result: read.result,
        })
    }

    /// Removes everything of the work, the task first: what a lost worker does from then on, it
    /// does in vain.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn clear(&self) -> Result<()> {
        self.store.delete(&self.name(TASK)?).await?;
        let folder = Name::new(format!("{WORK}/{}", self.id))?;
        for stored in self.store.list(&folder).await? {
            self.store.delete(&stored.name).await?;
        }
        Ok(())
    }

    /// A whole document, if there is one of that name.
    async fn read(&self, file: &str) -> Result<Option<bytes::Bytes>> {
        let name = self.name(file)?;
        let bytes = match self.store.size(&name).await? {
            None => return Ok(None),
            Some(size) if size > LARGEST => {
                return Err(Error::corrupt(format!("{name} has {size} bytes")));
            }
            Some(_) => self.store.get(&name).await?,
        };
        if sealed::is_whole(&bytes) {
            return Ok(Some(bytes));
        }
        Err(Error::corrupt(format!(
            "{name} is damaged: its checksum does not match"
        )))
    }
}

/// The refusal of a work that is over, or never was.
pub(super) fn over(id: &WorkId) -> Error {
    Error::refused(format!("there is no work {id}, or it is over")).hint(
        "a work is there for as long as its coordinator waits for it, in the store of the \
         coordinator's spec",
    )
}

fn result_file(index: u32) -> String {
    format!("result-{index:05}.json")
}
