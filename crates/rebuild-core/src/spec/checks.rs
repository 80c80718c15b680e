//! `[[verify]]`: what must hold.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Within;

/// One check. Tables are written `schema.table`, exactly as the catalog stores the names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckSpec {
    /// Every restored table has as many rows as the backup.
    Counts {
        /// Tables that may differ, as patterns of `schema.table`.
        #[serde(default)]
        except: Vec<String>,
    },
    /// Every restored table holds exactly the rows of the backup, and the large objects are the same
    /// (`pg_catalog.pg_largeobject` among the exceptions leaves them out). A table whose columns are others
    /// than in the backup is compared in those that both have; a column of another type by its values as
    /// the type that it had, so that what did not survive the change is found.
    Content {
        /// Tables that may differ, as patterns of `schema.table`.
        #[serde(default)]
        except: Vec<String>,
    },
    /// These tables (or views) exist.
    Tables {
        /// Which.
        tables: Vec<String>,
    },
    /// A column exists, and is as said.
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type as `format_type` gives it, for example `bigint` or `character varying(40)`.
        #[serde(default, rename = "type")]
        type_name: Option<String>,
        /// Whether it may be NULL.
        #[serde(default)]
        nullable: Option<bool>,
    },
    /// Every column of that name, in every table, has that type.
    EveryColumn {
        /// The name.
        name: String,
        /// The type.
        #[serde(rename = "type")]
        type_name: String,
    },
    /// An extension is installed.
    Extension {
        /// Which.
        name: String,
        /// Its version.
        #[serde(default)]
        version: Option<String>,
    },
    /// Every sequence is ahead of the columns that draw from it.
    Sequences {},
    /// Every foreign key is validated, and its rows hold when they are looked up again.
    ForeignKeys {},
    /// Every index is valid and ready.
    Indexes {},
    /// A query, read-only, gives what is expected.
    Query {
        /// The query.
        sql: String,
        /// The one value, the one row, or all rows that it must give.
        expect: Expected,
        /// How long it may take.
        #[serde(default = "a_minute")]
        timeout: Within,
    },
    /// A function of the program that runs the spec finds nothing wrong. It is asked before the
    /// database is in service and again once it is.
    Function {
        /// What the check is called.
        name: String,
        /// The function; in Python `module:name`.
        function: String,
        /// How long it may take.
        #[serde(default = "ten_minutes")]
        timeout: Within,
    },
    /// Every pod that a Deployment or StatefulSet asks for is ready, once the database is in
    /// service.
    Rollout {
        /// Which, for example `deployment/api`.
        workload: String,
        /// How often the containers of one of its pods may have been started again since the run began, or ever if
        /// there is no run; without it, any number of times.
        #[serde(default)]
        max_restarts: Option<u32>,
        /// How long until it must be so.
        #[serde(default = "a_minute")]
        timeout: Within,
    },
    /// A PersistentVolumeClaim is bound to its volume, once the database is in service.
    Claim {
        /// Which.
        claim: String,
    },
    /// A service of Cloud Run is ready, and its newest revision serves, once the database is in service.
    CloudRun {
        /// Which.
        service: String,
        /// The region; without it, that of `[gcp]`.
        #[serde(default)]
        region: Option<String>,
        /// How long until it must be so.
        #[serde(default = "a_minute")]
        timeout: Within,
    },
    /// A table of BigQuery has as many rows as one of the database, once that is in service.
    BigqueryRows {
        /// The table of the database.
        table: String,
        /// The table of BigQuery, `dataset.table`.
        bigquery: String,
        /// Where its dataset is, for example `EU`.
        location: String,
        /// How many rows they may differ by.
        #[serde(default)]
        allowed_difference: u64,
        /// How long the counting may take.
        #[serde(default = "ten_minutes")]
        timeout: Within,
    },
    /// A service answers, once the database is in service.
    Http {
        /// Where.
        url: String,
        /// The status.
        #[serde(default = "ok")]
        status: u16,
        /// Text that the answer holds.
        #[serde(default)]
        contains: Option<String>,
        /// How long until it must do so; it is asked again until then.
        #[serde(default = "a_minute")]
        timeout: Within,
    },
}

impl CheckSpec {
    /// True for a check that something else than the database's own server answers.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Function { .. }
                | Self::Rollout { .. }
                | Self::Claim { .. }
                | Self::CloudRun { .. }
                | Self::BigqueryRows { .. }
        )
    }
}

/// What a query must give: a value, a row, or rows. Values are compared as PostgreSQL writes them
/// as text; a missing value is written as an empty array.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expected {
    /// One row of one column, true or false.
    Bool(bool),
    /// One row of one column, a whole number.
    Integer(i64),
    /// One row of one column, a number.
    Float(f64),
    /// One row of one column, text.
    Text(String),
    /// One row, or rows of rows.
    List(Vec<Expected>),
}

fn a_minute() -> Within {
    Within::seconds(60)
}

fn ten_minutes() -> Within {
    Within::seconds(600)
}

fn ok() -> u16 {
    200
}
