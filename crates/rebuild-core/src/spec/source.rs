//! What a refresh is told: where rows come from, what is hidden in them, what outlives them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::{secret, some_secret};
use crate::secret::Secret;

/// `[source]`: another database, which the rows come from. It is only ever read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// As `target.url`.
    #[schemars(with = "String")]
    #[serde(deserialize_with = "secret")]
    pub url: Secret,
    /// The password, if it is not in the URL or a passfile.
    #[schemars(with = "Option<String>")]
    #[serde(default, deserialize_with = "some_secret")]
    pub password: Option<Secret>,
    /// Accept TLS without a verified certificate. Recorded in the plan.
    #[serde(default)]
    pub insecure_tls: bool,
    /// The role to become there (`SET ROLE`), for example one that may only read.
    #[serde(default)]
    pub role: Option<String>,
    /// Which migrations the two sides may be at.
    #[serde(default)]
    pub migrations: MigrationPolicy,
    /// A query whose one value is the version of a side, in the place of what migration tools
    /// record.
    #[serde(default)]
    pub version_query: Option<String>,
    /// Whether large objects are copied. Nothing masks them, so where anything is masked this
    /// must be said.
    #[serde(default)]
    pub large_objects: Option<bool>,
    /// Whether owners and privileges of the source follow. Without it, those of the target stay.
    #[serde(default)]
    pub privileges: bool,
    /// Tables of which only some rows are copied, or none.
    #[serde(default, rename = "table")]
    pub tables: Vec<SourceTableSpec>,
}

/// Which migrations source and target may be at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationPolicy {
    /// The same.
    #[default]
    Equal,
    /// The same, or those of the source are some of the target's. `[migrate]` runs the others.
    SourceOlder,
    /// Any.
    Any,
}

/// `[[source.table]]`: which rows of a table are copied. Rows of other tables that refer to one
/// that is not copied are not copied either.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceTableSpec {
    /// A pattern of `schema.table`.
    pub table: String,
    /// False: no row.
    #[serde(default = "yes")]
    pub rows: bool,
    /// Only the rows for which this SQL expression is true. Names in it that are no columns are
    /// written with their schema.
    #[serde(default, rename = "where")]
    pub condition: Option<String>,
}

/// `[mask]`: what is hidden. The source itself evaluates it, so that what is hidden never leaves
/// it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaskSpec {
    /// What makes masked values impossible to guess for those who do not know it: `${MASK_SALT}`.
    /// The same salt gives the same masked values.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "some_secret")]
    pub salt: Option<Secret>,
    /// Patterns of column names that must all be masked, or be in `allow`.
    pub require: Vec<String>,
    /// Patterns of `schema.table.column` that may stay as they are.
    pub allow: Vec<String>,
    /// How columns are masked; of several that match a column, the first.
    #[serde(rename = "column")]
    pub columns: Vec<MaskColumnSpec>,
}

/// `[[mask.column]]`: how a column is masked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskColumnSpec {
    /// A pattern of `schema.table.column`.
    pub column: String,
    /// A named transformer.
    #[serde(default, rename = "with")]
    pub transformer: Option<Transformer>,
    /// A SQL expression over the row's columns, in the place of a transformer.
    #[serde(default)]
    pub sql: Option<String>,
    /// For `constant`: the value, as text.
    #[serde(default)]
    pub value: Option<String>,
    /// For `email`: the domain; without it `example.com`.
    #[serde(default)]
    pub domain: Option<String>,
    /// For `date-shift`: by how many days at most, back or forth; without it 30.
    #[serde(default)]
    pub days: Option<u16>,
    /// For `date-shift`: a column of the same table; rows with the same value there are shifted by
    /// the same number of days. Without it all rows are.
    #[serde(default)]
    pub by: Option<String>,
}

/// How values are masked. Null stays null, and the same value becomes the same value wherever it
/// is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transformer {
    /// Null.
    Null,
    /// One value for all.
    Constant,
    /// A hash: text, bytea, uuid, or an integer.
    Hash,
    /// An e-mail address that nobody has.
    Email,
    /// A person's name, made up.
    Name,
    /// Other digits, the rest as it is.
    Phone,
    /// Another day, up to `days` away.
    DateShift,
    /// Other digits and other letters, the rest as it is. Different values stay different.
    KeepFormat,
}

/// `[[preserve]]`: rows of the target that outlive a refresh.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreserveSpec {
    /// The table, as `schema.table`.
    pub table: String,
    /// Only the rows for which this SQL expression is true.
    #[serde(default, rename = "where")]
    pub condition: Option<String>,
    /// Whose row stays where both sides have it.
    #[serde(default)]
    pub keep: Keep,
    /// The columns by which rows of both sides are the same; without any, the primary key. A row
    /// whose primary key is taken by another gets a new one, and what refers to it follows.
    #[serde(default)]
    pub key: Vec<String>,
}

/// Whose row stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The target's.
    #[default]
    Target,
    /// The source's. The target's row is reported.
    Source,
}

fn yes() -> bool {
    true
}
