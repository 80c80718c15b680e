//! `[gcp]`: the project of Google Cloud around the database.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};

/// `[gcp]`: the project, and who asks. It is named here and shown in the plan; the project that
/// `gcloud` is set to counts for nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpSpec {
    /// The project's id.
    pub project: String,
    /// The region of what names none, for example `europe-west1`.
    #[serde(default)]
    pub region: Option<String>,
    /// A file of credentials, relative to the spec; without it, application default credentials.
    #[serde(default)]
    pub credentials: Option<String>,
    /// Other addresses of the APIs, by name: `sql`, `run`, `bigquery`, `bigquery-transfer`, `logging`,
    /// `storage`. For private endpoints.
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
    /// What Cloud Run costs, for the plan to say what a job may cost at most. Without it, the plan says
    /// hours.
    #[serde(default)]
    pub prices: Option<PricesSpec>,
}

/// `[gcp.prices]`: as <https://cloud.google.com/run/pricing> has them for the region, with what is
/// agreed with Google.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PricesSpec {
    /// A vCPU for a second.
    pub vcpu_second: f64,
    /// A GiB of memory for a second.
    pub gib_second: f64,
    /// The currency, for example `EUR`.
    pub currency: String,
}

/// Checks the names.
///
/// # Errors
/// One is empty, or cannot be a part of a path.
pub(super) fn check(gcp: &GcpSpec) -> Result<()> {
    part("gcp.project", &gcp.project)?;
    if let Some(prices) = &gcp.prices {
        for (key, price) in [
            ("gcp.prices.vcpu_second", prices.vcpu_second),
            ("gcp.prices.gib_second", prices.gib_second),
        ] {
            if !(price.is_finite() && price >= 0.0) {
                return Err(Error::usage(format!("{key}: is no price")));
            }
        }
    }
    match &gcp.region {
        Some(region) => part("gcp.region", region),
        None => Ok(()),
    }
}

/// Makes sure that `text` is one part of a resource's name. A project may have a domain before it
/// (`example.com:project`).
///
/// # Errors
/// It is not.
pub(super) fn part(key: &str, text: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{key}: {text:?} is not a name that Google Cloud gives"
    )))
}
