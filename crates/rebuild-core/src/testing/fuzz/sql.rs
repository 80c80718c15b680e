//! SQL files: where statements begin and end, and names and texts that become SQL.

use crate::postgres::schema::lex::{Lexer, TokenKind};
use crate::postgres::schema::{First, Statement, StatementKind, decode, first, split};
use crate::postgres::{ident, literal};

/// Splits `data` into statements; and takes it for a name and for a text that are to be quoted.
///
/// # Panics
/// A property does not hold.
pub fn sql(data: &[u8]) {
    let Ok(text) = decode(data.to_vec()) else {
        return;
    };
    quotes(&text);
    let lines = text.split('\n').count();
    let found = match split(&text) {
        Ok(found) => found,
        Err(fault) => {
            assert!((1..=lines).contains(&fault.line), "{fault}");
            assert!(!fault.in_file("a.sql").to_string().is_empty());
            return;
        }
    };
    nothing_is_lost(&text, &found);
    begins_the_same(&text, &found);
    for statement in &found {
        stands_alone(&text, statement);
        for character in [0, 1, 7, usize::MAX] {
            let line = statement.line_at(&text, character);
            assert!((statement.line..=lines).contains(&line));
        }
    }
    let together: String = found.iter().map(|s| whole(&text, s)).collect();
    let again = split(&together).expect("the statements, one after the other");
    assert_eq!(parts(&together, &again), parts(&text, &found));
}

/// A statement as text, its rows if it has any, and what it is.
type Part<'a> = (&'a str, Option<&'a str>, StatementKind);

fn parts<'a>(text: &'a str, found: &[Statement]) -> Vec<Part<'a>> {
    let part = |statement: &Statement| match &statement.kind {
        StatementKind::CopyIn { data, .. } => {
            let nowhere = StatementKind::CopyIn {
                data: 0..0,
                line: 0,
            };
            (
                &text[statement.range.clone()],
                Some(&text[data.clone()]),
                nowhere,
            )
        }
        kind => (&text[statement.range.clone()], None, kind.clone()),
    };
    found.iter().map(part).collect()
}

/// The statement as it would be written in a file. One that the end of the file ends may be in the middle
/// of parentheses, where a semicolon ends nothing.
fn whole(text: &str, statement: &Statement) -> String {
    let sql = statement.text(text);
    match &statement.kind {
        StatementKind::CopyIn { data, .. } => format!("{sql};\n{}\\.\n", &text[data.clone()]),
        _ if has_semicolon(&text[statement.range.end..]) => format!("{sql};\n"),
        _ => sql.to_owned(),
    }
}

/// What is in no statement is white space, comments, semicolons, and the ends of rows.
fn nothing_is_lost(text: &str, found: &[Statement]) {
    let mut at = 0;
    for statement in found {
        let blank = &text[at..statement.range.start];
        assert!(only_semicolons(blank), "{blank:?} is in no statement");
        assert!(!statement.range.is_empty());
        let newlines = text[..statement.range.start].matches('\n').count();
        assert_eq!(statement.line, newlines + 1);
        at = statement.range.end;
        if let StatementKind::CopyIn { data, line } = &statement.kind {
            let head = &text[at..data.start];
            assert!(only_semicolons(head) && head.ends_with('\n'), "{head:?}");
            assert_eq!(*line, text[..data.start].matches('\n').count() + 1);
            assert!(data.is_empty() || text[data.clone()].ends_with('\n'));
            let end = text[data.end..]
                .strip_prefix("\\.")
                .expect("the end of the rows");
            let after = end.strip_prefix('\r').unwrap_or(end);
            assert!(after.is_empty() || after.starts_with('\n'));
            at = text.len() - end.len();
        }
    }
    assert!(only_semicolons(&text[at..]), "{:?} is lost", &text[at..]);
}

fn has_semicolon(after: &str) -> bool {
    let next = Lexer::new(after).token().ok().flatten();
    next.is_some_and(|token| token.kind == TokenKind::Semicolon)
}

fn only_semicolons(text: &str) -> bool {
    let mut lexer = Lexer::new(text);
    loop {
        match lexer.token() {
            Ok(None) => return true,
            Ok(Some(token)) if token.kind == TokenKind::Semicolon => {}
            _ => return false,
        }
    }
}

/// A statement is the same wherever it stands.
fn stands_alone(text: &str, statement: &Statement) {
    let alone = whole(text, statement);
    let again = split(&alone).expect("one statement of several");
    let of_file = parts(text, std::slice::from_ref(statement));
    assert_eq!(parts(&alone, &again), of_file);
}

/// Whoever reads a part of the file at a time finds the same.
fn begins_the_same(text: &str, found: &[Statement]) {
    let begins = first(text).expect("the file was read before");
    match (found.first(), begins) {
        (None, First::Blank) => {}
        (Some(statement), First::Whole { range, end, rows }) => {
            assert_eq!(range, statement.range);
            assert_eq!(text.as_bytes()[end - 1], b';');
            assert_eq!(rows, matches!(statement.kind, StatementKind::CopyIn { .. }));
        }
        (Some(_), First::Unfinished) => assert_eq!(found.len(), 1),
        (statement, begins) => panic!("{statement:?} is {begins:?}"),
    }
}

/// A name or a text is one token once it is quoted, and means the same.
fn quotes(text: &str) {
    if let Ok(quoted) = ident(text) {
        assert!(text.len() <= 63);
        assert!(is_one_token(&quoted));
        assert_eq!(quoted[1..quoted.len() - 1].replace("\"\"", "\""), text);
    }
    let quoted = literal(text).expect("it has no NUL byte");
    assert!(is_one_token(&quoted));
    let meant = match quoted.strip_prefix('E') {
        Some(escaped) => escaped[1..escaped.len() - 1].replace("\\\\", "\\"),
        None => quoted[1..quoted.len() - 1].to_owned(),
    };
    assert_eq!(meant.replace("''", "'"), text);
}

fn is_one_token(quoted: &str) -> bool {
    let mut lexer = Lexer::new(quoted);
    let token = lexer.token().ok().flatten();
    let whole = token.is_some_and(|t| t.kind == TokenKind::Quoted && t.range == (0..quoted.len()));
    whole && matches!(lexer.token(), Ok(None))
}
