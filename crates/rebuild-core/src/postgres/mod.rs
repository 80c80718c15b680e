//! PostgreSQL: the backend over SQL, pg_dump and pg_restore.

mod backup;
mod bounded;
mod catalog;
mod client_tools;
pub mod compare;
mod connect;
mod dump;
mod functions;
mod gate;
mod ident;
mod inventory;
mod local;
mod lock;
mod mark;
mod marks;
mod migrate;
mod pooler;
mod provision;
mod refresh;
mod restore;
mod room;
mod rows;
pub mod schema;
mod server_error;
mod session;
mod sessions;
mod surveyor;
mod teardown;
pub mod verify;
mod warnings;

pub use crate::environment::Environment;
pub(crate) use backup::{BACKUP, CHECK, Carry, Chooser, Held};
use bounded::bounded;

pub use backup::{
    ChunkEntry, ColumnEntry, ExportFormat, FORMAT, FileEntry, LargeObjectEntry, Manifest,
    MatviewEntry, Membership, PgBackup, PgSharedBackup, RoleEntry, SequenceEntry, TableEntry,
    fingerprints, roles_needed,
};
pub(crate) use backup::{make_surroundings, require_roles};
pub use catalog::{CatalogObject, CatalogSnapshot};
pub use client_tools::{ClientTool, ToolInput, ToolOutput, ToolRun};
pub use compare::{Comparison, compare};
#[cfg(any(test, feature = "testing"))]
pub(crate) use connect::connection_pairs;
pub(crate) use connect::says_password;
#[cfg(feature = "cloudsql")]
pub(crate) use dump::{DumpContents, read_gzip};
pub use dump::{DumpFrom, DumpReport, DumpStream, MANAGED_ROLES, PgDump, RoleMap};
#[cfg(any(test, feature = "testing"))]
pub(crate) use dump::{DumpReader, Item as DumpItem, Mapped, Packing};
pub use functions::{FunctionRestorer, FunctionTask, FunctionVerifier};
pub use gate::{READ_ONLY_GATE, ReadOnlyGate};
pub use ident::{MAX_IDENTIFIER_BYTES, ascii_ident, ident, literal, qualified};
pub use inventory::{
    DatabaseKey, database_facts, exact_counts, find_database, inventory, neighbours, server_facts,
    tables,
};
pub use local::{ClusterLocale, ClusterOptions, LocalCluster, StopMode};
pub use lock::TargetLock;
pub use mark::{application, is_ours, made_by};
pub use marks::{Change, WriteMarks};
pub use migrate::{CommandMigrator, FunctionMigrator, migration_version};
pub(crate) use migrate::{Recorded, migrations, recorded, require_named};
pub use pooler::looks_pooled;
pub(crate) use provision::Marked;
pub use provision::{PgProvision, ProvisionOptions, ScratchDatabase};
pub use refresh::{CatchUp, PgPreserver, PgRefresh, Source, SourceSurveyor};
pub(crate) use refresh::{Preserved, RefreshRules};
#[cfg(feature = "cloudsql")]
pub(crate) use restore::empty_database;
pub(crate) use restore::{COPY, RESTORE};
pub use restore::{PgBackupSchema, PgComparison, PgCsvRestorer, PgRestorer, RestoreChoice};
pub use room::{FreeSpace, TaskWithRoom};
pub use rows::{RowOptions, TypeShape};
pub use schema::{PgSqlFiles, SqlPart};
pub use server_error::server_error;
pub use session::Session;
pub use sessions::EndSessions;
pub use surveyor::PgSurveyor;
pub(crate) use teardown::place::system_identifier;
pub use teardown::{PgTeardown, WriteWatch};
pub use verify::{BackedUp, ContentReport, PgVerifier};
