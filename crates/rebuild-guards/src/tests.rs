//! The tests of the copy: which there are, and in which program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The program that has it.
    pub program: PathBuf,
    /// The folder that it runs in: that of its package.
    pub folder: PathBuf,
    /// Its name, with its modules.
    pub name: String,
}

/// The packages with the tests of guards.
const PACKAGES: [&str; 3] = ["rebuild-core", "rebuild-cli", "rebuild-chaos"];

/// Builds the tests of the copy in `folder`, and lists them.
///
/// # Errors
///
/// What the compiler says.
pub fn build(folder: &Path, target: &Path) -> Result<Vec<Test>, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--tests", "--all-features"]);
    cargo.args(PACKAGES.map(|package| format!("--package={package}")));
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.env("CARGO_TARGET_DIR", target).current_dir(folder);
    // A switch is in the way of the lints.
    cargo.env("CARGO_TERM_QUIET", "true").stderr(Stdio::piped());
    let out = cargo.output().map_err(|e| format!("cargo: {e}"))?;
    if !out.status.success() {
        return Err(errors(&String::from_utf8_lossy(&out.stderr)));
    }
    let mut tests = Vec::new();
    for (program, folder) in String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(program)
    {
        tests.extend(listed(&program, &folder)?);
    }
    Ok(tests)
}

/// The errors among what the compiler says, without its warnings.
fn errors(said: &str) -> String {
    let parts = said.split("\n\n").filter(|part| part.contains("error"));
    parts.collect::<Vec<_>>().join("\n\n")
}

/// The program of tests that a line of cargo is about, and the folder of its package.
fn program(line: &str) -> Option<(PathBuf, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let program = message["executable"].as_str()?;
    let manifest = Path::new(message["manifest_path"].as_str()?);
    Some((program.into(), manifest.parent()?.into()))
}

fn listed(program: &Path, folder: &Path) -> Result<Vec<Test>, String> {
    let out = Command::new(program)
        .args(["--list", "--format", "terse"])
        .current_dir(folder)
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let names = String::from_utf8_lossy(&out.stdout);
    let names = names.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names
        .map(|name| Test {
            program: program.into(),
            folder: folder.into(),
            name: name.into(),
        })
        .collect())
}

/// Those of `tests` that `name` means: the last part of their name, with or without modules before it.
pub fn named<'a>(tests: &'a [Test], name: &str) -> Vec<&'a Test> {
    let ending = format!("::{name}");
    let means = |test: &&Test| test.name == name || test.name.ends_with(&ending);
    tests.iter().filter(means).collect()
}
