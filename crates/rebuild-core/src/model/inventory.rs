//! What is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Identity, TableName};

/// The server that holds the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFacts {
    /// `system_identifier` of the cluster.
    pub system_identifier: String,
    /// `server_version_num`, for example 150018.
    pub version_num: u32,
    /// True on a standby.
    pub in_recovery: bool,
    /// Standbys that stream from this server.
    pub standbys: u32,
    /// The data directory, where the role may see it.
    pub data_directory: Option<String>,
    /// Address and port as the server itself has them, the port alone behind a socket. A clone has
    /// the `system_identifier` of what it was made from, but not this.
    #[serde(default)]
    pub address: String,
}

impl ServerFacts {
    /// The major version, for example 15.
    pub fn major(&self) -> u32 {
        self.version_num / 10_000
    }
}

/// The database itself: what `CREATE DATABASE` and `ALTER DATABASE` set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseFacts {
    /// Which database, exactly.
    pub identity: Identity,
    /// The owner.
    pub owner: String,
    /// The encoding's name, for example `UTF8`.
    pub encoding: String,
    /// `lc_collate`.
    pub collate: String,
    /// `lc_ctype`.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// The ICU or builtin locale, where the provider has one.
    pub locale: Option<String>,
    /// ICU rules, where there are any (16 and later).
    pub icu_rules: Option<String>,
    /// The collation version recorded at creation, and the one the system has now.
    pub collation_versions: (Option<String>, Option<String>),
    /// The default tablespace.
    pub tablespace: String,
    /// `datconnlimit`; -1 is no limit.
    pub connection_limit: i32,
    /// `datistemplate`.
    pub is_template: bool,
    /// The comment.
    pub comment: Option<String>,
    /// Grants on the database as `aclitem` text; `None` is the built-in default.
    pub acl: Option<Vec<String>>,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET` with the role:
    /// (role or none, `name=value`).
    pub settings: Vec<(Option<String>, String)>,
    /// Size on disk in bytes.
    pub bytes: u64,
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// An ordinary table.
    Table,
    /// A partitioned table: no rows of its own.
    Partitioned,
    /// A partition of a partitioned table.
    Partition,
    /// A materialised view: refreshed, not copied.
    MaterializedView,
    /// A foreign table: its rows live elsewhere and are not backed up.
    Foreign,
    /// An unlogged table: its rows do not outlive a crash.
    Unlogged,
}

/// One relation that holds rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableFacts {
    /// Its name.
    pub table: TableName,
    /// What it is.
    pub kind: TableKind,
    /// For a partition: the root of its tree, which takes its rows where the partition itself is
    /// gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_of: Option<TableName>,
    /// `reltuples`, or `None` if the table was never analysed. An estimate.
    pub estimated_rows: Option<u64>,
    /// Bytes on disk with indexes and TOAST.
    pub bytes: u64,
}

/// A session in the target database that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionFacts {
    /// The backend's process id.
    pub pid: i32,
    /// Who is logged in.
    pub role: String,
    /// `application_name`.
    pub application: String,
    /// The client's address, or `local`.
    pub client: String,
    /// `active`, `idle in transaction`, ...
    pub state: String,
}

/// Something that stands in the way of renaming or replacing the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "obstacle", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Obstacle {
    /// A prepared transaction; it blocks renames and drops. Never rolled back by us.
    PreparedTransaction {
        /// Its global identifier.
        gid: String,
    },
    /// A logical replication slot in the database; its position would be left behind.
    LogicalSlot {
        /// Its name.
        slot: String,
        /// Whether a consumer is connected.
        active: bool,
    },
    /// A subscription in the database.
    Subscription {
        /// Its name.
        name: String,
    },
    /// Session-level state is meaningless behind this pooler.
    Pooler,
    /// The database is left over from an interrupted DROP DATABASE (`datconnlimit` -2).
    Invalid,
}

/// What the connected role may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RightsFacts {
    /// The role.
    pub role: String,
    /// `rolsuper`.
    pub superuser: bool,
    /// `rolcreatedb`.
    pub createdb: bool,
    /// `rolbypassrls`.
    pub bypass_rls: bool,
    /// Member of the database's owner.
    pub owns_database: bool,
    /// May end other roles' sessions (`pg_signal_backend`).
    pub signal_backend: bool,
    /// Tables the role cannot read.
    pub unreadable: Vec<TableName>,
    /// Objects in the database that are owned by roles this role is not a member of, so that it
    /// could not create them again under their owner.
    pub foreign_owned: Vec<String>,
}

/// What is there, read in one look, changing nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// The server.
    pub server: ServerFacts,
    /// The database.
    pub database: DatabaseFacts,
    /// Every relation that holds rows, by name.
    pub tables: Vec<TableFacts>,
    /// Extensions as (name, version, schema).
    pub extensions: Vec<(String, String, String)>,
    /// The number of large objects.
    pub large_objects: u64,
    /// Other people's sessions in the database.
    pub sessions: Vec<SessionFacts>,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
    /// What we may do.
    pub rights: RightsFacts,
}
