//! Single statements of a dump.

use tokio_postgres::error::SqlState;

use crate::error::{Error, Result};
use crate::postgres::schema::lex::{Lexer, TokenKind};
use crate::postgres::server_error;

/// The table of `COPY schema.table (...) FROM stdin`, as it is written.
pub(super) fn copied(sql: &str) -> &str {
    let mut lexer = Lexer::new(sql);
    let mut range = None;
    let mut dotted = false;
    let _copy = lexer.token();
    while let Ok(Some(token)) = lexer.token() {
        match token.kind {
            TokenKind::Dot => dotted = true,
            TokenKind::Word | TokenKind::Quoted if range.is_none() || dotted => {
                let start = range.map_or(token.range.start, |(start, _)| start);
                range = Some((start, token.range.end));
                dotted = false;
            }
            _ => break,
        }
    }
    range.map_or("", |(start, end)| &sql[start..end])
}

/// Statements that reach beyond the database that is restored.
pub(super) fn refuse(sql: &str, line: usize) -> Result<()> {
    let mut lexer = Lexer::new(sql);
    let mut word = || match lexer.token() {
        Ok(Some(token)) => sql[token.range].to_ascii_lowercase(),
        _ => String::new(),
    };
    let (verb, object, third) = (word(), word(), word());
    let changes = matches!(verb.as_str(), "create" | "alter" | "drop");
    let beyond = match object.as_str() {
        "database" | "tablespace" | "role" | "group" | "system" => changes,
        "user" => changes && third != "mapping",
        _ => verb == "load",
    };
    if beyond {
        return Err(Error::refused(format!(
            "line {line} of the dump: {} {} reaches beyond the database that is restored",
            verb.to_uppercase(),
            object.to_uppercase()
        ))
        .hint("make the dump with pg_dump, without --create"));
    }
    Ok(())
}

/// Newer versions of pg_dump set what older servers do not have.
pub(super) fn is_of_another_version(sql: &str, e: &tokio_postgres::Error) -> bool {
    e.code() == Some(&SqlState::UNDEFINED_OBJECT)
        && sql
            .get(..4)
            .is_some_and(|head| head.eq_ignore_ascii_case("set "))
        && sql.contains('=')
}

/// The error of a statement, with its place in the dump.
pub(super) fn failed(sql: &str, line: usize, e: tokio_postgres::Error) -> Error {
    let missing_role = e.code() == Some(&SqlState::UNDEFINED_OBJECT)
        && e.as_db_error()
            .is_some_and(|db| db.message().starts_with("role "));
    let head: String = sql
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect();
    let error = server_error(
        format!("a statement before line {line} of the dump failed: {head}"),
        e,
    );
    if missing_role {
        error.hint(
            "give it a name of this server (--role OLD=NEW), or leave it out (--drop-role OLD)",
        )
    } else {
        error
    }
}
