//! The schema from SQL files: which files, in which order, and what is in them.

mod lex;
mod order;
#[cfg(test)]
mod psql_tests;
mod refuse;
mod split;
mod text;

pub use order::{OrderedFiles, expand};
pub use split::{Statement, StatementKind, split};
pub use text::{Fault, NO_TRANSACTION, decode, head_has_marker};
