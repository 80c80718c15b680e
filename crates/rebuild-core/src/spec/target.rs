//! The target, the store, and how writers are kept out.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CloudSqlSpec, TargetPodSpec};
use crate::secret::Secret;

/// `[target]`: the database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// A `postgres://` URL or a conninfo string. What it does not say is taken from the PG*
    /// variables, a service file and a passfile, as psql does; empty takes everything from there.
    #[schemars(with = "String")]
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub url: Secret,
    /// The password, if it is not in the URL or a passfile: `${PGPASSWORD}`, never the text.
    #[schemars(with = "Option<String>")]
    #[serde(default, deserialize_with = "some_secret")]
    pub password: Option<Secret>,
    /// The pod that it runs in, if it is reached through a cluster.
    #[serde(default)]
    pub kubernetes: Option<TargetPodSpec>,
    /// The instance of Cloud SQL that it is in.
    #[serde(default)]
    pub cloudsql: Option<CloudSqlSpec>,
    /// A label for people: `development`, `staging`, `production`. A production target is acted
    /// on only when its name is typed.
    #[serde(default)]
    pub environment: Option<String>,
    /// How old and new stand to each other.
    #[serde(default)]
    pub strategy: StrategySpec,
    /// The database to connect to while the target is renamed.
    #[serde(default = "postgres")]
    pub maintenance_database: String,
    /// Accept TLS without a verified certificate. Recorded in the plan.
    #[serde(default)]
    pub insecure_tls: bool,
}

/// How old and new stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrategySpec {
    /// The new database is made beside the old one, verified, and the names are swapped.
    #[default]
    Aside,
    /// The old database is set aside first, and the new one is made under its name.
    InPlace,
}

/// `[store]`: where backups and journals are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, or a path relative to the spec.
    pub url: String,
}

/// `[quiesce]`: how writers are kept out from the backup until the new database is in service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quiesce {
    /// Set the target read-only for new sessions and end those that are there. Readers come back
    /// and read on.
    pub read_only: bool,
    /// Which sessions may be ended: `true`, `false`, or patterns.
    pub end_sessions: EndSessionsSpec,
}

impl Default for Quiesce {
    fn default() -> Self {
        Self {
            read_only: true,
            end_sessions: EndSessionsSpec::All(false),
        }
    }
}

/// Which sessions of other people may be ended.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EndSessionsSpec {
    /// All, or none.
    All(bool),
    /// Those that match.
    Matching(SessionPatterns),
}

/// Patterns with `*` and `?`; a session that matches any of them may be ended.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionPatterns {
    /// Of role names.
    pub roles: Vec<String>,
    /// Of `application_name`.
    pub applications: Vec<String>,
}

fn nothing() -> Secret {
    Secret::new("")
}

fn postgres() -> String {
    "postgres".to_owned()
}

pub(super) fn secret<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
    String::deserialize(d).map(Secret::new)
}

pub(super) fn some_secret<'de, D: serde::Deserializer<'de>>(
    d: D,
) -> Result<Option<Secret>, D::Error> {
    secret(d).map(Some)
}
