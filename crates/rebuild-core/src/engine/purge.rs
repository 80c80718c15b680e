//! The end of what a run set aside.

use super::{Active, Engine};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::journal::{Body, Ending};
use crate::model::RunId;
use crate::shell_word;
use crate::traits::{DestroyPermit, ProvenBackup, Retired};

impl Engine {
    /// Destroys what `run` set aside: the old database of a run that is done, or the new one of
    /// a run that was rolled back after it had been in service. Returns the name it was kept
    /// under, or nothing if nothing is left.
    ///
    /// The old database goes by a backup that is proven now, in this process, or by its typed
    /// name; the new one of a rolled back run only by its typed name, for no backup holds it.
    ///
    /// *Repeats:* a database that is gone is no error. *Destroys:* that database, for good.
    ///
    /// # Errors
    /// The run has not ended; nothing allows it; the server failed.
    pub async fn purge(&self, run: &RunId, typed: Option<&str>) -> Result<Option<String>> {
        let mut active = self.open(run).await?;
        let Some(aside) = set_aside(&active)? else {
            return Ok(None);
        };
        let ctx = self.ctx(&active);
        self.backends.lock.acquire(&ctx).await?;
        let gone = self.purge_locked(&mut active, &ctx, &aside, typed).await;
        self.release(&active).await;
        gone.map(|()| Some(aside.retired_name))
    }

    async fn purge_locked(
        &self,
        active: &mut Active,
        ctx: &Ctx,
        aside: &Retired,
        typed: Option<&str>,
    ) -> Result<()> {
        let permit = self.permit(active, ctx, aside, typed).await?;
        let body = Body::Purged {
            what: aside.retired_name.clone(),
        };
        // The record goes first: from here on the run cannot be rolled back, whether or not the
        // drop gets through; another purge finishes it.
        if !active.journal.state().is_purged() {
            active.journal.append(body).await?;
        }
        let purging = self.backends.teardown.purge(ctx, aside, permit);
        purging.await.map_err(Error::half_way)
    }

    async fn permit(
        &self,
        active: &Active,
        ctx: &Ctx,
        aside: &Retired,
        typed: Option<&str>,
    ) -> Result<DestroyPermit> {
        if let Some(typed) = typed {
            return DestroyPermit::by_name(&aside.old, typed);
        }
        if active.journal.state().ending() == Some(Ending::RolledBack) {
            return DestroyPermit::by_name(&aside.old, "");
        }
        let id = active.facts().backup()?;
        let (summary, verdict) = self.backends.backup.check(ctx, &id).await?;
        let proof = ProvenBackup::accept(summary, &verdict, &aside.old)
            .map_err(|e| e.hint(format!("or give --confirm {}", shell_word(&aside.old.name))))?;
        DestroyPermit::by_backup(&aside.old, &proof)
    }
}

/// What the run set aside, and the name it is kept under.
fn set_aside(active: &Active) -> Result<Option<Retired>> {
    let facts = active.facts();
    let state = active.journal.state();
    match state.ending() {
        Some(Ending::Done) => Ok(facts.retired()),
        Some(Ending::RolledBack) if state.went_live() => Ok(facts.retired().and_then(|r| {
            let new = r.successor?;
            Some(Retired {
                retired_name: new.name.clone(),
                old: new,
                successor: None,
                successor_marks: serde_json::Value::Null,
                shut_out_ms: 0,
            })
        })),
        Some(Ending::RolledBack) => Ok(None),
        _ => Err(
            Error::refused(format!("{} has not ended", active.run)).hint(format!(
                "rebuild resume {}, or {}",
                active.run,
                active.facts().rollback_command()
            )),
        ),
    }
}
