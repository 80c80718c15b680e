//! The schema from SQL files: which files, in which order, what is in them, and running them.

mod apply;
mod failure;
mod files;
mod history;
pub(crate) mod lex;
mod order;
#[cfg(test)]
mod psql_tests;
mod refuse;
mod run;
mod split;
#[cfg(test)]
mod tests;
mod text;

pub use apply::PgSqlFiles;
pub use files::{Mode, SqlFile, read_files};
pub use history::SqlPart;
pub use order::{OrderedFiles, expand};
pub(crate) use split::{First, first};
pub use split::{Statement, StatementKind, split};
pub use text::{Fault, NO_TRANSACTION, decode, head_has_marker};
