//! Running the program of a tool: the right one, with nothing to ask it, and with secrets hidden.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::output::Redaction;
use super::super::run::{Manner, failed, run_as};
use super::super::{Finished, Invocation, folder_of, pairs};
use super::locks;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ctx, Events};
use crate::secret::Secret;
use crate::spec::{InfrastructureSpec, InfrastructureTool};

/// How long a program that is asked to end may take to finish what it has begun and to write down
/// what it did: what a tool killed at once has made, it would not know of.
const GRACE: Duration = Duration::from_secs(60);

/// How long a question about the program itself may take.
const A_MINUTE: Duration = Duration::from_secs(60);

/// The most that is read of what a program prints as data.
const MOST: usize = 256 * 1024 * 1024;

/// Texts shorter than this are not hidden in what a program prints: they would be found everywhere,
/// and hide what matters.
const SHORTEST_HIDDEN: usize = 4;

/// The program of a tool, as the spec says that it is run.
#[derive(Clone)]
pub(super) struct Program {
    tool: InfrastructureTool,
    path: String,
    folder: PathBuf,
    env: Vec<(String, String)>,
    secret_env: Vec<(String, Secret)>,
    redaction: Redaction,
    limit: Duration,
}

impl Program {
    /// The program that `spec` names; `folder` is the spec's own folder.
    pub(super) fn new(spec: &InfrastructureSpec, folder: &Path) -> Self {
        let hidden = hidden(spec);
        Self {
            tool: spec.tool,
            path: spec
                .program
                .clone()
                .unwrap_or_else(|| spec.tool.program().to_owned()),
            folder: folder_of(folder, Some(&spec.folder)),
            env: pairs(&spec.env),
            secret_env: Vec::new(),
            redaction: Redaction::new(&hidden),
            limit: spec.timeout.0,
        }
    }

    /// The same program with one more variable.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same program with one more variable, whose value must not show.
    pub(super) fn with_secret(mut self, name: String, value: String) -> Self {
        self.secret_env.push((name, Secret::new(value)));
        self
    }

    /// The program, as the spec names it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The folder it runs in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What of its output is not shown.
    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Runs it to its end and shows what it prints. Any exit code is taken.
    pub(super) async fn run(&self, ctx: &Ctx, arguments: &[&str]) -> Result<Finished> {
        let done = run_as(ctx, &self.invocation(arguments), &self.manner(None)).await;
        done.map(|(finished, _)| finished)
    }

    /// Runs it, shows what it prints, and takes no exit code but 0.
    pub(super) async fn run_ok(&self, ctx: &Ctx, arguments: &[&str]) -> Result<()> {
        let finished = self.run(ctx, arguments).await?;
        match finished.code {
            0 => Ok(()),
            _ => Err(self.failed(arguments, &finished)),
        }
    }

    /// Runs it for the data that it prints, which is not shown. Any exit code is taken.
    pub(super) async fn ask(&self, ctx: &Ctx, arguments: &[&str]) -> Result<(Finished, Vec<u8>)> {
        let unheard = Ctx {
            events: Events::none(),
            ..ctx.clone()
        };
        run_as(
            &unheard,
            &self.invocation(arguments),
            &self.manner(Some(MOST)),
        )
        .await
    }

    /// Runs it for the data that it prints, which is not shown, and takes no exit code but 0.
    pub(super) async fn read(&self, ctx: &Ctx, arguments: &[&str]) -> Result<String> {
        let (finished, data) = self.ask(ctx, arguments).await?;
        if finished.code != 0 {
            return Err(self.failed(arguments, &finished));
        }
        String::from_utf8(data).map_err(|e| {
            let name = self.name(arguments);
            Error::new(ErrorKind::Program, format!("{name} printed no UTF-8")).caused_by(e)
        })
    }

    /// Runs it for JSON.
    pub(super) async fn read_json<T: serde::de::DeserializeOwned>(
        &self,
        ctx: &Ctx,
        arguments: &[&str],
    ) -> Result<T> {
        let text = self.read(ctx, arguments).await?;
        self.json(arguments, text.as_bytes())
    }

    /// Reads the JSON that it printed.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        arguments: &[&str],
        data: &[u8],
    ) -> Result<T> {
        serde_json::from_slice(data).map_err(|e| {
            // serde's message may quote a value.
            Error::new(
                ErrorKind::Program,
                format!(
                    "{} printed no JSON that is understood, at line {} column {}",
                    self.name(arguments),
                    e.line(),
                    e.column()
                ),
            )
            .hint("the version of the tool may be newer than this program knows")
        })
    }

    /// The error for an exit code that is not wanted: a refusal if the state is locked.
    pub(super) fn failed(&self, arguments: &[&str], finished: &Finished) -> Error {
        let name = self.name(arguments);
        [&finished.stderr_tail, &finished.stdout_tail]
            .into_iter()
            .find_map(|tail| locks::refusal(&name, tail))
            .unwrap_or_else(|| failed(&self.invocation(arguments), finished))
    }

    /// The version, once it is certain that the program is the tool that the spec names.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if it is another program.
    pub(super) async fn version(&self, ctx: &Ctx) -> Result<String> {
        let arguments: &[&str] = match self.tool {
            InfrastructureTool::Helm => &["version", "--template", "{{.Version}} {{.GoVersion}}"],
            _ => &["version"],
        };
        let brief = Self {
            limit: self.limit.min(A_MINUTE),
            ..self.clone()
        };
        let (finished, said) = brief.ask(ctx, arguments).await?;
        let said = String::from_utf8_lossy(&said);
        let version = said.lines().find_map(|line| version_in(self.tool, line));
        match version {
            Some(version) if finished.code == 0 => Ok(version),
            _ => Err(self.other(&said, &finished)),
        }
    }

    fn other(&self, said: &str, finished: &Finished) -> Error {
        let first = said.lines().find(|l| !l.trim().is_empty());
        let first = first.unwrap_or(&finished.stderr_tail);
        let first = first.lines().next().unwrap_or("nothing");
        Error::refused(format!(
            "{} is not {}: asked for its version it said {:?} (exit code {})",
            self.path,
            full_name(self.tool),
            self.redaction.line(first),
            finished.code
        ))
        .hint(format!(
            "install {}, give its path as program, or name the tool that is meant",
            self.tool
        ))
    }

    /// What it is called in events and errors: the tool and what it is to do.
    fn name(&self, arguments: &[&str]) -> String {
        let grouped = matches!(arguments.first(), Some(&("workspace" | "stack" | "get")));
        let words = arguments.iter().take_while(|a| !a.starts_with('-'));
        let words: Vec<&str> = words.take(1 + usize::from(grouped)).copied().collect();
        format!("{} {}", self.tool, words.join(" "))
    }

    fn invocation(&self, arguments: &[&str]) -> Invocation {
        let mut argv = vec![self.path.clone()];
        argv.extend(arguments.iter().map(|a| (*a).to_owned()));
        Invocation {
            name: self.name(arguments),
            argv,
            env: self.env.clone(),
            secret_env: self.secret_env.clone(),
            cwd: self.folder.clone(),
            limit: self.limit,
        }
    }

    fn manner(&self, capture: Option<usize>) -> Manner {
        Manner {
            redaction: self.redaction.clone(),
            grace: GRACE,
            capture,
        }
    }
}

fn full_name(tool: InfrastructureTool) -> &'static str {
    match tool {
        InfrastructureTool::Tofu => "OpenTofu",
        InfrastructureTool::Terraform => "Terraform",
        InfrastructureTool::Pulumi => "Pulumi",
        InfrastructureTool::Helm => "Helm",
    }
}

/// The version, if `line` is how the tool, and none of the others, tells it.
fn version_in(tool: InfrastructureTool, line: &str) -> Option<String> {
    let line = line.trim();
    let version = match tool {
        InfrastructureTool::Tofu => line.strip_prefix("OpenTofu v")?,
        InfrastructureTool::Terraform => line.strip_prefix("Terraform v")?,
        InfrastructureTool::Pulumi => line.strip_prefix('v')?,
        InfrastructureTool::Helm => line.strip_prefix('v')?.split_once(" go1.")?.0,
    };
    let numbers = version.split(['-', '+']).next()?.split('.');
    let numbers: Vec<&str> = numbers.collect();
    let all = numbers.len() == 3 && numbers.iter().all(|n| n.parse::<u64>().is_ok());
    all.then(|| version.to_owned())
}

/// The texts among the values of variables, as they are and as JSON has them.
fn hidden(spec: &InfrastructureSpec) -> Vec<Secret> {
    let mut texts = Vec::new();
    for variable in spec.variables.values() {
        collect(&variable.0, &mut texts);
    }
    texts.into_iter().map(Secret::new).collect()
}

fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.len() >= SHORTEST_HIDDEN => {
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            texts.push(text.clone());
            texts.push(quoted[1..quoted.len() - 1].to_owned());
        }
        serde_json::Value::Array(values) => values.iter().for_each(|v| collect(v, texts)),
        serde_json::Value::Object(members) => members.values().for_each(|v| collect(v, texts)),
        _ => {}
    }
}

/// Writes a file that the owner alone may read, and returns its path.
pub(super) fn private_file(folder: &Path, name: &str, contents: &[u8]) -> Result<String> {
    let path = folder.join(name);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(contents));
    written.map_err(|e| {
        Error::new(ErrorKind::Io, format!("could not write {}", path.display())).caused_by(e)
    })?;
    path.into_os_string()
        .into_string()
        .map_err(|_| Error::usage("the folder for temporary files has a name that is no UTF-8"))
}

/// A folder that the owner alone may enter, and that goes with the value.
pub(super) fn private_folder() -> Result<tempfile::TempDir> {
    crate::private::folder().map_err(|e| {
        Error::new(ErrorKind::Io, "could not make a folder for temporary files").caused_by(e)
    })
}

/// Refuses a spec that names a file which is not there.
pub(super) fn require_files(folder: &Path, key: &str, files: &[String]) -> Result<()> {
    let missing = files.iter().find(|f| !folder.join(f).is_file());
    missing.map_or(Ok(()), |file| {
        Err(Error::refused(format!(
            "{key}: there is no file {}",
            folder.join(file).display()
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_told_from_the_others_by_what_it_says() {
        let lines = [
            (InfrastructureTool::Tofu, "OpenTofu v1.8.0", "1.8.0"),
            (InfrastructureTool::Terraform, "Terraform v1.11.4", "1.11.4"),
            (
                InfrastructureTool::Pulumi,
                "v3.140.0-alpha.x123",
                "3.140.0-alpha.x123",
            ),
            (InfrastructureTool::Helm, "v4.1.4 go1.25.9", "4.1.4"),
        ];
        for (tool, line, version) in lines {
            for (other, _, _) in lines {
                let expected = (tool == other).then_some(version);
                assert_eq!(
                    version_in(other, line).as_deref(),
                    expected,
                    "{other}: {line}"
                );
            }
        }
        assert_eq!(version_in(InfrastructureTool::Pulumi, "v3"), None);
    }
}
