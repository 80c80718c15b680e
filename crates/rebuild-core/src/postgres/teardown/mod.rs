//! Retiring, reinstating and purging a PostgreSQL database: renames in one transaction, found
//! again by oid, and one DROP at the very end.

pub(crate) mod place;
mod purge;
mod reinstate;
mod retire;
mod swap;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

use super::{EndSessions, Session, TargetLock};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Identity};
use crate::traits::{DestroyPermit, DropDatabase, RetireRequest, Retired, Teardown};

pub use watch::WriteWatch;

/// [`Teardown`] by `ALTER DATABASE … RENAME`.
///
/// Every renaming and the DROP run on the connection that holds the target's lock; a second
/// connection only looks and ends sessions. Where [another way](Self::dropping_by) drops the database, that
/// connection has set it apart before, by oid.
pub struct PgTeardown {
    /// The server, at its maintenance database.
    maintenance: Endpoint,
    lock: Arc<TargetLock>,
    policy: EndSessions,
    watch: Arc<dyn WriteWatch>,
    dropper: Option<Arc<dyn DropDatabase>>,
}

impl PgTeardown {
    /// A teardown that acts on `lock`'s connection, ends what `policy` allows, and asks `watch`
    /// whether rows were written since a backup.
    pub fn new(
        maintenance: Endpoint,
        lock: Arc<TargetLock>,
        policy: EndSessions,
        watch: Arc<dyn WriteWatch>,
    ) -> Self {
        Self {
            maintenance,
            lock,
            policy,
            watch,
            dropper: None,
        }
    }

    /// The same, where `dropper` has the last word in a purge in the place of `DROP DATABASE`.
    #[must_use]
    pub fn dropping_by(mut self, dropper: Arc<dyn DropDatabase>) -> Self {
        self.dropper = Some(dropper);
        self
    }

    /// A session in the maintenance database that looks and ends sessions, but renames nothing.
    async fn second(&self, ctx: &Ctx) -> Result<Session> {
        Session::open(&self.maintenance, &super::application(ctx)).await
    }

    /// A session in `database`.
    async fn inside(&self, ctx: &Ctx, database: &str) -> Result<Session> {
        let endpoint = self.maintenance.with_database(database);
        Session::open(&endpoint, &super::application(ctx)).await
    }
}

#[async_trait]
impl Teardown for PgTeardown {
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        let session = self.second(ctx).await?;
        let server = place::system_identifier(&session).await?;
        let found = place::by_name(&session, name).await?;
        session.close().await;
        Ok(found.map(|p| Identity {
            server,
            name: p.name,
            uid: p.oid.to_string(),
        }))
    }

    async fn retire(&self, ctx: &Ctx, request: &RetireRequest) -> Result<Retired> {
        retire::retire(self, ctx, request).await
    }

    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()> {
        reinstate::reinstate(self, ctx, retired).await
    }

    async fn marks(&self, ctx: &Ctx, db: &Identity) -> Result<serde_json::Value> {
        let session = Session::open_at(&self.maintenance, db, ctx).await?;
        let marks = self.watch.marks(&session).await;
        session.close().await;
        marks
    }

    async fn written_since(&self, ctx: &Ctx, retired: &Retired) -> Result<Vec<String>> {
        let Some(successor) = &retired.successor else {
            return Ok(Vec::new());
        };
        if retired.successor_marks.is_null() {
            return Ok(vec![format!(
                "it cannot be told what was written to {successor}: its marks were not recorded"
            )]);
        }
        let second = self.second(ctx).await?;
        let oid = place::oid_here(&second, successor).await?;
        let now = place::by_oid(&second, oid).await?;
        second.close().await;
        let Some(now) = now.filter(|p| p.open) else {
            return Ok(Vec::new());
        };
        let session = self.inside(ctx, &now.name).await?;
        let moved = self.watch.moved(&session, &retired.successor_marks).await;
        session.close().await;
        moved
    }

    async fn purge(&self, ctx: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()> {
        purge::purge(self, ctx, retired, permit).await
    }
}
