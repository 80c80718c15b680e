//! The lock on a server that goes away in the middle of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::kept::{Kept, Side};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::store::Store;
use crate::traits::Lock;

/// The Lease, and the database's own lock for as long as there is a database.
///
/// Between the end of the old server and the first answer of the new one, the Lease alone keeps
/// others out. The server's lock is then taken again on whatever server answers.
pub struct ServerLock {
    lease: Arc<dyn Lock>,
    server: Arc<dyn Lock>,
    store: Store,
    away: AtomicBool,
}

impl ServerLock {
    /// Both locks, not taken yet; `store` is where runs write down what they have set aside.
    pub fn new(lease: Arc<dyn Lock>, server: Arc<dyn Lock>, store: Store) -> Self {
        Self {
            lease,
            server,
            store,
            away: AtomicBool::new(false),
        }
    }

    /// The server goes away now. Its lock is given back: a server that is shut down waits for
    /// sessions, and is killed when it has waited long enough
    /// (<https://www.postgresql.org/docs/current/server-shutdown.html>).
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn leave(&self, ctx: &Ctx) -> Result<()> {
        self.away.store(true, Ordering::SeqCst);
        self.server.release(ctx).await
    }

    /// There is a server again: its lock is taken.
    ///
    /// # Errors
    /// Somebody else has it; the server could not be asked.
    pub(super) async fn arrive(&self, ctx: &Ctx) -> Result<()> {
        self.server.acquire(ctx).await?;
        self.away.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn acquire_server(&self, ctx: &Ctx) -> Result<()> {
        match self.arrive(ctx).await {
            Err(e) if matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Deadline) => {
                // It is away because this run has set it aside, or else it is just out of reach.
                if Kept::read(&self.store, &ctx.run, Side::Old)
                    .await?
                    .is_none()
                {
                    return Err(e);
                }
                self.leave(ctx).await
            }
            arrived => arrived,
        }
    }
}

#[async_trait]
impl Lock for ServerLock {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        self.lease.acquire(ctx).await?;
        let server = self.acquire_server(ctx).await;
        if server.is_err() {
            // What the server's lock says counts; the Lease runs out by itself.
            let _ = self.lease.release(ctx).await;
        }
        server
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        self.lease.assert_held(ctx).await?;
        if self.away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.server.assert_held(ctx).await
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        let server = self.server.release(ctx).await;
        let lease = self.lease.release(ctx).await;
        server.and(lease)
    }
}
