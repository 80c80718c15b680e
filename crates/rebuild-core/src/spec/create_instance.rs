//! `[target.cloudsql.create]`: what a first instance is like.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConnectSpec, Spec, Within};
use crate::error::{Error, Result};

/// The flag that lets users in with tokens
/// (<https://cloud.google.com/sql/docs/postgres/create-edit-iam-instances>).
const IAM: &str = "cloudsql.iam_authentication";

/// `[target.cloudsql.create]`: what `rebuild instance create` makes. Automated backups with point-in-time
/// recovery are on, backups outlive the instance, and connections must be encrypted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstanceSpec {
    /// The version, for example `POSTGRES_17`.
    pub version: String,
    /// The machine type, for example `db-custom-2-7680`.
    pub tier: String,
    /// The edition; without it, the service's choice.
    #[serde(default)]
    pub edition: Option<EditionSpec>,
    /// The disk's size in GB; without it, the service's choice.
    #[serde(default)]
    pub disk_gb: Option<i64>,
    /// Where it stands by.
    #[serde(default)]
    pub availability: AvailabilitySpec,
    /// The network that it has its address in, `projects/PROJECT/global/networks/NETWORK`; without it, the
    /// address is public.
    #[serde(default)]
    pub private_network: Option<String>,
    /// Database flags.
    #[serde(default)]
    pub flags: BTreeMap<String, String>,
    /// Whether it is protected against deletion.
    #[serde(default = "yes")]
    pub deletion_protection: bool,
    /// How long each operation of the service may take.
    #[serde(default = "an_hour")]
    pub timeout: Within,
}

/// An edition of Cloud SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EditionSpec {
    /// Enterprise.
    Enterprise,
    /// Enterprise Plus.
    EnterprisePlus,
}

/// Where an instance stands by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AvailabilitySpec {
    /// In one zone.
    #[default]
    Zonal,
    /// In a second zone of the region as well.
    Regional,
}

/// Checks what concerns the first instance.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let Some((cloudsql, create)) = spec
        .target
        .cloudsql
        .as_ref()
        .and_then(|c| Some((c, c.create.as_ref()?)))
    else {
        return Ok(());
    };
    let wrong =
        |key: &str, why: &str| Err(Error::usage(format!("target.cloudsql.create.{key}: {why}")));
    if !create.version.starts_with("POSTGRES_") {
        return wrong(
            "version",
            "is no version of PostgreSQL, such as POSTGRES_17",
        );
    }
    if create.tier.is_empty() {
        return wrong("tier", "is empty");
    }
    if create.disk_gb.is_some_and(|gb| gb < 10) {
        return wrong("disk_gb", "is less than the 10 GB that a disk has at least");
    }
    match (cloudsql.connect, &create.private_network) {
        (ConnectSpec::Private, None) => {
            return wrong(
                "private_network",
                "connect = \"private\" needs an address in one",
            );
        }
        (ConnectSpec::Public, Some(_)) => {
            return wrong(
                "private_network",
                "connect = \"public\" needs a public address",
            );
        }
        _ => {}
    }
    match create.flags.get(IAM).map(String::as_str) {
        Some("on") => Ok(()),
        _ if cloudsql.iam_login => wrong(
            "flags",
            "iam_login needs cloudsql.iam_authentication = \"on\"",
        ),
        _ => Ok(()),
    }
}

fn yes() -> bool {
    true
}

fn an_hour() -> Within {
    Within::seconds(3600)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let usual = "version = \"POSTGRES_17\"\ntier = \"db-f1-micro\"\n";
        for (more, create, why) in [
            (
                "socket\"",
                "tier = \"t\"\nversion = \"17\"\n".to_owned(),
                "version: is no version",
            ),
            (
                "socket\"",
                usual.replace("db-f1-micro", ""),
                "tier: is empty",
            ),
            (
                "socket\"",
                format!("{usual}disk_gb = 5\n"),
                "disk_gb: is less",
            ),
            (
                "private\"",
                usual.to_owned(),
                "private_network: connect = \"private\"",
            ),
            (
                "public\"",
                format!("{usual}private_network = \"n\"\n"),
                "private_network: connect = \"public\"",
            ),
            (
                "socket\"\niam_login = true",
                usual.to_owned(),
                "flags: iam_login needs",
            ),
        ] {
            let text = format!(
                "version = 1\nstore.url = \"store\"\n[gcp]\nproject = \"shop\"\n\
                 [target]\nurl = \"postgresql:///app\"\n[target.cloudsql]\n\
                 instance = \"shop:europe-west1:main\"\nconnect = \"{more}\n\
                 [target.cloudsql.create]\n{create}"
            );
            let folder = std::path::Path::new(".");
            let error = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None);
            let error = error.map(|_| ()).expect_err(&text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
            let why = format!("target.cloudsql.create.{why}");
            assert!(error.chain().contains(&why), "{text}: {error:?}");
        }
    }
}
