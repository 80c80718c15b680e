//! Manifests: files of YAML with objects in them.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result, clean};

/// The documents of a manifest, as they stand there.
///
/// # Errors
/// Wrong input: it cannot be read, or is no YAML.
pub(super) fn documents(file: &Path) -> Result<Vec<Value>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|e| Error::usage(format!("could not read the manifest {shown}")).caused_by(e))?;
    serde_saphyr::from_multiple(&text).map_err(|e| {
        Error::usage(format!(
            "the manifest {shown} is not YAML: {}",
            clean(&e.to_string())
        ))
    })
}
