//! Infrastructure-as-code tools: which there are, what they manage, and what they would change.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tool that makes infrastructure what its files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InfrastructureTool {
    /// OpenTofu.
    Tofu,
    /// HashiCorp Terraform.
    Terraform,
    /// Pulumi.
    Pulumi,
    /// Helm, for one release of a chart.
    Helm,
}

impl InfrastructureTool {
    /// The name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Tofu => "tofu",
            Self::Terraform => "terraform",
            Self::Pulumi => "pulumi",
            Self::Helm => "helm",
        }
    }

    /// True for OpenTofu and Terraform, which share their command line.
    pub(crate) fn is_terraform_like(self) -> bool {
        matches!(self, Self::Tofu | Self::Terraform)
    }
}

impl fmt::Display for InfrastructureTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// What a tool manages now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InfrastructureState {
    /// The tool.
    pub tool: InfrastructureTool,
    /// Its version.
    pub version: String,
    /// The workspace or stack; for helm the context, namespace and release.
    pub workspace: String,
    /// The addresses of what it manages, sorted; the URNs of pulumi, kinds and names for helm.
    pub addresses: Vec<String>,
}

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed where it is.
    Update,
    /// It is deleted and made again, in either order.
    Replace,
    /// It is deleted.
    Delete,
    /// It is read, and nothing else.
    Read,
    /// The tool no longer manages it, and leaves it as it is.
    Forget,
    /// Nothing is done to it; what the tool knows of it changes (its address, or that it is managed).
    NoOp,
}

impl Action {
    /// True if what the resource holds is lost.
    pub fn destroys(self) -> bool {
        matches!(self, Self::Delete | Self::Replace)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Read => "read",
            Self::Forget => "forget",
            Self::NoOp => "no-op",
        })
    }
}

/// What is done to one resource. Its values are not here, since they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Its address (tofu, terraform), its URN (pulumi), or its kind and name (helm).
    pub address: String,
    /// Its type as the tool names it, for example `aws_db_instance` or `StatefulSet.apps`.
    pub kind: String,
    /// What is done to it.
    pub action: Action,
    /// The key of a deposed object: an old one that an earlier replacement left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    /// The address it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// True if it is there already and the tool begins to manage it.
    #[serde(default)]
    pub imported: bool,
    /// Why, in the tool's words, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The data that goes with it, if it is of a kind that holds data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.address)?;
        if let Some(key) = &self.deposed {
            write!(f, " (deposed object {key})")?;
        }
        if let Some(from) = &self.moved_from {
            write!(f, " (moved from {from})")?;
        }
        if self.imported {
            f.write_str(" (imported)")?;
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        Ok(())
    }
}

/// What is done to an output value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputChange {
    /// Its name.
    pub name: String,
    /// What is done to it.
    pub action: Action,
}

/// Everything that a tool would change, as it was shown: what `apply` accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChanges {
    /// The tool.
    pub tool: InfrastructureTool,
    /// Its version. The digest does not depend on it.
    pub version: String,
    /// The workspace or stack; for helm the context, namespace and release.
    pub workspace: String,
    /// True if the workspace or stack does not exist yet. It is made when the changes are applied,
    /// and what is to be done in it is known only then.
    #[serde(default)]
    pub new_workspace: bool,
    /// The targets it was narrowed to; none is everything.
    #[serde(default)]
    pub targets: Vec<String>,
    /// What is done, in the order of addresses.
    pub changes: Vec<Change>,
    /// What is done to output values, by name.
    #[serde(default)]
    pub outputs: Vec<OutputChange>,
    /// How many resources stay as they are.
    #[serde(default)]
    pub unchanged: usize,
    /// BLAKE3 of the changes with every value before and after. Two plannings of one state have
    /// the same.
    pub digest: String,
}

impl PlannedChanges {
    /// True if there is nothing to do: no change but reads.
    pub fn is_empty(&self) -> bool {
        !self.new_workspace
            && self.outputs.is_empty()
            && self.changes.iter().all(|c| c.action == Action::Read)
    }

    /// A line for each change, without those that are only reads.
    pub fn lines(&self) -> Vec<String> {
        let workspace = format!(
            "create workspace {}; what is done in it is known once it is there",
            self.workspace
        );
        let workspace = self.new_workspace.then_some(workspace);
        let changes = self.changes.iter().filter(|c| c.action != Action::Read);
        let outputs = self.outputs.iter();
        workspace
            .into_iter()
            .chain(changes.map(ToString::to_string))
            .chain(outputs.map(|o| format!("{} output {}", o.action, o.name)))
            .collect()
    }

    /// True if something is destroyed that is known to hold data.
    pub fn destroys_data(&self) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| change.action.destroys() && change.holds.is_some())
    }
}

/// What `changes` would destroy, a line for each: every deletion and replacement by its address,
/// and what data goes with it where it is of a kind that holds data.
pub fn destroys(changes: &PlannedChanges) -> Vec<String> {
    let lost = changes.changes.iter().filter(|c| c.action.destroys());
    lost.map(|change| match &change.holds {
        Some(holds) => format!("{change}: HOLDS DATA, {holds}"),
        None => change.to_string(),
    })
    .collect()
}
