//! A tool as a step of a run.

use async_trait::async_trait;

use super::{Infrastructure, Leeway};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::Identity;
use crate::model::infrastructure::PlannedChanges;
use crate::traits::Task;

/// Applies what the plan of a run has shown.
#[derive(Debug)]
pub struct InfrastructureTask {
    name: String,
    tool: Infrastructure,
    shown: PlannedChanges,
    leeway: Leeway,
}

impl InfrastructureTask {
    /// A step called `name` that does what `shown` shows, with `leeway`.
    pub fn new(name: String, tool: Infrastructure, shown: PlannedChanges, leeway: Leeway) -> Self {
        Self {
            name,
            tool,
            shown,
            leeway,
        }
    }
}

#[async_trait]
impl Task for InfrastructureTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// *Repeats:* does what is left to do. *Destroys:* what the plan has shown.
    async fn run(&self, ctx: &Ctx, _db: &Identity) -> Result<()> {
        let applied = self.tool.apply(ctx, &self.shown, self.leeway).await?;
        if applied.changes.is_empty() {
            ctx.events
                .info(format!("{} has nothing to do", self.tool.name()));
        }
        Ok(())
    }
}
