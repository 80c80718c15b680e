//! Stopping the writers, and starting them again.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;

/// What a workload was like before it was touched; enough to bring it back to that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadState {
    /// True if it may write now.
    pub running: bool,
    /// Whatever the implementation needs to restore it (a replica count, a setting's old value).
    pub detail: serde_json::Value,
}

/// Something that writes to the target and can be stopped.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Workload: Send + Sync {
    /// Its name in the spec.
    fn name(&self) -> String;

    /// How it is now. The run records the answer before it stops anything.
    ///
    /// # Errors
    /// It could not be asked.
    async fn look(&self, ctx: &Ctx) -> Result<WorkloadState>;

    /// Stops it and waits until it no longer writes.
    ///
    /// *Repeats:* a stopped one stays stopped. *Destroys:* nothing; its sessions may end.
    ///
    /// # Errors
    /// It did not stop within its deadline; the outcome may be unknown.
    async fn stop(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()>;

    /// Brings it back to what `before` says, and waits until it is.
    ///
    /// *Repeats:* one that is back already is left alone. *Destroys:* nothing.
    ///
    /// # Errors
    /// It did not come up within its deadline.
    async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()>;
}
