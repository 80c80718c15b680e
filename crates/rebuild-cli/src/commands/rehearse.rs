//! `run --rehearse`.

use std::fmt::Write as _;

use rebuild_core::Result;
use rebuild_core::journal::Ending;
use rebuild_core::plan::RehearsalName;
use rebuild_core::project::{Project, Rehearsal};

use crate::exit::Code;
use crate::output::Output;
use crate::progress::seconds_text;

pub(super) async fn rehearse(
    project: &Project,
    name: &RehearsalName,
    output: &Output,
) -> Result<Code> {
    let rehearsal = Box::pin(project.rehearse(name)).await?;
    output.data(&rehearsal, |r| output.advice(&text(r)));
    Ok(Code::of_ending(rehearsal.ending))
}

fn text(rehearsal: &Rehearsal) -> String {
    let mut out = String::new();
    let how = match rehearsal.ending {
        Ending::Done => "went through",
        Ending::Stuck => "left something behind",
        Ending::RolledBack | Ending::Halted => "failed",
    };
    let (name, took) = (&rehearsal.name, seconds_text(rehearsal.seconds));
    let _ = writeln!(out, "rehearsal {name} {how} after {took}");
    if let Some(error) = &rehearsal.error {
        let _ = writeln!(out, "  because: {error}");
    }
    if let Some(ms) = rehearsal.shut_out_ms {
        let _ = writeln!(out, "  new sessions would have been held off for {ms} ms");
    }
    if !rehearsal.steps.is_empty() {
        let _ = writeln!(out, "\nSteps");
    }
    for step in &rehearsal.steps {
        let took = step.seconds.map_or_else(|| "-".to_owned(), seconds_text);
        let _ = writeln!(out, "  {:<32} {took}", step.id);
        if let Some(error) = &step.error {
            let _ = writeln!(out, "      {error}");
        }
    }
    for (title, lines) in [
        ("Not rehearsed", &rehearsal.not_rehearsed),
        ("In the way of the run itself", &rehearsal.in_the_way),
        ("Made, and gone again", &rehearsal.gone),
        ("Left behind", &rehearsal.left),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
        }
        for line in lines {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(hint) = &rehearsal.hint {
        let _ = writeln!(out, "\nhint: {hint}");
    }
    if let Some(next) = &rehearsal.next {
        let _ = writeln!(out, "\nnext: {next}");
    }
    out
}
