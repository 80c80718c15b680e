//! `init`.

use std::path::Path;

use rebuild_core::postgres::Environment;
use rebuild_core::project;
use rebuild_core::{Error, ErrorKind, Result, shell_word};

use crate::exit::Code;
use crate::output::Output;

pub(super) async fn init(
    file: &Path,
    url: Option<String>,
    store: Option<String>,
    output: &Output,
) -> Result<Code> {
    if file.exists() {
        return Err(Error::refused(format!("{} exists already", file.display()))
            .hint("give another name with --file"));
    }
    let environment = Environment::from_process();
    let url = url.unwrap_or_default();
    crate::keep::warn_of_password(&url, output);
    let endpoint = environment.endpoint(&url, false)?;
    let store = store.unwrap_or_else(|| "rebuild-store".to_owned());
    let text = project::template(&endpoint, url.is_empty(), &store).await?;
    std::fs::write(file, &text).map_err(|e| {
        Error::new(ErrorKind::Io, format!("could not write {}", file.display())).caused_by(e)
    })?;
    output.data(&file.display().to_string(), |file| {
        format!(
            "wrote {file}\n\nnext: read it, then: rebuild -f {} plan\n",
            shell_word(file)
        )
    });
    Ok(Code::Done)
}
