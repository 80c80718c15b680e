//! The lock on an instance that goes away in the middle of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::kept::{Kept, Side};
use crate::error::{ErrorKind, Result};
use crate::event::Ctx;
use crate::store::Store;
use crate::traits::Lock;

/// The database's own lock for as long as there is a database.
///
/// Between the end of the old instance and the first answer of the new one, the run's journal alone keeps
/// others out: each of its records is written once, so of two processes that go on with a run, one is
/// refused before it acts.
pub struct InstanceLock {
    database: Arc<dyn Lock>,
    store: Store,
    away: AtomicBool,
}

impl InstanceLock {
    /// The lock, not taken yet; `store` is where runs write down what they have set aside.
    pub fn new(database: Arc<dyn Lock>, store: Store) -> Self {
        Self {
            database,
            store,
            away: AtomicBool::new(false),
        }
    }

    /// The instance goes away now.
    pub(super) async fn leave(&self, ctx: &Ctx) -> Result<()> {
        self.away.store(true, Ordering::SeqCst);
        self.database.release(ctx).await
    }

    /// There is an instance again: the lock of its database is taken.
    ///
    /// # Errors
    /// Somebody else has it; the server could not be asked.
    pub(super) async fn arrive(&self, ctx: &Ctx) -> Result<()> {
        self.database.acquire(ctx).await?;
        self.away.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Lock for InstanceLock {
    async fn acquire(&self, ctx: &Ctx) -> Result<()> {
        match self.arrive(ctx).await {
            Err(e) if matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Deadline) => {
                // It is away because this run has set it aside, or else it is just out of reach.
                match Kept::read(&self.store, &ctx.run, Side::Old).await? {
                    None => Err(e),
                    Some(_) => self.leave(ctx).await,
                }
            }
            arrived => arrived,
        }
    }

    async fn assert_held(&self, ctx: &Ctx) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.database.assert_held(ctx).await,
        }
    }

    async fn release(&self, ctx: &Ctx) -> Result<()> {
        self.database.release(ctx).await
    }
}
