//! An error on its way to Python.

use std::error::Error as _;

use rebuild_core::{Error, ErrorKind};
use serde_json::{Value, json};

/// The kind, in the words of the Python package.
fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::Refused => "refused",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Server => "server",
        ErrorKind::Program => "program",
        ErrorKind::Store => "store",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Mismatch => "mismatch",
        ErrorKind::Deadline => "deadline",
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Io => "io",
        // Kinds that are new here have no class of their own yet.
        _ => "internal",
    }
}

/// What failed, why, and what to do: each layer's message once.
pub(crate) fn failure(e: &Error) -> Value {
    let mut causes = Vec::new();
    let mut next = e.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    json!({
        "kind": kind(e.kind()),
        "message": e.to_string(),
        "causes": causes,
        "hint": e.advice(),
    })
}
