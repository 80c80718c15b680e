//! From the driver's errors to ours.

use std::error::Error as StdError;

use tokio_postgres::error::{ErrorPosition, SqlState};

use crate::error::{Error, ErrorKind, clean};

/// Wraps a driver error: `what` was being done. The server's message, SQLSTATE and hint are
/// kept; DETAIL and CONTEXT, which may quote rows, are not, nor are values that a message quotes.
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
        let said = without_values(db.code().code(), db.message());
        let mut message = format!("{} (SQLSTATE {})", clean(&said), db.code().code());
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

/// A message without the value that it is about: those of class 22 quote what a row has
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn without_values(code: &str, message: &str) -> String {
    if !code.starts_with("22") {
        return message.to_owned();
    }
    // Bytes that are no text are told after a colon; what is quoted is the name of an encoding.
    if code == SqlState::CHARACTER_NOT_IN_REPERTOIRE.code() {
        return message.split(": ").next().unwrap_or_default().to_owned();
    }
    if code == SqlState::UNTRANSLATABLE_CHARACTER.code() {
        let encodings = message.find(" in encoding").unwrap_or(message.len());
        return format!("a character{}", &message[encodings..]);
    }
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}\"***\"{}", &message[..first], &message[last + 1..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, scratch_database};

    #[test]
    fn values_do_not_show_and_names_do() {
        for (code, message, shown) in [
            (
                "22P02",
                "invalid input syntax for type integer: \"4 \"x\" 2\"",
                "invalid input syntax for type integer: \"***\"",
            ),
            (
                "22003",
                "value \"99999999999\" is out of range for type integer",
                "value \"***\" is out of range for type integer",
            ),
            (
                "22021",
                "invalid byte sequence for encoding \"UTF8\": 0xe9 0x41",
                "invalid byte sequence for encoding \"UTF8\"",
            ),
            (
                "22P05",
                "character with byte sequence 0xe8 in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
                "a character in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
            ),
            ("22012", "division by zero", "division by zero"),
            (
                "23514",
                "new row for relation \"t\" violates check constraint \"c\"",
                "new row for relation \"t\" violates check constraint \"c\"",
            ),
        ] {
            assert_eq!(without_values(code, message), shown);
        }
    }

    #[tokio::test]
    async fn neither_an_error_nor_the_servers_log_quotes_a_row() {
        let cluster = cluster().await.expect("a server");
        let endpoint = scratch_database(&cluster).await.expect("a database");
        let session = crate::postgres::Session::open(&endpoint, "a test").await;
        let session = session.expect("a session");
        let made = "create table public.t (id int primary key, ssn text check (ssn <> 'hunter2'))";
        session.batch_execute(made).await.expect("a table");
        for (sql, said) in [
            (
                "insert into public.t select 1, 'hun' || 'ter2'",
                "violates check",
            ),
            (
                "insert into public.t select ('hun' || 'ter2')::pg_catalog.int4",
                "invalid input syntax",
            ),
            (
                "insert into public.t select 1, 'hun' || 'ter3' union all select 1, 'x'",
                "duplicate",
            ),
        ] {
            let e = session.batch_execute(sql).await.expect_err(sql);
            let shown = format!("{:?}", server_error("a row was not taken", e));
            assert!(shown.contains(said), "{shown}");
            assert!(!shown.contains("hunter"), "{shown}");
        }
        let log = std::fs::read_to_string(cluster.log_file()).expect("the log");
        assert!(log.contains("violates check constraint"), "{log}");
        assert!(!log.contains("DETAIL"), "{log}");
    }
}
