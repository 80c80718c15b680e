//! Helm: one release of one chart.
//!
//! Helm saves no plan. What it would make is rendered by a dry run against the server and
//! compared, object by object, with what the release's last revision made and is still there; what it
//! has made in the end is compared again. What was changed by hand in the cluster since is not seen.
//!
//! The flags: <https://helm.sh/docs/helm/helm_upgrade/>. Helm 4 has renamed `--atomic`, and shows the
//! objects of a release without being asked.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::InfrastructurePlan;
use super::digest::digest;
use super::manifests::{self, Objects};
use super::masks;
use super::program::{Program, private_file, private_folder, require_files};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::infrastructure::{InfrastructureState, PlannedChanges};
use crate::spec::InfrastructureSpec;

/// A release in a namespace of a cluster.
pub(super) struct Helm {
    spec: InfrastructureSpec,
    release: String,
    chart: String,
    /// `--namespace` and `--kube-context`.
    place: Vec<String>,
    program: Program,
}

/// What is there of a release.
struct Deployed {
    objects: Objects,
    /// Why what is there may not be what the manifest says.
    incomplete: Option<String>,
}

impl Helm {
    pub(super) fn new(spec: &InfrastructureSpec, folder: &Path) -> Result<Self> {
        let (Some(release), Some(chart), Some(namespace), Some(context)) =
            (&spec.release, &spec.chart, &spec.namespace, &spec.context)
        else {
            return Err(Error::internal("a spec of helm was not checked"));
        };
        Ok(Self {
            release: release.clone(),
            chart: chart.clone(),
            place: vec![
                format!("--namespace={namespace}"),
                format!("--kube-context={context}"),
            ],
            program: Program::new(spec, folder),
            spec: spec.clone(),
        })
    }

    pub(super) fn name(&self) -> String {
        format!("helm {}", self.place())
    }

    /// The context, the namespace and the release.
    fn place(&self) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!(
            "context {} namespace {} release {}",
            text(&self.spec.context),
            text(&self.spec.namespace),
            self.release
        )
    }

    /// The command line by which a person sees what is there. Helm shows no difference by itself.
    pub(super) fn by_hand(&self) -> String {
        let words = [&["get", "manifest"][..], &[&self.release]].concat();
        let words = words.into_iter().map(ToOwned::to_owned);
        let words: Vec<String> = words.chain(self.place.iter().cloned()).collect();
        self.program.by_hand(&words)
    }

    /// A kind and a name without what may not be shown.
    fn masked(&self, address: &str) -> String {
        masks::name(address, " ", |name| self.program.redaction().line(name))
    }

    async fn prepare(&self, ctx: &Ctx) -> Result<String> {
        let folder = self.program.folder();
        require_files(folder, "values", &self.spec.values)?;
        let local = ["./", "../", "/"].iter().any(|p| self.chart.starts_with(p));
        if local && !folder.join(&self.chart).exists() {
            return Err(Error::refused(format!(
                "chart: there is no {}",
                folder.join(&self.chart).display()
            )));
        }
        self.program.version(ctx).await
    }

    /// The arguments that every command about the release has.
    fn about<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = words.to_vec();
        arguments.push(&self.release);
        arguments.extend(self.place.iter().map(String::as_str));
        arguments
    }

    pub(super) async fn look(&self, ctx: &Ctx) -> Result<InfrastructureState> {
        let version = self.prepare(ctx).await?;
        let deployed = self.deployed(ctx, &version).await?;
        Ok(InfrastructureState {
            tool: self.spec.tool,
            version,
            workspace: self.place(),
            addresses: deployed
                .objects
                .keys()
                .map(|key| self.masked(&key.address()))
                .collect(),
        })
    }

    /// What the last revision of the release made, as far as it is still there; nothing if there is no
    /// release.
    async fn deployed(&self, ctx: &Ctx, version: &str) -> Result<Deployed> {
        let nothing = Deployed {
            objects: Objects::new(),
            incomplete: None,
        };
        let mut arguments = self.about(&["history"]);
        arguments.extend(["--max=1", "--output=json"]);
        let (finished, data) = self.program.ask(ctx, &arguments).await?;
        if finished.code != 0 {
            if finished.stderr_tail.contains("release: not found") {
                return Ok(nothing);
            }
            return Err(self.program.failed(&arguments, &finished));
        }
        let history: Vec<Revision> = self.program.json(&arguments, &data)?;
        let Some(last) = history.into_iter().max_by_key(|r| r.revision) else {
            return Ok(nothing);
        };
        if last.status == "uninstalled" {
            return Ok(nothing);
        }
        if last.status.starts_with("pending") || last.status == "uninstalling" {
            return Err(self.at_work(&last));
        }
        let revision = format!("--revision={}", last.revision);
        let mut arguments = self.about(&["get", "manifest"]);
        arguments.push(&revision);
        let text = self.program.read(ctx, &arguments).await?;
        let mut objects = manifests::read("the manifest of the release", &text)?;
        let there = self.there(ctx, version).await?;
        objects.retain(|key, _| there.iter().any(|object| key.is_of(object)));
        Ok(Deployed {
            objects,
            incomplete: (last.status != "deployed")
                .then(|| format!("revision {} is {}", last.revision, last.status)),
        })
    }

    /// The objects of the release that are in the cluster.
    async fn there(&self, ctx: &Ctx, version: &str) -> Result<Vec<Value>> {
        let mut arguments = self.about(&["status"]);
        arguments.push("--output=json");
        if is_before_4(version) {
            arguments.push("--show-resources");
        }
        let status: Status = self.program.read_json(ctx, &arguments).await?;
        Ok(status.info.resources.into_values().flatten().collect())
    }

    fn at_work(&self, last: &Revision) -> Error {
        Error::refused(format!(
            "{}: another operation is at work on it: revision {} is {} since {}",
            self.name(),
            last.revision,
            last.status,
            last.updated
        ))
        .hint(format!(
            "wait for it to end; if whoever began it is gone for certain, run helm rollback {} by \
             hand",
            self.release
        ))
    }

    /// The arguments that say what is to be there; values are in files.
    fn wanted(&self, values: Option<&str>) -> Vec<String> {
        let mut arguments = vec!["--install".to_owned()];
        let version = self.spec.chart_version.iter();
        arguments.extend(version.map(|v| format!("--version={v}")));
        let files = self.spec.values.iter().map(String::as_str).chain(values);
        arguments.extend(files.map(|f| format!("--values={f}")));
        arguments
    }

    /// The values of the spec, in a file of `folder`.
    fn values(&self, folder: &Path) -> Result<Option<String>> {
        if self.spec.variables.is_empty() {
            return Ok(None);
        }
        let values = self
            .spec
            .variables
            .iter()
            .map(|(k, v)| (k.clone(), v.0.clone()));
        // JSON is YAML.
        let text = Value::Object(values.collect()).to_string();
        private_file(folder, "values.yaml", text.as_bytes()).map(Some)
    }

    pub(super) async fn plan(&self, ctx: &Ctx) -> Result<InfrastructurePlan> {
        let version = self.prepare(ctx).await?;
        ctx.events.info(format!("{} is planned", self.name()));
        let deployed = self.deployed(ctx, &version).await?;
        let files = private_folder()?;
        let values = self.values(files.path())?;
        let wanted = self.wanted(values.as_deref());
        let mut arguments = self.about(&["upgrade"]);
        arguments.push(&self.chart);
        arguments.extend(wanted.iter().map(String::as_str));
        arguments.extend(["--dry-run=server", "--output=json"]);
        let rendered: Rendered = self.program.read_json(ctx, &arguments).await?;
        let objects = manifests::read("the rendered chart", &rendered.manifest)?;
        let (changes, mut hashed, unchanged) =
            manifests::compare(&deployed.objects, &objects, deployed.incomplete.as_deref());
        let hooks: Vec<String> = rendered.hooks.iter().map(Hook::line).collect();
        hashed.push(json!(
            rendered
                .hooks
                .iter()
                .map(|h| &h.manifest)
                .collect::<Vec<_>>()
        ));
        let workspace = self.place();
        let about = json!([self.spec.tool, &workspace]);
        let mut changes = PlannedChanges {
            tool: self.spec.tool,
            version,
            new_workspace: false,
            targets: Vec::new(),
            outputs: Vec::new(),
            unchanged,
            digest: digest(&about, &hashed),
            changes,
            workspace,
        };
        masks::resources(&mut changes, |address| self.masked(address));
        let lines = changes.lines().into_iter().chain(hooks);
        let lines = lines.map(|l| self.program.redaction().line(&l));
        Ok(InfrastructurePlan {
            text: lines.collect::<Vec<_>>().join("\n"),
            changes,
            saved: values.unwrap_or_default(),
            files,
        })
    }

    /// Upgrades, or installs, and goes back by itself if the objects do not become ready.
    pub(super) async fn apply(&self, ctx: &Ctx, plan: &InfrastructurePlan) -> Result<()> {
        let values = Some(plan.saved.as_str()).filter(|v| !v.is_empty());
        let wanted = self.wanted(values);
        // Helm is to end by itself before it is ended.
        let timeout = format!(
            "--timeout={}s",
            self.spec.timeout.0.as_secs().saturating_sub(5).max(1)
        );
        let mut arguments = self.about(&["upgrade"]);
        arguments.push(&self.chart);
        arguments.extend(wanted.iter().map(String::as_str));
        arguments.push(going_back(&plan.changes.version));
        arguments.extend(["--wait", &timeout]);
        self.program.run_ok(ctx, &arguments).await
    }
}

/// The flag that makes helm go back when an upgrade fails.
fn going_back(version: &str) -> &'static str {
    match is_before_4(version) {
        true => "--atomic",
        false => "--rollback-on-failure",
    }
}

fn is_before_4(version: &str) -> bool {
    let major = version.split('.').next();
    let major = major.and_then(|m| m.parse::<u32>().ok());
    major.is_some_and(|major| major < 4)
}

/// What `status` prints of a release.
#[derive(Deserialize)]
struct Status {
    info: Info,
}

/// The objects that there are, by version and kind.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    resources: BTreeMap<String, Vec<Value>>,
}

/// A line of `history`.
#[derive(Deserialize)]
struct Revision {
    revision: u64,
    updated: String,
    status: String,
}

/// What a dry run prints of the release that it would make.
#[derive(Deserialize)]
struct Rendered {
    #[serde(default)]
    manifest: String,
    #[serde(default)]
    hooks: Vec<Hook>,
}

#[derive(Deserialize)]
struct Hook {
    name: String,
    kind: String,
    #[serde(default)]
    manifest: String,
    #[serde(default)]
    events: Vec<String>,
}

impl Hook {
    fn line(&self) -> String {
        format!(
            "hook {} {} ({})",
            self.kind,
            self.name,
            self.events.join(", ")
        )
    }
}
