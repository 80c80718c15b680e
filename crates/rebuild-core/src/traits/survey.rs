//! Reading what is there, for the plan.

use async_trait::async_trait;

use crate::error::Result;
use crate::event::Ctx;
use crate::plan::Survey;

/// Looks at the target, its server, the tools and the store, changing nothing but a scratch
/// database that it makes and removes to find drift.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Surveyor: Send + Sync {
    /// Reads everything that the plan is made from. With `drift` false, the scratch database
    /// is not made and the survey has no drift.
    ///
    /// # Errors
    /// The target could not be reached or read.
    async fn survey(&self, ctx: &Ctx, drift: bool) -> Result<Survey>;
}
