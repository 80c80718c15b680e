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
    /// Ends the removals of this database's backups that were cut off. One that had not taken the backup off
    /// the list yet is forgotten: today's rules say what becomes of it.
    ///
    /// *Repeats:* goes on. *Destroys:* what is left of backups that are listed no more.
    ///
    /// # Errors
    /// The store failed, or what else a backup belongs to.
    pub(super) async fn end_removals(
        &self,
        ctx: &Ctx,
        backup: &dyn Backup,
    ) -> Result<Vec<BackupId>> {
        let mut ended = Vec::new();
        for stored in self.store.list(&Name::new(FOLDER)?).await? {
            let file = stored.name.as_str().rsplit('/').next();
            let id = file.and_then(|file| file.strip_suffix(".json"));
            let Some(id) = id.and_then(|id| id.parse::<BackupId>().ok()) else {
                continue;
            };
            let begun: Option<Begun> = read_note(&self.store, &stored.name, VERSION).await?;
            let Some(begun) = begun.filter(|b| b.of.name == self.endpoint.database) else {
                continue;
            };
            if self.pg_backup().is_finished(&id).await? {
                self.store.delete(&stored.name).await?;
                continue;
            }
            end(ctx, &self.store, backup, &id, &begun.of).await?;
            ctx.events
                .info(format!("removed what an earlier prune had left of {id}"));
            ended.push(id);
        }
        Ok(ended)
    }
}
