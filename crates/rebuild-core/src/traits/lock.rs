//! One run per target.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;

/// A lock on the target that dies with its holder.
///
/// A backend runs its destructive statements on the connection that holds the lock, so that
/// losing the lock means losing the ability to act.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Lock: Send + Sync {
    /// Takes the lock, without waiting.
    ///
    /// *Repeats:* a lock that this value holds already is kept. *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal that names the holder, if another run has it; the server could not be asked.
    async fn acquire(&self, ctx: &Ctx) -> Result<()>;

    /// Asks the server whether this value still holds the lock.
    ///
    /// # Errors
    /// It does not, or it could not be asked; the run must not act.
    async fn assert_held(&self, ctx: &Ctx) -> Result<()>;

    /// Gives the lock back.
    ///
    /// *Repeats:* a lock that is not held is no error.
    ///
    /// # Errors
    /// The server could not be asked; the lock then ends with the connection.
    async fn release(&self, ctx: &Ctx) -> Result<()>;
}
