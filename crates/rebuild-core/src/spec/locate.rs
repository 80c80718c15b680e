//! Where in the file something is, and what was probably meant.

use toml_edit::{Document, Item, Table, Value};

use crate::error::Error;

/// `line:column` of a byte offset, both from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    (line, before[start..].chars().count() + 1)
}

/// The dotted name of the innermost key whose name or value covers `offset`.
pub(super) fn key_at(text: &str, offset: usize) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let mut path = Vec::new();
    in_table(document.as_table(), offset, &mut path);
    (!path.is_empty()).then(|| path.join("."))
}

/// Every text of the document with the dotted name of its key and its place.
pub(super) fn texts(text: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    if let Ok(document) = Document::parse(text) {
        for (key, item) in document.as_table() {
            collect(item, key, &mut found);
        }
    }
    found
}

fn collect(item: &Item, path: &str, found: &mut Vec<(String, usize, String)>) {
    match item {
        Item::None => {}
        Item::Value(value) => collect_value(value, path, found),
        Item::Table(table) => {
            for (key, item) in table {
                collect(item, &format!("{path}.{key}"), found);
            }
        }
        Item::ArrayOfTables(tables) => {
            for (n, table) in tables.iter().enumerate() {
                for (key, item) in table {
                    collect(item, &format!("{path}[{n}].{key}"), found);
                }
            }
        }
    }
}

fn collect_value(value: &Value, path: &str, found: &mut Vec<(String, usize, String)>) {
    match value {
        Value::String(s) => {
            let at = value.span().map_or(0, |s| s.start);
            found.push((path.to_owned(), at, s.value().clone()));
        }
        Value::Array(array) => {
            for value in array {
                collect_value(value, path, found);
            }
        }
        Value::InlineTable(table) => {
            for (key, value) in table {
                collect_value(value, &format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}

fn in_table(table: &Table, offset: usize, path: &mut Vec<String>) {
    for (name, item) in table {
        let key_covers = table
            .key(name)
            .and_then(toml_edit::Key::span)
            .is_some_and(|s| s.contains(&offset));
        if let Item::ArrayOfTables(tables) = item {
            for (n, table) in tables.iter().enumerate() {
                if covers_table(table, offset) {
                    path.push(format!("{name}[{n}]"));
                    return in_table(table, offset, path);
                }
            }
        }
        let item_covers = match item {
            Item::Table(table) => covers_table(table, offset),
            _ => item.span().is_some_and(|s| s.contains(&offset)),
        };
        if key_covers || item_covers {
            path.push(name.to_owned());
            if let Item::Table(table) = item {
                in_table(table, offset, path);
            }
            return;
        }
    }
}

/// A table's own span is its header; it covers what its keys and values cover as well.
fn covers_table(table: &Table, offset: usize) -> bool {
    let own = table.span().is_some_and(|s| s.contains(&offset));
    own || table.iter().any(|(name, item)| {
        let key = table.key(name).and_then(toml_edit::Key::span);
        key.is_some_and(|s| s.contains(&offset))
            || match item {
                Item::Table(inner) => covers_table(inner, offset),
                Item::ArrayOfTables(inner) => inner.iter().any(|t| covers_table(t, offset)),
                _ => item.span().is_some_and(|s| s.contains(&offset)),
            }
    })
}

/// Adds what was probably meant to an error about an unknown name: serde lists the known ones in
/// back quotes after the unknown one.
pub(super) fn suggest(error: Error, message: &str) -> Error {
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else {
        return error;
    };
    if !message.starts_with("unknown ") {
        return error;
    }
    let nearest = names
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 3 => {
            error.hint(format!("did you mean {name:?}?"))
        }
        _ => error,
    }
}
