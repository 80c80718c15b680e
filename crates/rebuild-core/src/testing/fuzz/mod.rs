//! What must hold of everything that reads bytes which somebody else may have written, whatever
//! the bytes are.
//!
//! Each function takes any input, gives it to one reader, and panics if a property is broken:
//! what is read and printed is read again as the same, what is damaged is refused, nothing is
//! lost. `make fuzz` looks for inputs that break one; the inputs that are kept in `fuzz/corpus`
//! are tried by the tests of this crate, too.

mod connection;
mod damage;
mod dump;
mod journal;
mod manifest;
mod spec;
mod sql;

pub use connection::connection;
pub use dump::dump;
pub use journal::journal;
pub use manifest::manifest;
pub use spec::spec;
pub use sql::sql;

/// A function that panics if a property is broken for an input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its folder in the corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("connection", connection),
    ("dump", dump),
    ("journal", journal),
    ("manifest", manifest),
    ("spec", spec),
    ("sql", sql),
];
