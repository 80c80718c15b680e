//! The new instance, and the database in it.

use std::sync::Arc;

use async_trait::async_trait;

use super::kept::{Kept, Side};
use super::{ANSWERS_WITHIN, InstanceLock, InstanceMaker, InstanceReplacement};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{Provision, ProvisionRequest};

/// [`Provision`] of a whole instance: by the run, or by what an earlier step has made under its name. Then
/// the users and the database in it are made as on any server.
pub struct InstanceProvision {
    replacement: InstanceReplacement,
    database: Arc<dyn Provision>,
    lock: Arc<InstanceLock>,
}

impl InstanceProvision {
    /// By `replacement`, where `database` makes the database in the new instance.
    pub fn new(
        replacement: InstanceReplacement,
        database: Arc<dyn Provision>,
        lock: Arc<InstanceLock>,
    ) -> Self {
        Self {
            replacement,
            database,
            lock,
        }
    }

    async fn old(&self, ctx: &Ctx) -> Result<Kept> {
        let kept = Kept::read(&self.replacement.store, &ctx.run, Side::Old).await?;
        kept.ok_or_else(|| Error::internal("no instance was set aside before a new one is made"))
    }

    /// Makes sure that there is a new instance that can be used.
    async fn make(&self, ctx: &Ctx, old: &Kept) -> Result<()> {
        let replacement = &self.replacement;
        if let InstanceMaker::Run(changes) = &replacement.maker {
            return replacement.make(ctx, old.instance()?, changes).await;
        }
        match replacement.sql.look(ctx).await? {
            Some(now) if old.is(&now) => Err(Error::internal("the old instance is still there")),
            Some(_) => {
                let (sql, limit) = (&replacement.sql, replacement.limit);
                sql.wait_until_runnable(ctx, limit).await
            }
            None => Err(Error::refused(format!(
                "no step has made an instance {} in the place of the one that was set aside",
                replacement.sql.name()
            ))
            .hint("an [[infrastructure]] step makes it, under the same name")),
        }
    }

    /// Waits until a server answers that is not the one that went.
    async fn await_server(&self, ctx: &Ctx, old: &Kept, request: &ProvisionRequest) -> Result<()> {
        let ask = || async {
            match self.database.look(ctx, &request.name).await? {
                Some(found) if found.server == old.server => Err(Error::refused(format!(
                    "{found} answers, which is in the instance that was set aside"
                ))),
                found => Ok(found),
            }
        };
        let what = "the first answer of the new instance";
        let sql = &self.replacement.sql;
        sql.await_answer(ctx, what, ANSWERS_WITHIN, ask).await
    }
}

#[async_trait]
impl Provision for InstanceProvision {
    /// The database in the new instance.
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        let old = self.old(ctx).await?;
        match self.replacement.sql.look(ctx).await? {
            Some(now) if !old.is(&now) => match self.database.look(ctx, name).await {
                // One that does not answer has none that would have to go before it does.
                Err(e) if e.kind() == ErrorKind::Unreachable => Ok(None),
                found => found,
            },
            _ => Ok(None),
        }
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        let old = self.old(ctx).await?;
        Box::pin(self.make(ctx, &old)).await?;
        let replacement = &self.replacement;
        let (sql, users) = (&replacement.sql, &replacement.users);
        sql.make_users(ctx, users, replacement.limit).await?;
        self.await_server(ctx, &old, request).await?;
        self.lock.arrive(ctx).await?;
        // What it is to be like is known from the plan; the old one is not there to be read.
        let request = ProvisionRequest {
            name: request.name.clone(),
            like: None,
        };
        self.database.provision(ctx, &request).await
    }

    /// The database goes. The instance makes room for the old one in the next step of the way back, which
    /// takes a backup of it before.
    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        match self.look(ctx, &made.name).await? {
            Some(found) if found.is_same_thing(made) => self.database.discard(ctx, made).await,
            _ => Ok(()),
        }
    }

    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        _like: Option<&'a Identity>,
    ) -> Result<()> {
        self.database.settle(ctx, made, None).await?;
        let old = self.old(ctx).await?;
        self.replacement.replicas_again(ctx, &old).await
    }
}
