//! The infrastructure-as-code tools of a spec: what they manage, would change, and apply.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Project;
use crate::command::{Infrastructure, InfrastructureAgain, InfrastructureTask, Leeway};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::infrastructure::InfrastructureState;
use crate::plan::{Plan, PlannedInfrastructure, Strategy};
use crate::spec::CommandSpec;
use crate::traits::Task;

/// What one tool manages now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InfrastructureStatus {
    /// Its name in the spec.
    pub name: String,
    /// What it manages, if it could be asked.
    pub state: Option<InfrastructureState>,
    /// Why it could not be, as a chain of messages.
    pub trouble: Option<String>,
}

impl Project {
    fn infrastructure(&self) -> impl Iterator<Item = Result<(&str, Infrastructure)>> {
        self.spec.infrastructure.iter().map(|spec| {
            let tool = Infrastructure::new(spec, self.spec.folder())?;
            Ok((spec.name.as_str(), tool))
        })
    }

    /// What each tool would change. Nothing is changed.
    pub(super) async fn planned_infrastructure(
        &self,
        ctx: &Ctx,
    ) -> Result<Vec<PlannedInfrastructure>> {
        let mut planned = Vec::new();
        for tool in self.infrastructure() {
            let (name, tool) = tool?;
            planned.push(PlannedInfrastructure {
                name: name.to_owned(),
                changes: tool.plan(ctx).await?.changes,
                by_hand: tool.by_hand(),
            });
        }
        Ok(planned)
    }

    /// The steps that do what `plan` has shown. In place, the run itself may have removed something that
    /// is then made again.
    pub(super) fn infrastructure_tasks(&self, plan: &Plan) -> Result<Vec<Arc<dyn Task>>> {
        let leeway = match plan.strategy {
            // A rehearsal has removed nothing.
            Strategy::InPlace if self.rehearsal.is_none() => Leeway::Additions,
            Strategy::Aside | Strategy::InPlace => Leeway::None,
        };
        let mut tasks: Vec<Arc<dyn Task>> = Vec::new();
        for tool in self.infrastructure() {
            let (name, tool) = tool?;
            let mut planned = plan.survey.infrastructure.iter();
            if let Some(planned) = planned.find(|planned| planned.name == name) {
                let shown = planned.changes.clone();
                let name = name.to_owned();
                tasks.push(Arc::new(InfrastructureTask::new(name, tool, shown, leeway)));
            }
        }
        Ok(tasks)
    }

    /// The step, if a tool does it.
    pub(super) fn infrastructure_again(&self, spec: &CommandSpec) -> Result<Option<Arc<dyn Task>>> {
        let Some(wanted) = &spec.infrastructure else {
            return Ok(None);
        };
        for tool in self.infrastructure() {
            let (name, tool) = tool?;
            if name == wanted {
                let step = InfrastructureAgain::new(spec.name.clone(), tool);
                return Ok(Some(Arc::new(step)));
            }
        }
        let name = &spec.name;
        Err(Error::internal(format!(
            "{name} names no infrastructure of the spec"
        )))
    }

    /// What each tool manages. One that cannot be asked says why, so that the rest can be seen all the
    /// same.
    pub(super) async fn infrastructure_status(
        &self,
        ctx: &Ctx,
    ) -> Result<Vec<InfrastructureStatus>> {
        let mut found = Vec::new();
        for tool in self.infrastructure() {
            let (name, tool) = tool?;
            let (state, trouble) = match tool.look(ctx).await {
                Ok(state) => (Some(state), None),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                Err(e) => (None, Some(e.chain())),
            };
            found.push(InfrastructureStatus {
                name: name.to_owned(),
                state,
                trouble,
            });
        }
        Ok(found)
    }
}

#[cfg(all(test, feature = "k8s"))]
mod tests;
