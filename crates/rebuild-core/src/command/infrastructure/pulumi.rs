//! Pulumi: one stack of a project.
//!
//! The commands: <https://www.pulumi.com/docs/iac/cli/commands/>; a saved plan:
//! <https://www.pulumi.com/docs/iac/concepts/update-plans/>.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::InfrastructurePlan;
use super::masks;
use super::program::{Program, private_file, private_folder};
use super::pulumi_preview::Preview;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::infrastructure::InfrastructureState;
use crate::spec::InfrastructureSpec;

/// What ends every command, so that nothing is asked.
const QUIETLY: [&str; 3] = ["--non-interactive", "--color", "never"];

/// A project's folder and one of its stacks.
pub(super) struct Pulumi {
    spec: InfrastructureSpec,
    stack: String,
    program: Program,
}

impl Pulumi {
    pub(super) fn new(spec: &InfrastructureSpec, folder: &Path) -> Result<Self> {
        let Some(stack) = spec.workspace.clone() else {
            return Err(Error::internal("a spec of pulumi was not checked"));
        };
        Ok(Self {
            stack,
            program: Program::new(spec, folder)
                .with("PULUMI_SKIP_UPDATE_CHECK", "true")
                .with("PULUMI_STACK", "")
                // One document of JSON, and not a line for each event.
                .with("PULUMI_ENABLE_STREAMING_JSON_PREVIEW", ""),
            spec: spec.clone(),
        })
    }

    pub(super) fn name(&self) -> String {
        format!("pulumi stack {}", self.stack)
    }

    /// The tool's version, and whether the stack is there.
    async fn prepare(&self, ctx: &Ctx) -> Result<(String, bool)> {
        let version = self.program.version(ctx).await?;
        let stacks = self.stacks(ctx).await?;
        let there = self.is_in(&stacks);
        if !there && !self.spec.create_workspace {
            return Err(self.no_stack(&stacks));
        }
        Ok((version, there))
    }

    async fn stacks(&self, ctx: &Ctx) -> Result<Vec<Stack>> {
        let list = [&["stack", "ls", "--json"][..], &QUIETLY].concat();
        self.program.read_json(ctx, &list).await
    }

    fn is_in(&self, stacks: &[Stack]) -> bool {
        let is_it = |name: &str| {
            name == self.stack
                || self.stack.ends_with(&format!("/{name}"))
                || name.ends_with(&format!("/{}", self.stack))
        };
        stacks.iter().any(|s| is_it(&s.name))
    }

    /// Makes the stack, if it is not there.
    pub(super) async fn make_stack(&self, ctx: &Ctx) -> Result<()> {
        if self.is_in(&self.stacks(ctx).await?) {
            return Ok(());
        }
        ctx.events
            .info(format!("{} does not exist and is made", self.name()));
        let init = [&["stack", "init", &self.stack, "--no-select"][..], &QUIETLY].concat();
        self.program.run_ok(ctx, &init).await
    }

    /// The command line by which a person sees what there is to do.
    pub(super) fn by_hand(&self) -> String {
        let folder = self.program.folder().display().to_string();
        let mut words = vec!["--cwd".to_owned(), folder];
        words.extend(["preview", "--diff", "--refresh", "--stack"].map(ToOwned::to_owned));
        words.push(self.stack.clone());
        for target in &self.spec.targets {
            words.extend(["--target".to_owned(), target.clone()]);
        }
        self.program.by_hand(&words)
    }

    fn no_stack(&self, stacks: &[Stack]) -> Error {
        let names: Vec<&str> = stacks.iter().map(|s| s.name.as_str()).collect();
        Error::refused(format!(
            "pulumi has no stack {:?} in {}; there are: {}",
            self.stack,
            self.program.folder().display(),
            self.program.redaction().line(&names.join(", "))
        ))
        .hint("correct the name, or let it be made with create_workspace = true")
    }

    /// A URN without what may not be shown.
    fn masked(&self, urn: &str) -> String {
        masks::name(urn, "::", |name| self.program.redaction().line(name))
    }

    /// A command on the stack; its configuration is in `config` if the spec adds to it.
    fn on_the_stack<'a>(&'a self, words: &[&'a str], config: Option<&'a str>) -> Vec<&'a str> {
        let mut arguments = words.to_vec();
        arguments.extend(["--stack", &self.stack]);
        if let Some(file) = config {
            arguments.extend(["--config-file", file]);
        }
        for target in &self.spec.targets {
            arguments.extend(["--target", target]);
        }
        arguments.extend(QUIETLY);
        arguments
    }

    pub(super) async fn look(&self, ctx: &Ctx) -> Result<InfrastructureState> {
        let version = self.program.version(ctx).await?;
        let stacks = self.stacks(ctx).await?;
        if !self.is_in(&stacks) {
            return Err(self.no_stack(&stacks));
        }
        let export = ["stack", "export", "--stack", &self.stack];
        let export = [&export[..], &QUIETLY].concat();
        let exported: Exported = self.program.read_json(ctx, &export).await?;
        let resources = exported.deployment.resources.into_iter();
        let mut addresses: Vec<String> = resources.map(|r| self.masked(&r.urn)).collect();
        addresses.sort();
        Ok(InfrastructureState {
            tool: self.spec.tool,
            version,
            workspace: self.stack.clone(),
            addresses,
        })
    }

    pub(super) async fn plan(&self, ctx: &Ctx) -> Result<InfrastructurePlan> {
        let (version, there) = self.prepare(ctx).await?;
        ctx.events.info(format!("{} is planned", self.name()));
        if !there {
            return InfrastructurePlan::of_new_workspace(&self.spec, version, &self.stack);
        }
        let files = private_folder()?;
        let saved = private_file(files.path(), "plan", b"")?;
        let config = self.config(files.path())?;
        let preview = ["preview", "--json", "--refresh", "--save-plan", &saved];
        let preview = self.on_the_stack(&preview, config.as_deref());
        let preview: Preview = self.program.read_json(ctx, &preview).await?;
        let mut changes = preview.changes(&self.spec, version, &self.stack)?;
        masks::resources(&mut changes, |urn| self.masked(urn));
        let lines = changes.lines().into_iter();
        let lines = lines.map(|l| self.program.redaction().line(&l));
        Ok(InfrastructurePlan {
            text: lines.collect::<Vec<_>>().join("\n"),
            changes,
            files,
            saved,
        })
    }

    /// Applies the saved plan: pulumi fails on the first step that is not in it.
    pub(super) async fn apply(&self, ctx: &Ctx, plan: &InfrastructurePlan) -> Result<()> {
        let config = plan.files.path().join(CONFIG);
        let config = config.to_str().filter(|_| !self.spec.variables.is_empty());
        let up = [
            "up",
            "--refresh",
            "--skip-preview",
            "--yes",
            "--plan",
            &plan.saved,
        ];
        let up = self.on_the_stack(&up, config);
        self.program.run_ok(ctx, &up).await
    }

    pub(super) async fn refresh(&self, ctx: &Ctx) -> Result<()> {
        if !self.prepare(ctx).await?.1 {
            self.make_stack(ctx).await?;
        }
        let files = private_folder()?;
        let config = self.config(files.path())?;
        let refresh = ["refresh", "--skip-preview", "--yes"];
        let refresh = self.on_the_stack(&refresh, config.as_deref());
        self.program.run_ok(ctx, &refresh).await
    }

    /// The stack's configuration with the variables of the spec, in a file of `folder`. They cannot
    /// be given to pulumi but as arguments or in such a file, and the stack's own must not change.
    fn config(&self, folder: &Path) -> Result<Option<String>> {
        if self.spec.variables.is_empty() {
            return Ok(None);
        }
        let project = self.program.folder().join("Pulumi.yaml");
        let project: Project = read_yaml(&project)?
            .ok_or_else(|| Error::refused(format!("there is no {}", project.display())))?;
        let short = self.stack.rsplit('/').next().unwrap_or(&self.stack);
        let own = self.program.folder();
        let own = own.join(project.stack_config_dir.unwrap_or_default());
        let own = own.join(format!("Pulumi.{short}.yaml"));
        let mut settings: Map<String, Value> = read_yaml(&own)?.unwrap_or_default();
        let config = settings
            .entry("config")
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(config) = config else {
            return Err(Error::refused(format!(
                "{}: config is no table",
                own.display()
            )));
        };
        for (name, value) in &self.spec.variables {
            let key = match name.contains(':') {
                true => name.clone(),
                false => format!("{}:{name}", project.name),
            };
            config.insert(key, value.0.clone());
        }
        // JSON is YAML.
        let text = Value::Object(settings).to_string();
        private_file(folder, CONFIG, text.as_bytes()).map(Some)
    }
}

const CONFIG: &str = "Pulumi.stack.yaml";

fn read_yaml<T: serde::de::DeserializeOwned>(path: &PathBuf) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            let message = format!("could not read {}", path.display());
            return Err(Error::new(ErrorKind::Io, message).caused_by(e));
        }
    };
    // The parser's message quotes the text, which may hold secrets.
    serde_saphyr::from_str(&text)
        .map(Some)
        .map_err(|_| Error::refused(format!("{} is no YAML that is understood", path.display())))
}

#[derive(Deserialize)]
struct Project {
    name: String,
    #[serde(default, rename = "stackConfigDir")]
    stack_config_dir: Option<String>,
}

#[derive(Deserialize)]
struct Stack {
    name: String,
}

#[derive(Deserialize)]
struct Exported {
    deployment: Deployment,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Deployment {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    urn: String,
}
