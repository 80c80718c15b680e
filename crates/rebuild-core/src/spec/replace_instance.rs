//! `[target.cloudsql.replace]`: the whole instance makes room for a new one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConnectSpec, Spec, StrategySpec, Within};
use crate::error::{Error, Result};
use crate::traits::BackupMode;

/// `[target.cloudsql.replace]`: the instance is deleted once a backup of it was taken that outlives it, and
/// a new one is made under its name. A rollback makes it again, as it was, from that backup.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceInstanceSpec {
    /// Who makes the new instance.
    #[serde(default)]
    pub made_by: MakerSpec,
    /// Take the protection against deletion off the old instance. Without it, one that is protected is
    /// not replaced.
    #[serde(default)]
    pub lift_deletion_protection: bool,
    /// The machine type in the place of the old one's, for example `db-custom-2-7680`.
    #[serde(default)]
    pub tier: Option<String>,
    /// The version in the place of the old one's, for example `POSTGRES_17`.
    #[serde(default)]
    pub version: Option<String>,
    /// The disk's size in GB in the place of the old one's. It may be smaller.
    #[serde(default)]
    pub disk_gb: Option<i64>,
    /// Database flags, besides the old one's or in their place.
    #[serde(default)]
    pub flags: BTreeMap<String, String>,
    /// Other databases of the instance, which go with it. They are in the backup that outlives it, and
    /// not in the new instance.
    #[serde(default)]
    pub databases: Vec<String>,
    /// How long each operation of the service may take.
    #[serde(default = "four_hours")]
    pub timeout: Within,
}

/// Who makes the new instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MakerSpec {
    /// The run, as the old one was.
    #[default]
    Run,
    /// An `[[infrastructure]]` step.
    Infrastructure,
}

/// Checks what concerns the replacement.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let wrong = |key: &str, why: &str| Err(Error::usage(format!("{key}: {why}")));
    let cloudsql = spec.target.cloudsql.as_ref();
    let Some((cloudsql, replace)) = cloudsql.zip(spec.replaced_instance()) else {
        return Ok(());
    };
    if spec.target.strategy != StrategySpec::InPlace {
        return wrong(
            "target.strategy",
            "an instance cannot stand beside itself; with target.cloudsql.replace it is \"in-place\"",
        );
    }
    if spec.backup.mode != BackupMode::Full {
        return wrong(
            "backup.mode",
            "an instance is deleted only with its rows in the backup; use \"full\"",
        );
    }
    if matches!(cloudsql.connect, ConnectSpec::Public | ConnectSpec::Private) {
        return wrong(
            "target.cloudsql.connect",
            "the new instance has another address and authority; use \"proxy\" or \"socket\"",
        );
    }
    if replace.made_by == MakerSpec::Run {
        return match cloudsql.iam_login {
            true => wrong(
                "target.cloudsql.iam_login",
                "a new instance has no such user; let an [[infrastructure]] step make both",
            ),
            false => Ok(()),
        };
    }
    if spec.infrastructure.is_empty() {
        return wrong(
            "target.cloudsql.replace.made_by",
            "there is no [[infrastructure]] that could make it",
        );
    }
    let given = [
        ("tier", replace.tier.is_some()),
        ("version", replace.version.is_some()),
        ("disk_gb", replace.disk_gb.is_some()),
        ("flags", !replace.flags.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((key, _)) => wrong(
            &format!("target.cloudsql.replace.{key}"),
            "what makes the instance says this, too",
        ),
        None => Ok(()),
    }
}

impl Spec {
    /// What is said of the replacement, if the whole instance is replaced.
    pub(crate) fn replaced_instance(&self) -> Option<&ReplaceInstanceSpec> {
        self.target.cloudsql.as_ref()?.replace.as_ref()
    }
}

fn four_hours() -> Within {
    Within::seconds(4 * 3600)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let in_place = "strategy = \"in-place\"\n";
        let cloudsql = "[target.cloudsql]\ninstance = \"shop:europe-west1:main\"\n";
        let replace = "[target.cloudsql.replace]\n";
        let proxy = "connect = \"proxy\"\n";
        for (target, more, why) in [
            (
                "",
                format!("{cloudsql}{proxy}{replace}"),
                "target.strategy: an instance cannot",
            ),
            (
                in_place,
                format!(
                    "{cloudsql}{proxy}{replace}[backup]\nmode = \"schema-only\"\n[restore]\nsource = \"none\"\n"
                ),
                "backup.mode: an instance is deleted only",
            ),
            (
                in_place,
                format!("{cloudsql}connect = \"public\"\n{replace}"),
                "target.cloudsql.connect: the new instance",
            ),
            (
                in_place,
                format!("{cloudsql}{proxy}iam_login = true\n{replace}"),
                "target.cloudsql.iam_login: a new instance",
            ),
            (
                in_place,
                format!("{cloudsql}{proxy}{replace}made_by = \"infrastructure\"\n"),
                "target.cloudsql.replace.made_by: there is no",
            ),
            (
                in_place,
                format!(
                    "{cloudsql}{proxy}{replace}made_by = \"infrastructure\"\ntier = \"db-f1-micro\"\n\
                     [[infrastructure]]\nname = \"a\"\ntool = \"terraform\"\nfolder = \"a\"\n"
                ),
                "target.cloudsql.replace.tier: what makes the instance",
            ),
        ] {
            let text = format!(
                "version = 1\nstore.url = \"store\"\n[gcp]\nproject = \"shop\"\n\
                 [target]\nurl = \"postgresql:///app\"\n{target}{more}"
            );
            let folder = std::path::Path::new(".");
            let read = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None);
            let error = read.expect_err(&text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
            assert!(error.chain().contains(why), "{text}: {error:?}");
        }
    }
}
