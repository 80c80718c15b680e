//! Reading a backup back, by many workers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::PgBackup;
use super::super::check_rows::{ChunkToRead, ReadBack, chunks_of, read_chunks};
use super::super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::BackupId;
use crate::store::Store;
use crate::work::{Crew, Posting, Share, share_out, shares};

/// The kind of the work.
pub(crate) const CHECK: &str = "check";

/// What a chunk costs besides the bytes in it, in bytes.
const EACH_CHUNK: u64 = 16 << 10;

/// What the workers are told.
#[derive(Serialize, Deserialize)]
struct CheckTask {
    backup: BackupId,
    /// The manifest's digest: it says what is in the chunks.
    manifest: String,
    /// The files that each worker reads.
    shares: Vec<BTreeSet<String>>,
}

/// Has `crew` read `chunks`.
///
/// # Errors
/// The crew failed; a result is not of its share; the store failed.
pub(in crate::postgres::backup) async fn read_by(
    ctx: &Ctx,
    store: &Store,
    manifest: &Manifest,
    chunks: &[ChunkToRead],
    crew: &dyn Crew,
) -> Result<ReadBack> {
    let weight = |c: &ChunkToRead| c.chunk.stored_bytes + EACH_CHUNK;
    let weights: Vec<u64> = chunks.iter().map(weight).collect();
    let files = |share: Vec<usize>| -> BTreeSet<String> {
        let files = share.into_iter().map(|at| chunks[at].chunk.file.clone());
        files.collect()
    };
    let task = CheckTask {
        backup: manifest.id.clone(),
        manifest: manifest.digest()?,
        shares: (shares(&weights, crew.size()).into_iter())
            .map(files)
            .collect(),
    };
    let posting = Posting::new(CHECK, []);
    let results = share_out::<ReadBack>(ctx, crew, store, &posting, &task).await?;
    let mut read = ReadBack::default();
    for (index, (counted, share)) in results.into_iter().zip(&task.shares).enumerate() {
        if counted.result.chunks() != share.len() {
            return Err(Error::corrupt(format!(
                "worker {index} read {} chunks, and not the {} of its share",
                counted.result.chunks(),
                share.len()
            )));
        }
        read.extend(counted.result);
    }
    Ok(read)
}

impl PgBackup {
    /// Does `share` of a check that somebody else makes with
    /// [`PgSharedBackup`](super::PgSharedBackup): reads chunks back, and leaves what their rows add up
    /// to. False if another attempt did so meanwhile.
    ///
    /// *Repeats:* reads again. *Destroys:* nothing.
    ///
    /// # Errors
    /// The backup is another one here than for the coordinator; the store could not be read.
    pub async fn check_share(&self, ctx: &Ctx, share: &Share) -> Result<bool> {
        let task: CheckTask = share.task()?;
        let manifest = self.manifest(&task.backup).await?;
        if manifest.digest()? != task.manifest {
            return Err(Error::refused(format!(
                "backup {} has another manifest here than for the coordinator",
                task.backup
            )));
        }
        let own = task.shares.get(share.index() as usize);
        let own = own.ok_or_else(|| Error::corrupt("the task has no such share"))?;
        let (chunks, jobs) = (chunks_of(&manifest, own), self.options.jobs);
        let folder = self.shelf().folder(&task.backup)?;
        let read = read_chunks(ctx, &self.store, &folder, chunks, jobs).await?;
        share.leave(&read).await
    }
}
