//! The project of Google Cloud that a spec names.

use super::Project;
use crate::error::Result;
use crate::google::{Endpoints, Google, GoogleAddress};
use crate::spec::Spec;

/// Finds the credentials, if the spec names a project.
///
/// # Errors
/// They cannot be read; an address of an API cannot be used.
pub(super) fn open(spec: &Spec, environment: &crate::Environment) -> Result<Option<Google>> {
    let Some(named) = &spec.gcp else {
        return Ok(None);
    };
    let endpoints = named.endpoints.iter().map(|(name, at)| (&**name, &**at));
    let address = GoogleAddress {
        project: named.project.clone(),
        credentials: named.credentials.as_ref().map(|f| spec.folder().join(f)),
        endpoints: Endpoints::parse(endpoints).map_err(|e| e.context("gcp.endpoints"))?,
    };
    let google = Google::open(&address, environment).map_err(|e| e.context("gcp"))?;
    Ok(Some(google))
}

impl Project {
    /// The project of Google Cloud; specs that need one and name none are refused when they are read.
    #[cfg(feature = "gcp")]
    pub(super) fn google(&self) -> Result<&Google> {
        self.google
            .as_ref()
            .ok_or_else(|| crate::Error::internal("a spec without [gcp] has something in it"))
    }
}
