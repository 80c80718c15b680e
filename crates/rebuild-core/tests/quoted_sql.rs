//! Nothing gets into a statement as it is: names and values are quoted by `ident`, `qualified` and
//! `literal`, and by nothing else.
//!
//! This reads the sources. In each text of a `format!` that begins as a statement of SQL, no placeholder
//! may stand between quotes, be shown as `{:?}`, or be what a struct or a row has under a name such as
//! `name` or `owner`. What was looked at and is quoted elsewhere is listed below.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What is let through: the file, the placeholder with its expression, and why.
const KNOWN: [(&str, &str, &str); 11] = [
    (
        "connect/failure.rs",
        "endpoint.database",
        "in advice, for people",
    ),
    (
        "connect/failure.rs",
        "&endpoint.user",
        "in advice, for people",
    ),
    (
        "catalog/text_search.rs",
        "kind",
        "one of the texts above it",
    ),
    (
        "refresh/preserve.rs",
        "options.lock_wait.as_millis()",
        "a number",
    ),
    ("verify/sequences.rs", "sequence.min", "a number"),
    ("verify/sequences.rs", "sequence.max", "a number"),
    (
        "refresh/preserve/guard.rs",
        "column.name",
        "quoted when it was read",
    ),
    (
        "refresh/preserve/guard.rs",
        "declared.table",
        "quoted by the server",
    ),
    (
        "refresh/preserve/guard.rs",
        "declared.name",
        "quoted by the server",
    ),
    (
        "restore/detach.rs",
        "row.get(3)",
        "a definition that the server writes",
    ),
    (
        "backup/database_sql.rs",
        "row.get::<_, &str>(2)",
        "a privilege, as the server spells it",
    ),
];

/// How statements begin.
const BEGINNINGS: [&str; 24] = [
    "select ",
    "insert into ",
    "update ",
    "delete from ",
    "create ",
    "alter ",
    "drop ",
    "truncate ",
    "copy ",
    "set ",
    "reset ",
    "begin",
    "lock table ",
    "grant ",
    "revoke ",
    "comment on ",
    "analyze ",
    "refresh materialized ",
    "with recursive ",
    "declare ",
    "execute ",
    "explain ",
    "notify ",
    "listen ",
];

/// What structs call a name or a value that is not quoted yet.
const RAW: [&str; 14] = [
    "name",
    "table",
    "schema",
    "database",
    "owner",
    "user",
    "role",
    "column",
    "tablespace",
    "extension",
    "path",
    "value",
    "type_name",
    "definition",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/postgres")
}

/// The sources below `folder` that are no tests, without the tests at their ends.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = fs::read_to_string(&path).expect("a source");
            let own = text.split("#[cfg(test)]\nmod tests {").next();
            found.push((
                path.display().to_string(),
                own.unwrap_or_default().to_owned(),
            ));
        }
    }
}

/// The arguments of a macro, from behind its bracket on.
fn arguments(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let (mut depth, mut quoted, mut before) = (0_i32, false, ' ');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = found.last_mut().expect("one at least");
        if quoted && letter == '\\' {
            last.push(letter);
            last.extend(letters.next());
            continue;
        }
        match letter {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            '<' if before == ':' => depth += 1,
            '>' if !matches!(before, '-' | '=' | ' ') => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                before = letter;
                continue;
            }
            _ => {}
        }
        before = letter;
        last.push(letter);
    }
    let trimmed = found.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

/// True if `name` stands in `text` as a word.
fn has_word(text: &str, name: &str) -> bool {
    let other = |c: char| !(c.is_alphanumeric() || c == '_');
    text.split(other).any(|word| word == name)
}

/// What `name` was last bound to before the end of `text`.
fn bound<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lets = text.rmatch_indices("let ").map(|(at, _)| &text[at + 4..]);
    let bindings = lets.filter_map(|rest| rest.split_once('='));
    let mut own = bindings.filter(|(pattern, _)| has_word(pattern, name));
    let (_, value) = own.next()?;
    Some(value.split(";\n").next().unwrap_or(value).trim())
}

/// True for what a struct or a row has, as it is.
fn is_raw(expression: &str) -> bool {
    let mut path = expression.trim_start_matches('&').trim();
    for same in [".clone()", ".to_string()", ".to_owned()", ".as_str()"] {
        path = path.trim_end_matches(same);
    }
    if let Some(rest) = path.strip_prefix("row.get") {
        return rest.ends_with(')')
            && !rest.contains('.')
            && !rest.contains(')') | rest.ends_with(')');
    }
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    match path.rsplit_once('.') {
        Some((_, last)) => path.chars().all(plain) && RAW.contains(&last),
        None => false,
    }
}

/// The placeholders of a text: what stands before each, and what is in it.
fn placeholders(text: &str) -> Vec<(String, String)> {
    let text = text.replace("{{", "  ").replace("}}", "  ");
    let opened = text.match_indices('{');
    let found = opened.filter_map(|(at, _)| {
        let (inside, _) = text[at + 1..].split_once('}')?;
        Some((text[..at].replace("\\\"", "\""), inside.to_owned()))
    });
    found.collect()
}

/// What is wrong with one macro, whose arguments begin `at` some place of `text`: the expressions.
/// Nothing if it is no statement.
fn wrong(text: &str, at: usize) -> Option<Vec<String>> {
    let mut all = arguments(&text[at..]).into_iter();
    let statement = all.find(|argument| argument.starts_with('"'))?;
    let statement = statement.trim_matches('"');
    let begins = statement.trim_start().to_lowercase();
    let mut beginnings = BEGINNINGS.iter();
    beginnings.find(|beginning| begins.starts_with(**beginning))?;
    let (named, in_order): (Vec<String>, Vec<String>) = all.partition(|argument| {
        let name = argument.split(" = ").next().unwrap_or_default();
        name != argument && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    });
    let mut in_order = in_order.into_iter();
    let mut complaints = Vec::new();
    for (before, inside) in placeholders(statement) {
        let (name, form) = inside.split_once(':').unwrap_or((&inside, ""));
        let given =
            |argument: &String| Some(argument.strip_prefix(name)?.strip_prefix(" = ")?.to_owned());
        let expression = match name {
            "" => in_order.next().unwrap_or_default(),
            name => named
                .iter()
                .find_map(given)
                .or_else(|| bound(&text[..at], name).map(ToOwned::to_owned))
                .unwrap_or_else(|| name.to_owned()),
        };
        let between = |quote: char| before.matches(quote).count() % 2 == 1;
        if between('\'') || between('"') || form.contains('?') || is_raw(&expression) {
            let shown = if expression.len() > 60 {
                name.to_owned()
            } else {
                expression
            };
            complaints.push(shown);
        }
    }
    Some(complaints)
}

/// Every complaint in a source, and how many statements it has.
fn complaints(text: &str) -> (usize, Vec<String>) {
    let macros = ["format!(", "write!(", "writeln!("];
    let places = macros
        .iter()
        .flat_map(|name| text.match_indices(name).map(|(at, found)| at + found.len()));
    let found: Vec<Vec<String>> = places.filter_map(|at| wrong(text, at)).collect();
    (found.len(), found.concat())
}

#[test]
fn no_name_and_no_value_gets_into_a_statement_as_it_is() {
    let mut all = Vec::new();
    sources(&folder(), &mut all);
    let (mut statements, mut known, mut unknown) = (0, BTreeSet::new(), Vec::new());
    for (path, text) in &all {
        let (count, found) = complaints(text);
        statements += count;
        for expression in found {
            match KNOWN
                .iter()
                .position(|(file, what, _)| path.ends_with(file) && *what == expression)
            {
                Some(at) => _ = known.insert(at),
                None => unknown.push(format!("{path}: {expression}")),
            }
        }
    }
    assert!(statements > 150, "{statements} statements were found");
    assert_eq!(unknown, Vec::<String>::new(), "not quoted");
    assert_eq!(
        known.len(),
        KNOWN.len(),
        "one of those that are let through is gone: {known:?}"
    );
}

#[test]
fn what_is_not_quoted_is_found() {
    for (source, expected) in [
        ("format!(\"drop database {}\", target.name)", "target.name"),
        ("format!(\"drop database {name}\")", "name"),
        (
            "let name = &db.name;\nformat!(\"drop database {name}\")",
            "&db.name",
        ),
        ("format!(\"select 1 where a = '{value}'\")", "value"),
        ("format!(\"comment on database x is {:?}\", text)", "text"),
        (
            "write!(sql, \"alter role {who} login\", who = grant.role.clone())",
            "grant.role.clone()",
        ),
        (
            "let x = row.get::<_, &str>(2);\nformat!(\"grant {x}, {} to y\", ident(z)?)",
            "row.get::<_, &str>(2)",
        ),
    ] {
        // A name that nobody bound is a parameter, whose caller has quoted it.
        let expected: &[&str] = if source.starts_with("format!(\"drop database {name}") {
            &[]
        } else {
            &[expected]
        };
        assert_eq!(complaints(source).1, expected, "{source}");
    }
    for fine in [
        "format!(\"drop database {}\", ident(&target.name)?)",
        "let name = ident(&db.name)?;\nformat!(\"drop database {name}\")",
        "let (name, other) = (ident(&a.name)?, 1);\nformat!(\"drop database {name}\")",
        "format!(\"select '{{}}'::json, {}\", literal(&a.value)?)",
        "format!(\"table {} is not there\", target.table)",
    ] {
        assert_eq!(complaints(fine).1, [""; 0], "{fine}");
    }
}
