//! The Python programs that examples and tests of migration tools run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Error, ErrorKind, Result};

/// The folder with `python`, `alembic`, `django-admin` and `dbmate`, installed on the first call
/// into this repository's `target/` by `scripts/python-env`.
///
/// # Errors
/// There is no Python, or the packages could not be installed.
pub async fn python_env() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-env");
    let output = Command::new(&script).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        return Err(Error::new(
            ErrorKind::Program,
            format!(
                "{} ended with {}: {}",
                script.display(),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        ));
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim_end(),
    ))
}
