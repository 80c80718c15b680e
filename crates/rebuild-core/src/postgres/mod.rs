//! PostgreSQL: the backend over SQL, pg_dump and pg_restore.

mod cluster;
mod ident;
mod inventory;
mod marks;
mod server_error;
mod session;

pub use cluster::{ClusterOptions, LocalCluster};
pub use ident::{MAX_IDENTIFIER_BYTES, ident, literal, qualified};
pub use inventory::{
    DatabaseKey, database_facts, exact_counts, find_database, inventory, server_facts, tables,
};
pub use marks::{Change, WriteMarks};
pub use server_error::server_error;
pub use session::Session;
