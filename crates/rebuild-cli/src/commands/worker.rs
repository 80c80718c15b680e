//! `worker`.

use std::time::Duration;

use rebuild_core::Result;
use rebuild_core::project::Project;
use rebuild_core::work::WorkId;

use crate::exit::Code;
use crate::output::Output;

pub(super) async fn worker(
    project: &Project,
    work: Option<WorkId>,
    index: Option<u32>,
    wait: Duration,
    output: &Output,
) -> Result<Code> {
    let done = project.work(work, index, wait).await?;
    output.data(&done, |done| {
        let how = if done.counts {
            "done"
        } else {
            "was done already"
        };
        format!("share {} of {} {how}\n", done.index, done.work)
    });
    Ok(Code::Done)
}
