//! Removals that were begun. What belongs to a backup goes one by one, so a removal that was killed, or that a
//! service refused, leaves some of it behind a backup that is listed no more.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::project::Project;
use crate::store::{Name, Store, read_note, write_note};
use crate::traits::{Backup, BackupSummary, DestroyPermit};

/// The folder of the notes.
const FOLDER: &str = "pruned";

/// The form of [`Begun`].
const VERSION: u32 = 1;

/// Whose backup is being removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    of: Identity,
}

fn name(id: &BackupId) -> Result<Name> {
    Name::new(format!("{FOLDER}/{id}.json"))
}

/// Removes a backup, and writes down before that it does.
///
/// *Destroys:* that copy of the data.
///
/// # Errors
/// The store failed, or what else the backup belongs to. What is left then goes with
/// [`Project::end_removals`].
pub(super) async fn remove(
    ctx: &Ctx,
    store: &Store,
    backup: &dyn Backup,
    summary: &BackupSummary,
) -> Result<()> {
    let (id, of) = (&summary.id, summary.of.clone());
    write_note(store, &name(id)?, VERSION, Begun { of: of.clone() }).await?;
    end(ctx, store, backup, id, &of).await
}

async fn end(
    ctx: &Ctx,
    store: &Store,
    backup: &dyn Backup,
    id: &BackupId,
    of: &Identity,
) -> Result<()> {
    let permit = DestroyPermit::by_name(of, &of.name)?;
    backup.remove(ctx, id, permit).await?;
    store.delete(&name(id)?).await
}

impl Project {
    /// Tells of removals of this database's backups that were cut off, and that the next prune ends.
    ///
    /// # Errors
    /// The store could not be read.
    pub(super) async fn tell_of_removals(&self, ctx: &Ctx) -> Result<()> {
        for (note, id) in self.removals().await? {
            let ours = self.begun(&note).await?;
            if ours.is_some() && !self.pg_backup().is_finished(&id).await? {
                ctx.events.info(format!(
                    "what an earlier prune has left of {id} goes as well"
                ));
            }
        }
        Ok(())
    }

    /// What a note says, if it is of a backup of this database.
    async fn begun(&self, note: &Name) -> Result<Option<Begun>> {
        let begun: Option<Begun> = read_note(&self.store, note, VERSION).await?;
        Ok(begun.filter(|b| b.of.name == self.endpoint.database))
    }

    /// The notes of removals.
    async fn removals(&self) -> Result<Vec<(Name, BackupId)>> {
        let stored = self.store.list(&Name::new(FOLDER)?).await?.into_iter();
        let of_a_backup = stored.filter_map(|stored| {
            let file = stored.name.as_str().rsplit('/').next();
            let id = file.and_then(|file| file.strip_suffix(".json"));
            let id = id.and_then(|id| id.parse().ok())?;
            Some((stored.name, id))
        });
        Ok(of_a_backup.collect())
    }

    /// Ends the removals of this database's backups that were cut off. One that had not taken the backup off
    /// the list yet is forgotten: today's rules say what becomes of it.
    ///
    /// *Repeats:* goes on. *Destroys:* what is left of backups that are listed no more.
    ///
    /// # Errors
    /// The store could not be listed. What could not be ended is told, and stays.
    pub(super) async fn end_removals(
        &self,
        ctx: &Ctx,
        backup: &dyn Backup,
    ) -> Result<Vec<BackupId>> {
        let mut ended = Vec::new();
        for (note, id) in self.removals().await? {
            // One that cannot be ended does not keep others from it.
            match self.end_removal(ctx, backup, &note, &id).await {
                Ok(false) => {}
                Ok(true) => ended.push(id),
                Err(e) => ctx.events.warn(format!(
                    "what an earlier prune had left of {id} stays, as {note} says: {}",
                    e.chain()
                )),
            }
        }
        Ok(ended)
    }

    async fn end_removal(
        &self,
        ctx: &Ctx,
        backup: &dyn Backup,
        note: &Name,
        id: &BackupId,
    ) -> Result<bool> {
        let Some(begun) = self.begun(note).await? else {
            return Ok(false);
        };
        if self.pg_backup().is_finished(id).await? {
            self.store.delete(note).await?;
            return Ok(false);
        }
        end(ctx, &self.store, backup, id, &begun.of).await?;
        ctx.events
            .info(format!("removed what an earlier prune had left of {id}"));
        Ok(true)
    }
}
