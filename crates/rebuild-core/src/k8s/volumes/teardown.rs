//! The old server out of the way, and back.

use std::sync::Arc;

use async_trait::async_trait;

use super::kept::{Kept, Side};
use super::{ServerLock, ServerReplacement};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{DestroyPermit, RetireRequest, Retired, Teardown};

/// [`Teardown`] of a whole server: its database is retired as on any server, so that every guard
/// holds which holds there, and then the server goes with its volumes kept.
pub struct ServerTeardown {
    replacement: ServerReplacement,
    database: Arc<dyn Teardown>,
    lock: Arc<ServerLock>,
}

impl ServerTeardown {
    /// Of `replacement`, where `database` retires the database in it.
    pub fn new(
        replacement: ServerReplacement,
        database: Arc<dyn Teardown>,
        lock: Arc<ServerLock>,
    ) -> Self {
        Self {
            replacement,
            database,
            lock,
        }
    }

    async fn kept(&self, ctx: &Ctx, side: Side) -> Result<Option<Kept>> {
        Kept::read(&self.replacement.store, &ctx.run, side).await
    }
}

#[async_trait]
impl Teardown for ServerTeardown {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        self.database.look(ctx, name).await
    }

    async fn retire(&self, ctx: &Ctx, request: &RetireRequest) -> Result<Retired> {
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
                let server = &request.target.server;
                let found = self.replacement.collect_whole(ctx, server).await?;
                let retired = self.database.retire(ctx, request).await?;
                let store = &self.replacement.store;
                (retired, found.write(store, &ctx.run, Side::Old).await?)
            }
        };
        self.lock.leave(ctx).await?;
        self.replacement.set_aside(ctx, &kept).await?;
        Ok(retired)
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        if let Some(kept) = self.kept(ctx, Side::Old).await? {
            let other = retired.successor.as_ref().map(|new| &*new.server);
            self.lock.leave(ctx).await?;
            self.replacement
                .bring_back(ctx, &kept, other.unwrap_or_default())
                .await?;
            let ask = || self.database.look(ctx, &retired.retired_name);
            let what = "the first answer of the old server";
            self.replacement.await_answer(ctx, what, ask).await?;
            self.lock.arrive(ctx).await?;
            self.database.reinstate(ctx, &retired.alone()).await?;
            return self.replacement.unretain(ctx, &kept).await;
        }
        self.database.reinstate(ctx, &retired.alone()).await
    }

    async fn marks(&self, ctx: &Ctx, db: &Identity) -> Result<serde_json::Value> {
        self.database.marks(ctx, db).await
    }

    async fn written_since(&self, ctx: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        let asked = async {
            match self.database.look(ctx, &retired.old.name).await? {
                // The old server is back, and the new one is not to be asked any more.
                Some(now) if now.server == retired.old.server => Ok(Vec::new()),
                _ => self.database.written_since(ctx, retired).await,
            }
        };
        asked
            .await
            .map_err(|e| e.context("it cannot be told what was written to the new server"))
    }

    async fn purge(&self, ctx: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        for side in [Side::Old, Side::New] {
            let kept = self.kept(ctx, side).await?;
            let is_of = |kept: &Kept| kept.server == retired.old.server;
            if let Some(kept) = kept.filter(is_of) {
                permit.spend_on(&retired.old)?;
                return self.replacement.delete_volumes(ctx, &kept).await;
            }
        }
        Err(Error::refused(format!(
            "nothing is written down of the server of {}",
            retired.old
        )))
    }
}
