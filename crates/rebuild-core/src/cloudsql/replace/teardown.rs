//! The old instance out of the way, and back.

use std::sync::Arc;

use async_trait::async_trait;

use super::kept::{Kept, Side};
use super::{ANSWERS_WITHIN, InstanceLock, InstanceReplacement};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity};
use crate::traits::{Backup, DestroyPermit, ProvenBackup, RetireRequest, Retired, Teardown};

/// [`Teardown`] of a whole instance: its database is retired as on any server, so that every guard holds
/// which holds there, and then the instance goes, with a backup that outlives it.
pub struct InstanceTeardown {
    replacement: InstanceReplacement,
    database: Arc<dyn Teardown>,
    backup: Arc<dyn Backup>,
    lock: Arc<InstanceLock>,
}

impl InstanceTeardown {
    /// Of `replacement`, where `database` retires the database in it, and `backup` proves the copy of its
    /// rows.
    pub fn new(
        replacement: InstanceReplacement,
        database: Arc<dyn Teardown>,
        backup: Arc<dyn Backup>,
        lock: Arc<InstanceLock>,
    ) -> Self {
        Self {
            replacement,
            database,
            backup,
            lock,
        }
    }

    async fn kept(&self, ctx: &Ctx, side: Side) -> Result<Option<Kept>> {
        Kept::read(&self.replacement.store, &ctx.run, side).await
    }

    /// Two copies that do not depend on the instance: the service's, and that of the rows, read back while
    /// the service takes its own.
    async fn keep(&self, ctx: &Ctx, request: &RetireRequest) -> Result<()> {
        let proving = self.prove(ctx, &request.target, request.unchanged_since.as_ref());
        let keeping = self.replacement.keep(ctx, Side::Old);
        let (permit, backup) = tokio::try_join!(Box::pin(proving), Box::pin(keeping))?;
        ctx.events.info(format!(
            "instance {} has {}, which outlives it",
            self.replacement.sql.name(),
            backup.name
        ));
        permit.spend_on(&request.target)
    }

    async fn prove(
        &self,
        ctx: &Ctx,
        target: &Identity,
        backup: Option<&BackupId>,
    ) -> Result<DestroyPermit> {
        let id = backup.ok_or_else(|| {
            Error::refused(format!(
                "the run has no backup of the rows of {target}, so its instance is not deleted"
            ))
        })?;
        let (summary, verdict) = self.backup.check(ctx, id).await?;
        let proof = ProvenBackup::accept(summary, &verdict, target)?;
        DestroyPermit::by_backup(target, &proof)
    }

    /// Takes the new database out of service: the backup of its instance, which the old one's is restored over,
    /// then has every row that was ever committed to it, also where the restore comes much later.
    async fn shut_successor(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        let Some(new) = &retired.successor else {
            return Ok(());
        };
        let in_service = match self.database.look(ctx, &retired.old.name).await {
            Ok(now) => now.filter(|now| now.is_same_thing(new)),
            // An instance that does not answer takes no rows.
            Err(e) if e.kind() == ErrorKind::Unreachable => None,
            Err(e) => return Err(e),
        };
        let Some(target) = in_service else {
            return Ok(());
        };
        let request = RetireRequest {
            target,
            retired_name: new.name.clone(),
            successor: None,
            successor_marks: serde_json::Value::Null,
            unchanged_since: None,
        };
        self.database.retire(ctx, &request).await.map(|_| ())
    }

    /// True if the old instance is there, whether it never went or is back.
    async fn is_there(&self, ctx: &Ctx, retired: &Retired) -> Result<bool> {
        let now = self.database.look(ctx, &retired.old.name).await?;
        Ok(now.is_some_and(|now| now.server == retired.old.server))
    }
}

#[async_trait]
impl Teardown for InstanceTeardown {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        self.database.look(ctx, name).await
    }

    /// *Destroys:* the instance, once there are two proven copies that do not depend on it.
    async fn retire(&self, ctx: &Ctx, request: &RetireRequest) -> Result<Retired> {
        let replacement = &self.replacement;
        let of_this = Retired {
            old: request.target.clone(),
            retired_name: request.retired_name.clone(),
            successor: None,
            successor_marks: serde_json::Value::Null,
            shut_out_ms: 0,
        };
        let (retired, kept) = match self.kept(ctx, Side::Old).await? {
            Some(kept) => (of_this, kept),
            None => {
                let found = replacement.collect(ctx, &request.target.server).await?;
                let retired = self.database.retire(ctx, request).await?;
                let store = &replacement.store;
                (retired, found.write(store, &ctx.run, Side::Old).await?)
            }
        };
        // Its deletion may have been begun by a process that is no more.
        let (sql, limit) = (&replacement.sql, replacement.limit);
        sql.wait_until_free(ctx, limit).await?;
        let there = sql.look(ctx).await?;
        if there.is_some_and(|now| kept.is(&now)) {
            Box::pin(self.keep(ctx, request)).await?;
        }
        self.lock.leave(ctx).await?;
        Box::pin(replacement.remove(ctx, &kept, Side::Old)).await?;
        Ok(retired)
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        let Some(kept) = self.kept(ctx, Side::Old).await? else {
            return self.database.reinstate(ctx, &retired.alone()).await;
        };
        let other = retired.successor.as_ref().map(|new| &*new.server);
        self.shut_successor(ctx, retired).await?;
        self.lock.leave(ctx).await?;
        let replacement = &self.replacement;
        Box::pin(replacement.bring_back(ctx, &kept, other.unwrap_or_default())).await?;
        let ask = || self.database.look(ctx, &retired.retired_name);
        let what = "the first answer of the old instance";
        let answering = replacement.sql.await_answer(ctx, what, ANSWERS_WITHIN, ask);
        answering.await?;
        self.lock.arrive(ctx).await?;
        self.database.reinstate(ctx, &retired.alone()).await?;
        replacement.replicas_again(ctx, &kept).await?;
        replacement.settle(ctx, &kept).await
    }

    async fn marks(&self, ctx: &Ctx, db: &Identity) -> Result<serde_json::Value> {
        self.database.marks(ctx, db).await
    }

    async fn written_since(&self, ctx: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        let asked = async {
            match self.is_there(ctx, retired).await? {
                true => Ok(Vec::new()),
                false => self.database.written_since(ctx, retired).await,
            }
        };
        asked
            .await
            .map_err(|e| e.context("it cannot be told what was written to the new instance"))
    }

    async fn purge(&self, ctx: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        for side in [Side::Old, Side::New] {
            let kept = self.kept(ctx, side).await?;
            if kept.is_some_and(|kept| kept.server == retired.old.server) {
                permit.spend_on(&retired.old)?;
                return self.replacement.forget(ctx, side).await;
            }
        }
        Err(Error::refused(format!(
            "nothing is written down of the instance of {}",
            retired.old
        )))
    }
}
