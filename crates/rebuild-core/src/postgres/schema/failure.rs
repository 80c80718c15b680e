//! What is said when a statement of a file fails.

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use super::files::Loaded;
use super::split::{Statement, StatementKind};
use super::text::NO_TRANSACTION;
use crate::error::Error;
use crate::postgres::server_error;

/// How many characters of a statement are shown.
const EXCERPT: usize = 200;

/// The error for a statement that failed: file and line of the place the server points at, the
/// statement's beginning, and the server's message, code and hint.
pub(super) fn failure(loaded: &Loaded, statement: &Statement, e: tokio_postgres::Error) -> Error {
    let line = e
        .as_db_error()
        .map_or(statement.line, |db| place(loaded, statement, db));
    let code = e.code().cloned();
    let what = format!(
        "{}:{line}: a statement failed: {}",
        loaded.file.path,
        excerpt(statement.text(&loaded.text))
    );
    let error = server_error(what, e);
    if error.advice().is_none() && code.is_some_and(|code| wants_no_transaction(&code)) {
        return error.hint(format!(
            "if it cannot be part of a transaction, put the comment `-- {NO_TRANSACTION}` at the top of the file"
        ));
    }
    error
}

fn wants_no_transaction(code: &SqlState) -> bool {
    *code == SqlState::ACTIVE_SQL_TRANSACTION || *code == SqlState::INVALID_TRANSACTION_TERMINATION
}

/// The line that the server points at.
fn place(loaded: &Loaded, statement: &Statement, db: &DbError) -> usize {
    if let StatementKind::CopyIn { line, .. } = statement.kind
        && let Some(row) = db.where_().and_then(copy_line)
    {
        return line + row.saturating_sub(1);
    }
    match db.position() {
        Some(ErrorPosition::Original(at)) => {
            statement.line_at(&loaded.text, usize::try_from(*at).unwrap_or(usize::MAX))
        }
        // A position inside of a function's body is no place in the file.
        Some(ErrorPosition::Internal { .. }) | None => statement.line,
    }
}

/// The number in `COPY t, line 3, column …`; the rest of that text quotes rows.
fn copy_line(context: &str) -> Option<usize> {
    let (_, rest) = context.strip_prefix("COPY ")?.split_once(", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The beginning of a statement on one line. It ends at the word PASSWORD, wherever that stands.
fn excerpt(sql: &str) -> String {
    const SECRET: &str = "password";
    let (sql, cut) = match sql.to_ascii_lowercase().find(SECRET) {
        Some(at) => (&sql[..at + SECRET.len()], true),
        None => (sql, false),
    };
    let mut shown = String::new();
    let mut length = 0;
    for word in sql.split_whitespace() {
        let gap = (length > 0).then_some(' ');
        for c in gap.into_iter().chain(word.chars()) {
            if length == EXCERPT {
                return shown + " …";
            }
            shown.push(if c.is_control() { '?' } else { c });
            length += 1;
        }
    }
    if cut { shown + " …" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_without_secrets() {
        assert_eq!(excerpt("select\n\t1"), "select 1");
        assert_eq!(excerpt(&"é".repeat(1000)), format!("{} …", "é".repeat(200)));
        assert_eq!(
            excerpt("create role a PASSWORD 'x' login"),
            "create role a PASSWORD …"
        );
        assert_eq!(
            excerpt("connection 'host=h password=x'"),
            "connection 'host=h password …"
        );
        assert_eq!(excerpt("a\u{1b}[b"), "a?[b");
    }

    #[test]
    fn the_line_of_a_row() {
        assert_eq!(copy_line("COPY t, line 12, column a: \"x\""), Some(12));
        assert_eq!(copy_line("COPY t, line 3: \"1, line 9\""), Some(3));
        assert_eq!(copy_line("PL/pgSQL function f() line 3"), None);
    }
}
