//! `runs list` and `runs show`.

use std::fmt::Write as _;

use rebuild_core::Result;
use rebuild_core::journal::RunSummary;
use rebuild_core::project::Project;

use crate::args::Runs;
use crate::exit::Code;
use crate::output::Output;
use crate::progress::seconds_text;

pub(super) async fn runs(project: &Project, command: Runs, output: &Output) -> Result<Code> {
    match command {
        Runs::List => {
            let runs = project.runs().await?;
            output.data(&runs, |runs| runs.iter().map(line).collect());
        }
        Runs::Show { run } => {
            let run = project.run_or_newest(run).await?;
            let summary = project.show_run(&run).await?;
            output.data(&summary, show);
        }
    }
    Ok(Code::Done)
}

pub(super) fn line(run: &RunSummary) -> String {
    format!("{}  {}  {}\n", run.id, run.began, run.state_text())
}

fn show(run: &RunSummary) -> String {
    let mut out = line(run);
    for step in &run.steps {
        let time = step.seconds.map_or_else(|| "-".to_owned(), seconds_text);
        let status = step
            .status
            .map_or_else(|| "not begun".to_owned(), |s| s.to_string());
        let _ = writeln!(out, "  {:<24} {status:<12} {time}", step.id);
        if let Some(error) = &step.error {
            let _ = writeln!(out, "      {error}");
        }
    }
    out
}
