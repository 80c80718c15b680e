//! Writing an object if there is none of its name.

use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::failure::Answer;
use super::remote::{LONGEST_PAUSE, Remote};
use super::{Name, Store};
use crate::error::{Error, ErrorKind, Result};

/// The first pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

impl Store {
    /// Writes a new object; durable when it returns.
    ///
    /// In a bucket the write is tried again where it may pass. One whose answer was lost is found
    /// out by reading back what is there: exactly these bytes are this write.
    ///
    /// # Errors
    /// A refusal if an object of that name exists; the store could not be written.
    pub async fn put_new(&self, name: &Name, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        self.check_inside(name)?;
        match &self.remote {
            None => match create(&*self.objects, name, &bytes).await {
                Err(object_store::Error::AlreadyExists { .. }) => Err(exists(name)),
                Err(e) => Err(self.failed("write", name.as_str(), e)),
                Ok(()) => self.keep_private(name),
            },
            Some(remote) => {
                self.in_time("write", name, self.create_remotely(remote, name, &bytes))
                    .await?
            }
        }
    }

    async fn create_remotely(&self, remote: &Remote, name: &Name, bytes: &Bytes) -> Result<()> {
        let mut pause = PAUSE;
        // Whether an attempt of ours may have come through without our knowing.
        let mut unsure = false;
        for attempt in 1.. {
            let last = attempt >= remote.attempts;
            let e = match create(&*remote.once, name, bytes).await {
                Ok(()) => return Ok(()),
                Err(e @ object_store::Error::AlreadyExists { .. }) => {
                    // Also the answer to one of two writes at the same time, of which the other
                    // may have failed.
                    match self.content(name).await? {
                        Some(found) if unsure && found == *bytes => return Ok(()),
                        Some(_) => return Err(exists(name)),
                        None => e,
                    }
                }
                Err(e) => {
                    if !Answer::from_error(&e).is_passing() {
                        return Err(self.failed("write", name.as_str(), e));
                    }
                    unsure = true;
                    e
                }
            };
            if last {
                return Err(self.failed("write", name.as_str(), e));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Error::internal("an endless range has ended"))
    }

    async fn content(&self, name: &Name) -> Result<Option<Bytes>> {
        let read = async { self.objects.get(name.path()).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("read", name.as_str(), e)),
        }
    }

    /// Shows that this store refuses to write an object twice: some servers that speak S3's API
    /// do not know conditional writes, take every write, and so cannot keep two processes apart.
    ///
    /// Asks only where a server decides; a folder's file system is known to.
    ///
    /// *Repeats:* leaves nothing behind.
    ///
    /// # Errors
    /// A refusal if the second write was taken; the store could not be written.
    pub async fn check_exclusive(&self) -> Result<()> {
        if self.remote.is_none() {
            return Ok(());
        }
        let name = Name::new(format!("probes/{}", uuid::Uuid::now_v7()))?;
        self.put_new(&name, &b"first"[..]).await?;
        let second = self.put_new(&name, &b"second"[..]).await;
        self.delete(&name).await?;
        match second {
            Err(e) if e.kind() == ErrorKind::Refused => Ok(()),
            Err(e) => Err(e),
            Ok(()) => Err(Error::refused(format!(
                "the store {} writes over an object although it was told not to",
                self.url
            ))
            .hint(
                "its server does not support conditional writes (If-None-Match), which keep two \
                 processes apart; take another store",
            )),
        }
    }
}

async fn create(objects: &dyn ObjectStore, name: &Name, bytes: &Bytes) -> object_store::Result<()> {
    let options = PutOptions::from(PutMode::Create);
    let payload = PutPayload::from_bytes(bytes.clone());
    let put = objects.put_opts(name.path(), payload, options).await;
    put.map(|_| ())
}

fn exists(name: &Name) -> Error {
    Error::refused(format!("{name} exists in the store already"))
}
