//! Steps that run an infrastructure-as-code tool: OpenTofu, Terraform, Pulumi, or Helm.
//!
//! What a tool would do is planned first, and read as typed [`PlannedChanges`] that can be shown and
//! kept. [`Infrastructure::apply`] plans again and goes on only if the changes are those that were
//! shown, with as much [`Leeway`] as it is given; then it applies exactly what it has just planned,
//! and plans a last time to see that nothing is left to do.
//!
//! No tool asks a question: standard input is empty, and each is told so in its own way. The values of
//! variables are passed in the environment (tofu, terraform) or in a file that the owner alone may read
//! (pulumi, helm), and are shown as `***` where a tool prints them; texts of fewer than four bytes are
//! not hidden.
//!
//! A run that is to end early (the deadline, the operator) asks the tool to end and gives it a
//! minute to write down what it did. Whatever it had begun, the next plan shows what is left to do.

mod approval;
mod by_hand;
mod data;
mod digest;
mod helm;
mod locks;
mod manifests;
mod masks;
mod program;
mod pulumi;
mod pulumi_preview;
mod task;
mod terraform;
mod terraform_plan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

pub use approval::Leeway;
use helm::Helm;
use program::private_folder;
use pulumi::Pulumi;
pub use task::{InfrastructureAgain, InfrastructureTask};
use terraform::Terraform;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
pub use crate::model::infrastructure::{
    Action, Change, InfrastructureState, OutputChange, PlannedChanges, destroys,
};
use crate::spec::{InfrastructureSpec, InfrastructureTool};

/// How many changes an error lists.
const LINES_IN_ERROR: usize = 20;

/// What a tool would do, and the file it would do it by. The file goes with the value.
pub struct InfrastructurePlan {
    /// The changes, to be shown and kept.
    pub changes: PlannedChanges,
    /// The plan in the tool's own words, safe to show.
    pub text: String,
    /// The folder of the saved plan, and its path. A saved plan may hold secrets.
    files: TempDir,
    saved: String,
}

impl fmt::Debug for InfrastructurePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InfrastructurePlan")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

impl InfrastructurePlan {
    /// For a workspace that is yet to be made, of which nothing can be planned.
    fn of_new_workspace(
        spec: &InfrastructureSpec,
        version: String,
        workspace: &str,
    ) -> Result<Self> {
        let about = serde_json::json!([spec.tool, workspace, &spec.targets, "new"]);
        let changes = PlannedChanges {
            tool: spec.tool,
            version,
            workspace: workspace.to_owned(),
            new_workspace: true,
            targets: spec.targets.clone(),
            changes: Vec::new(),
            outputs: Vec::new(),
            unchanged: 0,
            digest: digest::digest(&about, []),
        };
        Ok(Self {
            text: changes.lines().join("\n"),
            changes,
            files: private_folder()?,
            saved: String::new(),
        })
    }
}

/// What was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The workspace or stack; for helm the context, namespace and release.
    pub workspace: String,
    /// What was done; none if there was nothing to do.
    pub changes: Vec<Change>,
}

/// How the workspaces of a folder stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceStand {
    /// Whether the one that is meant exists.
    pub exists: bool,
    /// The one that is selected for whoever works in the folder by hand.
    pub selected: Option<String>,
}

/// What one tool manages, in one folder and one workspace, stack or release.
pub struct Infrastructure {
    driver: Driver,
}

/// How each tool is driven.
enum Driver {
    Terraform(Terraform),
    Pulumi(Pulumi),
    Helm(Helm),
}

impl fmt::Debug for Infrastructure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infrastructure({})", self.name())
    }
}

impl Infrastructure {
    /// What `spec` describes; `folder` is the spec's own folder. Nothing is run.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if a key does not fit the tool, or is missing, with its name.
    pub fn new(spec: &InfrastructureSpec, folder: &Path) -> Result<Self> {
        spec.check()?;
        let driver = match spec.tool {
            InfrastructureTool::Tofu | InfrastructureTool::Terraform => {
                Driver::Terraform(Terraform::new(spec, folder))
            }
            InfrastructureTool::Pulumi => Driver::Pulumi(Pulumi::new(spec, folder)?),
            InfrastructureTool::Helm => Driver::Helm(Helm::new(spec, folder)?),
        };
        Ok(Self { driver })
    }

    /// The tool and what it works on, for people: `terraform workspace prod`.
    pub fn name(&self) -> String {
        match &self.driver {
            Driver::Terraform(tool) => tool.name(),
            Driver::Pulumi(tool) => tool.name(),
            Driver::Helm(tool) => tool.name(),
        }
    }

    /// The command line by which a person sees what there is to do, or, for helm, what is there.
    pub fn by_hand(&self) -> String {
        match &self.driver {
            Driver::Terraform(tool) => tool.by_hand(),
            Driver::Pulumi(tool) => tool.by_hand(),
            Driver::Helm(tool) => tool.by_hand(),
        }
    }

    /// The same, to be taken down, as at the end of a rehearsal in a workspace of its own: its
    /// plan deletes all that is managed (with targets, those and what depends on them), and is
    /// applied like any other.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for pulumi and helm, which save no such plan.
    pub fn removal(&self) -> Result<Self> {
        let driver = Driver::Terraform(self.with_workspaces()?.to_remove());
        Ok(Self { driver })
    }

    /// Deletes the workspace once nothing is managed in it.
    ///
    /// *Repeats:* does nothing where there is none. *Destroys:* an empty workspace, and the
    /// former states that its backend may keep.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for pulumi and helm; [`ErrorKind::Refused`] for `default`, and while
    /// anything is managed in it; [`ErrorKind::Program`], also if it is the one that is selected in
    /// the folder.
    pub async fn remove_workspace(&self, ctx: &Ctx) -> Result<()> {
        self.with_workspaces()?.remove_workspace(ctx).await
    }

    /// Whether the workspace is there, and which one is selected in the folder.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for pulumi and helm; as [`look`](Self::look).
    pub async fn workspace(&self, ctx: &Ctx) -> Result<WorkspaceStand> {
        self.with_workspaces()?.stand(ctx).await
    }

    /// Makes the workspace, which must not be there; what is selected in the folder stays selected.
    ///
    /// *Repeats:* refuses what it made. *Destroys:* nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for pulumi and helm; [`ErrorKind::Refused`] if it exists;
    /// [`ErrorKind::Program`], also if somebody else makes it at the same time.
    pub async fn make_new_workspace(&self, ctx: &Ctx) -> Result<()> {
        self.with_workspaces()?.make_new_workspace(ctx).await
    }

    /// Selects `other` in the folder if it is this workspace that is selected there, as after a call of
    /// [`make_new_workspace`](Self::make_new_workspace) that was killed. The folder is initialised
    /// already, by a look at it.
    ///
    /// *Repeats:* does nothing more. *Destroys:* nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for pulumi and helm; [`ErrorKind::Program`], also if there is no `other`.
    pub async fn leave_workspace(&self, ctx: &Ctx, other: &str) -> Result<()> {
        self.with_workspaces()?.leave(ctx, other).await
    }

    fn with_workspaces(&self) -> Result<&Terraform> {
        match &self.driver {
            Driver::Terraform(tool) => Ok(tool),
            Driver::Pulumi(_) | Driver::Helm(_) => Err(Error::usage(format!(
                "{} has no workspaces to make and to take down; tofu and terraform have",
                self.name()
            ))),
        }
    }

    /// What the tool manages now, by its own record. tofu and terraform are initialised first.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing; a workspace is not made.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the program is another tool, or the workspace does not exist;
    /// [`ErrorKind::Program`] if it fails.
    pub async fn look(&self, ctx: &Ctx) -> Result<InfrastructureState> {
        match &self.driver {
            Driver::Terraform(tool) => tool.look(ctx).await,
            Driver::Pulumi(tool) => tool.look(ctx).await,
            Driver::Helm(tool) => tool.look(ctx).await,
        }
    }

    /// What the tool would do, after it has compared its record with the world. The workspace is
    /// named to every run of the program; what is selected in the folder does not count and stays.
    ///
    /// After an apply that was killed, this shows what is left to do.
    ///
    /// *Repeats:* plans again; the digest is the same while neither the files nor the world
    /// change. (It is not if the files themselves say something new each time, as
    /// `plantimestamp()` or a chart's `randAlphaNum` does.) *Destroys:* nothing; a workspace is not
    /// made, and tofu and terraform are initialised in their folder.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the program is another tool, the workspace or a file of variables
    /// does not exist, or another holds the lock of the state (which is never forced);
    /// [`ErrorKind::Program`] if it fails; [`ErrorKind::Deadline`].
    pub async fn plan(&self, ctx: &Ctx) -> Result<InfrastructurePlan> {
        match &self.driver {
            Driver::Terraform(tool) => tool.plan(ctx).await,
            Driver::Pulumi(tool) => tool.plan(ctx).await,
            Driver::Helm(tool) => tool.plan(ctx).await,
        }
    }

    /// Does what `shown` shows: makes the workspace if that is part of it, plans again, compares, tells
    /// of each change, applies that very plan, and plans once more to see that nothing is left. Where
    /// there is nothing to do, nothing is done.
    ///
    /// *Repeats:* does nothing once it is done. Where it was ended on the way, it does what is left of
    /// what was shown. *Destroys:* what [`destroys`] says of `shown`, and nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if there is something else to do than what was shown, with no `leeway`
    /// for it, and as [`plan`](Self::plan): then nothing was changed but that the workspace was made.
    /// [`ErrorKind::Program`], [`ErrorKind::Deadline`] and [`ErrorKind::Interrupted`] if it fails or
    /// is ended on the way, with an unknown part of it done. [`ErrorKind::Mismatch`] if it succeeded
    /// and something is left to do; it lists what.
    pub async fn apply(
        &self,
        ctx: &Ctx,
        shown: &PlannedChanges,
        leeway: Leeway,
    ) -> Result<Applied> {
        if shown.new_workspace {
            self.make_workspace(ctx).await?;
        }
        let fresh = self.plan(ctx).await?;
        let mut applied = Applied {
            workspace: fresh.changes.workspace.clone(),
            changes: Vec::new(),
        };
        if fresh.changes.is_empty() {
            return Ok(applied);
        }
        if let Some(lines) = approval::refusal(shown, &fresh.changes, leeway) {
            return Err(self.changed(&lines));
        }
        for line in fresh.changes.lines() {
            ctx.events.info(format!("{} will now {line}", self.name()));
        }
        applied.changes.clone_from(&fresh.changes.changes);
        match &self.driver {
            Driver::Terraform(tool) => tool.apply(ctx, &fresh).await?,
            Driver::Pulumi(tool) => tool.apply(ctx, &fresh).await?,
            Driver::Helm(tool) => tool.apply(ctx, &fresh).await?,
        }
        let rest = self.plan(ctx).await?.changes;
        if rest.is_empty() {
            return Ok(applied);
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "{} was applied, and this is left to do:\n{}",
                self.name(),
                shortened(&rest.lines())
            ),
        )
        .hint("a resource may change by itself, or its provider may not keep to its plan"))
    }

    /// Brings the tool's record up to date, and makes again what is not there any more, as after something
    /// was removed by other hands. What is there may be changed where it is.
    ///
    /// *Repeats:* does nothing once it is done. *Destroys:* nothing; of the record, entries whose resource is
    /// gone.
    ///
    /// # Errors
    /// As [`apply`](Self::apply): [`ErrorKind::Refused`], with nothing done, if anything would be removed or
    /// replaced.
    pub async fn make_again(&self, ctx: &Ctx) -> Result<Applied> {
        self.refresh(ctx).await?;
        let nothing = PlannedChanges {
            changes: Vec::new(),
            outputs: Vec::new(),
            digest: String::new(),
            ..self.plan(ctx).await?.changes
        };
        self.apply(ctx, &nothing, Leeway::Additions).await
    }

    async fn make_workspace(&self, ctx: &Ctx) -> Result<()> {
        match &self.driver {
            Driver::Terraform(tool) => tool.make_workspace(ctx).await,
            Driver::Pulumi(tool) => tool.make_stack(ctx).await,
            Driver::Helm(_) => Ok(()),
        }
    }

    /// Brings the tool's record of the world up to date, and changes nothing in the world. helm
    /// keeps no such record, and nothing is run.
    ///
    /// *Repeats:* compares again. *Destroys:* entries of the record whose resource is gone.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn refresh(&self, ctx: &Ctx) -> Result<()> {
        match &self.driver {
            Driver::Terraform(tool) => tool.refresh(ctx).await,
            Driver::Pulumi(tool) => tool.refresh(ctx).await,
            Driver::Helm(_) => Ok(()),
        }
    }

    fn changed(&self, lines: &[String]) -> Error {
        Error::refused(format!(
            "{}: what there is to do is not what was shown:\n{}",
            self.name(),
            shortened(lines)
        ))
        .hint("plan again, and look at what has changed")
    }
}

fn shortened(lines: &[String]) -> String {
    let mut shown: Vec<String> = lines.iter().take(LINES_IN_ERROR).cloned().collect();
    if let Some(more) = lines.len().checked_sub(LINES_IN_ERROR).filter(|n| *n > 0) {
        shown.push(format!("and {more} more"));
    }
    shown.join("\n")
}
