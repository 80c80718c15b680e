//! From the driver's errors to ours.

use std::error::Error as StdError;

use tokio_postgres::error::{ErrorPosition, SqlState};

use crate::error::{Error, ErrorKind, clean};

/// Wraps a driver error: `what` was being done. The server's message, SQLSTATE and hint are
/// kept; DETAIL and CONTEXT, which may quote rows, are not.
pub fn server_error(what: impl Into<String>, e: tokio_postgres::Error) -> Error {
    let cause = cause(&e);
    let error = Error::new(cause.kind(), what);
    let hint = e.as_db_error().and_then(|db| match *db.code() {
        // Statements are prepared once per session; behind a pooler it is another one each time.
        SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => {
            Some("is there a pooler between here and the server? connect to the server itself")
        }
        _ => db.hint(),
    });
    match hint {
        Some(hint) => error.hint(clean(hint)),
        None => error,
    }
    .caused_by(cause)
}

/// What the driver or the server said, as a layer of its own.
pub(super) fn cause(e: &tokio_postgres::Error) -> Error {
    if let Some(db) = e.as_db_error() {
        let mut message = format!("{} (SQLSTATE {})", clean(db.message()), db.code().code());
        if let Some(ErrorPosition::Original(at)) = db.position() {
            message.push_str(&format!(" at character {at}"));
        }
        return Error::new(ErrorKind::Server, message);
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
    Error::new(kind, clean(&cause))
}
