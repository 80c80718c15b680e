//! A tool as a step of a run.

use async_trait::async_trait;

use super::{Applied, Infrastructure, Leeway};
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
        told(ctx, &self.tool, &applied);
        Ok(())
    }
}

/// Makes again what a tool manages and is not there any more.
#[derive(Debug)]
pub struct InfrastructureAgain {
    name: String,
    tool: Infrastructure,
}

impl InfrastructureAgain {
    /// A step called `name`.
    pub fn new(name: String, tool: Infrastructure) -> Self {
        Self { name, tool }
    }
}

#[async_trait]
impl Task for InfrastructureAgain {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// *Repeats:* does what is left to do. *Destroys:* nothing.
    async fn run(&self, ctx: &Ctx, _db: &Identity) -> Result<()> {
        let applied = self.tool.make_again(ctx).await?;
        told(ctx, &self.tool, &applied);
        Ok(())
    }
}

fn told(ctx: &Ctx, tool: &Infrastructure, applied: &Applied) {
    if applied.changes.is_empty() {
        ctx.events
            .info(format!("{} has nothing to do", tool.name()));
    }
}
