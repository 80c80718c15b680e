//! Dumps that other programs made: archives of pg_dump and SQL files.
//!
//! An archive is turned into SQL by `pg_restore --file=-`. The SQL is read statement by statement
//! and sent to the server as it comes, the rows of COPY piece by piece: however large the dump,
//! the memory that it takes is that of its longest statement. No client of the server sees the
//! text, so no command of psql in it can run.

#[cfg(feature = "cloudsql")]
mod contents;
mod object;
mod reader;
mod roles;
mod run;
mod source;
mod statement;
#[cfg(test)]
mod tests;

#[cfg(feature = "cloudsql")]
pub(crate) use contents::{DumpContents, read_gzip};
pub use object::{DumpFrom, DumpStream};
pub use roles::{MANAGED_ROLES, RoleMap};
pub use run::{DumpReport, PgDump};
#[cfg(any(test, feature = "testing"))]
pub(crate) use {
    reader::{DumpReader, Item},
    roles::Mapped,
    source::Packing,
};
