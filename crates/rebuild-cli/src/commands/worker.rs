//! `worker`.

use std::time::Duration;

use rebuild_core::project::{Addresses, Project};
use rebuild_core::work::WorkId;
use rebuild_core::{Result, Secret};

use crate::args::DatabaseArgs;
use crate::exit::Code;
use crate::keep;
use crate::output::Output;

pub(super) async fn worker(
    project: &Project,
    (work, index, wait): (Option<WorkId>, Option<u32>, Duration),
    databases: DatabaseArgs,
    output: &Output,
) -> Result<Code> {
    let given = |url: Option<String>| {
        url.map(|url| {
            keep::warn_of_password(&url, output);
            Secret::new(url)
        })
    };
    let addresses = Addresses {
        verify_with: given(databases.with),
        copy_source: given(databases.source),
        copy_target: given(databases.target),
    };
    let done = project.work(work, index, wait, &addresses).await?;
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
