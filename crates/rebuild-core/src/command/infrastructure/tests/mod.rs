//! Real tools where a machine without a cloud can run them, and scripts that stand for the rest.

mod helm;
mod scripts;
mod terraform;
mod trouble;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Infrastructure, InfrastructurePlan, Leeway};
use crate::event::{Collected, Ctx, EventKind, Events, Sink};
use crate::model::RunId;
use crate::spec::{InfrastructureSpec, InfrastructureTool};

/// A value that must be seen nowhere.
const MARK: &str = "tr0ub4dor-\"3-mark";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(dir: &TempDir, name: &str, text: &str) {
    std::fs::write(dir.path().join(name), text).expect(name);
}

/// A program of the test, in the folder it runs in.
fn program(dir: &TempDir, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.path().join(name);
    // Written under another name: a file that is still open for writing somewhere cannot be run.
    std::fs::write(path.with_extension("new"), format!("#!/bin/sh\n{text}")).expect(name);
    std::fs::set_permissions(
        path.with_extension("new"),
        std::fs::Permissions::from_mode(0o755),
    )
    .expect(name);
    std::fs::rename(path.with_extension("new"), path).expect(name);
}

/// The real terraform.
fn terraform() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| program_of("terraform", "terraform"))
}

fn real_helm() -> String {
    program_of("kubernetes-tools", "helm")
}

fn program_of(script: &str, name: &str) -> String {
    let path = crate::testing::programs_of(script).join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn made(dir: &TempDir, spec: &str) -> Infrastructure {
    let spec = format!("name='x'\n{spec}");
    let mut spec: InfrastructureSpec = toml::from_str(&spec).expect(&spec);
    if spec.tool == InfrastructureTool::Terraform && spec.program.is_none() {
        spec.program = Some(terraform().to_owned());
    }
    Infrastructure::new(&spec, dir.path()).expect("a spec that fits")
}

async fn planned(tool: &Infrastructure) -> InfrastructurePlan {
    tool.plan(&Ctx::quiet()).await.expect("a plan")
}

fn watched() -> (Ctx, Arc<Collected>) {
    let seen = Arc::new(Collected::default());
    let events = Events::new(None, vec![seen.clone() as Arc<dyn Sink>]);
    (Ctx::new(RunId::generate(), events), seen)
}

/// The lines that programs printed.
fn output(seen: &Collected) -> Vec<String> {
    let events = seen.events().into_iter();
    let lines = events.filter_map(|e| match e.kind {
        EventKind::Output { program, line } => Some(format!("{program}: {line}")),
        _ => None,
    });
    lines.collect()
}

/// What was noted.
fn notes(seen: &Collected) -> Vec<String> {
    let events = seen.events().into_iter();
    let notes = events.filter_map(|e| match e.kind {
        EventKind::Note { message, .. } => Some(message),
        _ => None,
    });
    notes.collect()
}

/// Waits until the file is there with a whole line, and returns it.
async fn written(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(
            Instant::now() < deadline,
            "{} was not written",
            path.display()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// True while the process runs; one that waits to be reaped does not.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}
