//! `plan`, `run`, `resume`, `rollback`, `purge`.

use std::fmt::Write as _;
use std::path::Path;

use rebuild_core::engine::Report;
use rebuild_core::model::RunId;
use rebuild_core::plan::Plan;
use rebuild_core::project::Project;
use rebuild_core::{Error, ErrorKind, Result};

use crate::exit::Code;
use crate::output::Output;
use crate::progress::seconds_text;

pub(super) async fn plan(
    project: &Project,
    out: Option<&Path>,
    drift: bool,
    output: &Output,
) -> Result<Code> {
    let plan = project.plan(drift).await?;
    if let Some(path) = out {
        crate::keep::file(path, &plan.to_json()?).map_err(|e| {
            Error::new(
                ErrorKind::Io,
                format!("could not write the plan to {}", path.display()),
            )
            .caused_by(e)
        })?;
    }
    output.data(&plan, Plan::render);
    Ok(if plan.refusals.is_empty() {
        Code::Done
    } else {
        Code::Refused
    })
}

pub(super) async fn run(
    project: &Project,
    plan: Option<&Path>,
    confirm: Option<&str>,
    output: &Output,
) -> Result<Code> {
    let plan = match plan {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|e| {
                Error::usage(format!("could not read the plan {}", path.display())).caused_by(e)
            })?;
            Some(Plan::from_json(&bytes)?)
        }
        None => None,
    };
    let report = project.run(plan.as_ref(), confirm).await?;
    Ok(show(&report, output))
}

pub(super) async fn resume(project: &Project, run: Option<RunId>, output: &Output) -> Result<Code> {
    let run = project.run_or_newest(run).await?;
    Ok(show(&project.resume(&run).await?, output))
}

pub(super) async fn rollback(
    project: &Project,
    run: Option<RunId>,
    confirm: Option<&str>,
    accept_writes: bool,
    output: &Output,
) -> Result<Code> {
    let run = project.run_or_newest(run).await?;
    let report = project.rollback(&run, confirm, accept_writes).await?;
    show(&report, output);
    // Going back is what was asked for here, so having gone back is success.
    Ok(match Code::of_report(&report) {
        Code::RolledBack => Code::Done,
        code => code,
    })
}

pub(super) async fn purge(
    project: &Project,
    run: Option<RunId>,
    confirm: Option<&str>,
    now: bool,
    output: &Output,
) -> Result<Code> {
    let run = project.run_or_newest(run).await?;
    let destroyed = project.purge(&run, confirm, now).await?;
    output.data(&destroyed, |name| match name {
        Some(name) => format!("destroyed {name:?}, which {run} had set aside\n"),
        None => format!("nothing of {run} is left to destroy\n"),
    });
    Ok(Code::Done)
}

fn show(report: &Report, output: &Output) -> Code {
    let advised = |text: &String| output.advice(text);
    let report = Report {
        hint: report.hint.as_ref().map(advised),
        left: report.left.iter().map(advised).collect(),
        next: report.next.as_ref().map(advised),
        ..report.clone()
    };
    output.data(&report, text);
    Code::of_report(&report)
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {} after {}",
        report.run,
        report.ending,
        seconds_text(report.seconds)
    );
    if let Some(error) = &report.error {
        let _ = writeln!(out, "  because: {error}");
    }
    if let Some(ms) = report.shut_out_ms {
        let _ = writeln!(out, "  new sessions were held off for {ms} ms");
    }
    for line in report.notes.iter().chain(&report.left) {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(hint) = &report.hint {
        let _ = writeln!(out, "\nhint: {hint}");
    }
    if let Some(next) = &report.next {
        let _ = writeln!(out, "\nnext: {next}");
    }
    out
}
