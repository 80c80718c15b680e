//! OpenTofu and Terraform, which share their command line and the JSON of a plan.
//!
//! The commands and their exit codes: <https://developer.hashicorp.com/terraform/cli/commands/plan>;
//! the variables: <https://developer.hashicorp.com/terraform/cli/config/environment-variables>.

use std::path::Path;

use serde::Deserialize;

use super::by_hand;
use super::masks;
use super::program::{Program, private_file, private_folder, require_files};
use super::terraform_plan::PlanFile;
use super::{InfrastructurePlan, WorkspaceStand};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::infrastructure::InfrastructureState;
use crate::spec::InfrastructureSpec;

/// `plan -detailed-exitcode` ends with this if there is something to do.
const SOMETHING_TO_DO: i32 = 2;

/// The arguments of `verb`, which is to ask nothing.
fn asking_nothing<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![verb, "-input=false", "-no-color"];
    arguments.extend(more);
    arguments
}

/// A folder of configuration and one workspace of it.
#[derive(Clone)]
pub(super) struct Terraform {
    spec: InfrastructureSpec,
    workspace: String,
    /// True if everything is to go.
    removal: bool,
    /// With no workspace selected but by what the folder remembers.
    anywhere: Program,
    /// With the workspace selected.
    program: Program,
}

impl Terraform {
    pub(super) fn new(spec: &InfrastructureSpec, folder: &Path) -> Self {
        let workspace = spec.workspace.clone();
        let workspace = workspace.unwrap_or_else(|| "default".to_owned());
        let mut program = Program::new(spec, folder)
            .with("TF_IN_AUTOMATION", "1")
            .with("TF_INPUT", "0")
            // No word of newer versions is asked for over the network.
            .with("CHECKPOINT_DISABLE", "1");
        // These may hold `-auto-approve`, or targets. An empty one is as none.
        for (name, _) in std::env::vars_os() {
            if let Some(name) = name.to_str().filter(|n| n.starts_with("TF_CLI_ARGS")) {
                program = program.with(name, "");
            }
        }
        for (name, value) in &spec.variables {
            let value = match &value.0 {
                serde_json::Value::String(text) => text.clone(),
                // Lists and objects in JSON are expressions of the language as well.
                other => other.to_string(),
            };
            program = program.with_secret(format!("TF_VAR_{name}"), value);
        }
        Self {
            anywhere: program.clone().with("TF_WORKSPACE", ""),
            program: program.with("TF_WORKSPACE", &workspace),
            spec: spec.clone(),
            workspace,
            removal: false,
        }
    }

    pub(super) fn name(&self) -> String {
        let removal = if self.removal { " (its removal)" } else { "" };
        format!("{} workspace {}{removal}", self.spec.tool, self.workspace)
    }

    /// The command line by which a person sees what there is to do.
    pub(super) fn by_hand(&self) -> String {
        let mut words = vec![format!("-chdir={}", self.program.folder().display())];
        words.push("plan".to_owned());
        let targets = self.spec.targets.iter();
        words.extend(targets.map(|t| format!("-target={t}")));
        let files = self.spec.var_files.iter();
        words.extend(files.map(|f| format!("-var-file={f}")));
        let workspace = format!("TF_WORKSPACE={}", by_hand::quoted(&self.workspace));
        let variables = self.spec.variables.keys();
        let variables = variables.map(|name| format!("TF_VAR_{name}='***'"));
        let settings: Vec<String> = std::iter::once(workspace).chain(variables).collect();
        format!("{} {}", settings.join(" "), self.program.by_hand(&words))
    }

    /// The same, with nothing wanted to be there.
    pub(super) fn to_remove(&self) -> Self {
        Self {
            removal: true,
            ..self.clone()
        }
    }

    /// Initialises the folder: the tool's version, and whether the workspace is there.
    async fn prepare(&self, ctx: &Ctx) -> Result<(String, bool)> {
        let version = self.initialise(ctx).await?;
        let list = self.workspaces(ctx).await?;
        let there = self.is_in(&list);
        if !there && !self.spec.create_workspace {
            return Err(self.no_workspace(&list));
        }
        Ok((version, there))
    }

    /// Makes the workspace, if it is not there.
    pub(super) async fn make_workspace(&self, ctx: &Ctx) -> Result<()> {
        self.initialise(ctx).await?;
        let list = self.workspaces(ctx).await?;
        if self.is_in(&list) {
            return Ok(());
        }
        self.create(ctx, &list).await
    }

    /// Initialises the folder; the tool's version.
    async fn initialise(&self, ctx: &Ctx) -> Result<String> {
        let folder = self.program.folder();
        require_files(folder, "backend_files", &self.spec.backend_files)?;
        require_files(folder, "var_files", &self.spec.var_files)?;
        let version = self.program.version(ctx).await?;
        let files = self.spec.backend_files.iter();
        let files: Vec<String> = files.map(|f| format!("-backend-config={f}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        // With a workspace selected, init makes it where it is missing, and says nothing of it.
        self.anywhere
            .run_ok(ctx, &asking_nothing("init", &files))
            .await?;
        Ok(version)
    }

    /// What `workspace list` prints: one on each line, an asterisk before the selected one.
    async fn workspaces(&self, ctx: &Ctx) -> Result<String> {
        self.anywhere.read(ctx, &["workspace", "list"]).await
    }

    fn is_in(&self, list: &str) -> bool {
        list.lines()
            .any(|line| line.trim_start_matches(['*', ' ']).trim() == self.workspace)
    }

    fn no_workspace(&self, list: &str) -> Error {
        let names = list
            .lines()
            .map(|l| l.trim_start_matches(['*', ' ']).trim());
        let names: Vec<&str> = names.filter(|n| !n.is_empty()).collect();
        Error::refused(format!(
            "{} has no workspace {:?} in {}; there are: {}",
            self.spec.tool,
            self.workspace,
            self.program.folder().display(),
            self.program.redaction().line(&names.join(", "))
        ))
        .hint("correct the name, or let it be made with create_workspace = true")
    }

    /// Makes the workspace. That selects it for whoever works in the folder by hand, so what was
    /// selected is selected again.
    async fn create(&self, ctx: &Ctx, list: &str) -> Result<()> {
        ctx.events
            .info(format!("{} does not exist and is made", self.name()));
        let new = ["workspace", "new", "-no-color", &self.workspace];
        self.anywhere.run_ok(ctx, &new).await?;
        if let Some(selected) = selected(list) {
            let select = ["workspace", "select", "-no-color", selected];
            self.anywhere.run_ok(ctx, &select).await?;
        }
        Ok(())
    }

    /// Whether the workspace is there, and which one is selected in the folder.
    pub(super) async fn stand(&self, ctx: &Ctx) -> Result<WorkspaceStand> {
        self.initialise(ctx).await?;
        let list = self.workspaces(ctx).await?;
        Ok(WorkspaceStand {
            exists: self.is_in(&list),
            selected: selected(&list).map(ToOwned::to_owned),
        })
    }

    /// Makes the workspace. The tool refuses one that is there.
    pub(super) async fn make_new_workspace(&self, ctx: &Ctx) -> Result<()> {
        self.initialise(ctx).await?;
        let list = self.workspaces(ctx).await?;
        if self.is_in(&list) {
            return Err(Error::refused(format!("{} exists already", self.name())));
        }
        self.create(ctx, &list).await
    }

    /// Selects `other` in the folder, if this workspace is the one that is selected there. The folder
    /// was initialised before.
    pub(super) async fn leave(&self, ctx: &Ctx, other: &str) -> Result<()> {
        let list = self.workspaces(ctx).await?;
        if selected(&list) != Some(&*self.workspace) {
            return Ok(());
        }
        let select = ["workspace", "select", "-no-color", other];
        self.anywhere.run_ok(ctx, &select).await
    }

    pub(super) async fn look(&self, ctx: &Ctx) -> Result<InfrastructureState> {
        let version = self.initialise(ctx).await?;
        let list = self.workspaces(ctx).await?;
        if !self.is_in(&list) {
            return Err(self.no_workspace(&list));
        }
        Ok(InfrastructureState {
            tool: self.spec.tool,
            version,
            workspace: self.workspace.clone(),
            addresses: self.managed(ctx).await?,
        })
    }

    /// The addresses of what is managed in the workspace.
    async fn managed(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let state: State = self
            .program
            .read_json(ctx, &["show", "-no-color", "-json"])
            .await?;
        let mut addresses = Vec::new();
        state.values.root_module.collect(&mut addresses);
        let mut addresses: Vec<String> = addresses.iter().map(|a| self.masked(a)).collect();
        addresses.sort();
        Ok(addresses)
    }

    pub(super) async fn plan(&self, ctx: &Ctx) -> Result<InfrastructurePlan> {
        let (version, there) = self.prepare(ctx).await?;
        ctx.events.info(format!("{} is planned", self.name()));
        if !there {
            return InfrastructurePlan::of_new_workspace(&self.spec, version, &self.workspace);
        }
        let files = private_folder()?;
        let more: &[&str] = if self.removal { &["-destroy"] } else { &[] };
        let (saved, something) = self.save(ctx, files.path(), more).await?;
        let show = ["show", "-no-color", "-json", &saved];
        let plan: PlanFile = self.program.read_json(ctx, &show).await?;
        let mut changes = plan.changes(&self.spec, version, &self.workspace, self.removal)?;
        if something && changes.changes.is_empty() && changes.outputs.is_empty() {
            return Err(Error::new(
                ErrorKind::Program,
                format!(
                    "{} says that there is something to do, of a sort that is not known here",
                    self.name()
                ),
            )
            .hint("apply it by hand, or use a version of the tool without it"));
        }
        masks::resources(&mut changes, |address| self.masked(address));
        let text = self
            .program
            .read(ctx, &["show", "-no-color", &saved])
            .await?;
        let lines = text.lines().map(|l| self.program.redaction().line(l));
        Ok(InfrastructurePlan {
            changes,
            text: lines.collect::<Vec<_>>().join("\n"),
            files,
            saved,
        })
    }

    /// An address without what may not be shown.
    fn masked(&self, address: &str) -> String {
        masks::keys(address, |key| self.program.redaction().line(key))
    }

    /// Plans into a file in `folder`: its path, and whether there is something to do.
    async fn save(&self, ctx: &Ctx, folder: &Path, more: &[&str]) -> Result<(String, bool)> {
        // The tool writes into the file that is there, and leaves its mode.
        let saved = private_file(folder, "plan", b"")?;
        let out = format!("-out={saved}");
        let mut arguments = asking_nothing("plan", more);
        arguments.extend(["-detailed-exitcode", &out]);
        let targets = self.spec.targets.iter().map(|t| format!("-target={t}"));
        let files = self.spec.var_files.iter().map(|f| format!("-var-file={f}"));
        let given: Vec<String> = targets.chain(files).collect();
        arguments.extend(given.iter().map(String::as_str));
        let finished = self.program.run(ctx, &arguments).await?;
        match finished.code {
            0 => Ok((saved, false)),
            SOMETHING_TO_DO => Ok((saved, true)),
            _ => Err(self.program.failed(&arguments, &finished)),
        }
    }

    /// Applies the saved plan. The tool refuses it by itself if the state has changed since.
    pub(super) async fn apply(&self, ctx: &Ctx, plan: &InfrastructurePlan) -> Result<()> {
        self.program
            .run_ok(ctx, &asking_nothing("apply", &[&plan.saved]))
            .await
    }

    /// Deletes the workspace, which manages nothing any more.
    pub(super) async fn remove_workspace(&self, ctx: &Ctx) -> Result<()> {
        if self.workspace == "default" {
            return Err(Error::refused(format!(
                "{} has always a workspace \"default\", which cannot be deleted",
                self.spec.tool
            )));
        }
        self.initialise(ctx).await?;
        if !self.is_in(&self.workspaces(ctx).await?) {
            return Ok(());
        }
        let managed = self.managed(ctx).await?;
        if !managed.is_empty() {
            return Err(Error::refused(format!(
                "{} is not deleted: it manages {} resources, {} among them",
                self.name(),
                managed.len(),
                managed[0]
            )));
        }
        let delete = ["workspace", "delete", "-no-color", &self.workspace];
        self.anywhere.run_ok(ctx, &delete).await
    }

    pub(super) async fn refresh(&self, ctx: &Ctx) -> Result<()> {
        if !self.prepare(ctx).await?.1 {
            self.make_workspace(ctx).await?;
        }
        let files = private_folder()?;
        let (saved, _) = self.save(ctx, files.path(), &["-refresh-only"]).await?;
        self.program
            .run_ok(ctx, &asking_nothing("apply", &[&saved]))
            .await
    }
}

/// The workspace that `workspace list` marks as the selected one.
fn selected(list: &str) -> Option<&str> {
    let marked = list.lines().find_map(|l| l.trim().strip_prefix('*'));
    marked.map(str::trim)
}

/// What `show -json` prints of a state:
/// <https://developer.hashicorp.com/terraform/internals/json-format#state-representation>.
#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    values: Values,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Values {
    root_module: Module,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Module {
    resources: Vec<Resource>,
    child_modules: Vec<Module>,
}

#[derive(Deserialize)]
struct Resource {
    address: String,
    mode: String,
    #[serde(default)]
    deposed_key: Option<String>,
}

impl Module {
    fn collect(self, addresses: &mut Vec<String>) {
        let managed = self.resources.into_iter().filter(|r| r.mode == "managed");
        addresses.extend(managed.map(|r| match r.deposed_key {
            Some(key) => format!("{} (deposed object {key})", r.address),
            None => r.address,
        }));
        for module in self.child_modules {
            module.collect(addresses);
        }
    }
}
