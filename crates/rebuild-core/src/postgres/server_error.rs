//! From the driver's errors to ours.

use std::error::Error as StdError;

use crate::error::{Error, ErrorKind};

/// Wraps a driver error: `what` was being done. The server's message, SQLSTATE and hint are
/// kept; DETAIL and CONTEXT, which may quote rows, are not.
pub fn server_error(what: impl Into<String>, e: tokio_postgres::Error) -> Error {
    let what = what.into();
    if let Some(db) = e.as_db_error() {
        let mut message = format!("{} (SQLSTATE {})", clean(db.message()), db.code().code());
        if let Some(position) = db.position() {
            use tokio_postgres::error::ErrorPosition;
            if let ErrorPosition::Original(at) = position {
                message.push_str(&format!(" at character {at}"));
            }
        }
        let mut error =
            Error::new(ErrorKind::Server, what).caused_by(Error::new(ErrorKind::Server, message));
        if let Some(hint) = db.hint() {
            error = error.hint(clean(hint));
        }
        return error;
    }
    // The driver prints its causes in Display as well as in source(); keep the innermost.
    let kind = if e.is_closed() {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Server
    };
    let cause = e
        .source()
        .map_or_else(|| e.to_string(), ToString::to_string);
    Error::new(kind, what).caused_by(Error::new(kind, clean(&cause)))
}

/// Escapes control characters, so that a hostile name cannot steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() && c != '\n' {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect()
}
