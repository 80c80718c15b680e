//! Works whose coordinator was killed, and what it did not finish.

use jiff::Timestamp;

use super::Project;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::BackupId;
use crate::postgres::{Session, application, server_error, server_facts};
use crate::work::{Left, WorkId, works_left};

/// A work that nobody waits for any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftWork {
    pub(super) work: WorkId,
    /// The backup that it was to finish.
    pub(super) backup: Option<BackupId>,
}

impl Project {
    /// Removes the works whose coordinator was killed, with the backups that they did not finish; with
    /// `act` false it only tells which. A work counts as left once it is a day old and no session of
    /// its run is on the target's server any more, where all of its sessions were; or a week, if
    /// it had none on any server. Others are left alone.
    ///
    /// # Errors
    /// The store or the server failed.
    pub(super) async fn prune_works(
        &self,
        ctx: &Ctx,
        now: Timestamp,
        act: bool,
    ) -> Result<Vec<LeftWork>> {
        let untold = |work: &WorkId, why: &str| {
            let text = format!("whether work/{work} is left behind is not known: {why}");
            ctx.events.warn(text);
        };
        let old = works_left(&self.store, now, untold).await?;
        let mut removed = Vec::new();
        if old.is_empty() {
            return Ok(removed);
        }
        let session = Session::open(&self.maintenance(), &application(ctx)).await?;
        let server = server_facts(&session).await?.system_identifier;
        for left in old {
            let here = left.posting().servers.iter().all(|of| *of == server);
            if !here || is_there(&session, ctx, &left).await? {
                continue;
            }
            removed.push(self.prune_work(ctx, &left, act).await?);
        }
        session.close().await;
        Ok(removed)
    }

    async fn prune_work(&self, ctx: &Ctx, left: &Left, act: bool) -> Result<LeftWork> {
        let backups = self.pg_backup();
        let backup = match &left.posting().backup {
            Some(id) if !backups.is_finished(id).await? => Some(id.clone()),
            _ => None,
        };
        if act {
            // As long as the work is there, what it did not finish is known.
            if let Some(id) = &backup {
                backups.remove_unfinished(id).await?;
            }
            left.clear().await?;
        }
        let verb = if act { "removed" } else { "would remove" };
        let with = backup
            .as_ref()
            .map(|id| format!(" and its unfinished backup {id}"));
        ctx.events.info(format!(
            "{verb} work {}{}: its coordinator has ended",
            left.id(),
            with.unwrap_or_default()
        ));
        Ok(LeftWork {
            work: left.id().clone(),
            backup,
        })
    }
}

/// True if a session of the run is on the server.
async fn is_there(session: &Session, ctx: &Ctx, left: &Left) -> Result<bool> {
    let of_run = Ctx {
        run: left.run().clone(),
        ..ctx.clone()
    };
    let asked = "select exists (select from pg_catalog.pg_stat_activity
                                 where application_name operator(pg_catalog.=) $1)";
    let row = session.query_one(asked, &[&application(&of_run)]).await;
    let failed = |e| server_error("could not look for the sessions of a work", e);
    row.and_then(|row| row.try_get(0)).map_err(failed)
}

#[cfg(test)]
mod tests;
