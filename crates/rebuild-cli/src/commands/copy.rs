//! `copy`.

use std::path::Path;

use rebuild_core::Result;
use rebuild_core::model::{Identity, Verdict};
use rebuild_core::postgres::Environment;
use rebuild_core::project::{self, Project, Sharing};

use super::backups::{code, compared};
use crate::exit::Code;
use crate::keep;
use crate::output::Output;

pub(super) async fn copy(
    (source, target): (&str, &str),
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
    Ok(told(&source.describe(), &db, &verdict, output))
}

/// The same, with rows that workers bring.
pub(super) async fn copy_shared(
    project: &Project,
    (source, target): (&str, &str),
    maintenance: &str,
    sharing: &Sharing,
    output: &Output,
) -> Result<Code> {
    for url in [source, target] {
        keep::warn_of_password(url, output);
    }
    let (db, verdict) = project
        .copy_shared(source, target, maintenance, sharing)
        .await?;
    let source = Environment::from_process().endpoint(source, false)?;
    Ok(told(&source.describe(), &db, &verdict, output))
}

fn told(source: &str, db: &Identity, verdict: &Verdict, output: &Output) -> Code {
    output.data(&(db, verdict), |(db, verdict)| {
        format!("copied {source} into {db}\n") + &compared(db, verdict)
    });
    code(verdict)
}
