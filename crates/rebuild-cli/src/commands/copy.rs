//! `copy`.

use std::path::Path;

use rebuild_core::Result;
use rebuild_core::postgres::Environment;
use rebuild_core::project;

use super::backups::{checks, code};
use crate::exit::Code;
use crate::keep;
use crate::output::Output;

pub(super) async fn copy(
    source: &str,
    target: &str,
    maintenance: &str,
    folder: Option<&Path>,
    output: &Output,
) -> Result<Code> {
    for url in [source, target] {
        keep::warn_of_password(url, output);
    }
    let environment = Environment::from_process();
    let source = environment.endpoint(source, false)?;
    let target = environment.endpoint(target, false)?;
    let stop = crate::signals::stop_token();
    let (db, verdict) = project::copy(
        &source,
        &target,
        maintenance,
        folder,
        &environment,
        output.events(),
        stop,
    )
    .await?;
    output.data(&(&db, &verdict), |(db, verdict)| {
        format!("copied {} into {db}\n", source.describe()) + &checks(verdict)
    });
    Ok(code(&verdict))
}
