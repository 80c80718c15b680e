//! Patterns of names, of tables and of columns.

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};
use crate::model::TableName;

/// Patterns of names, with `*`, `?`, `[a-z]` and `{one,two}`, which stand for what they do in
/// file names; but a slash is a letter like any other.
#[derive(Clone, Debug, Default)]
pub struct NamePatterns(Vec<GlobMatcher>);

impl NamePatterns {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// Wrong input if one of them cannot be read; it is named.
    pub fn compile(patterns: &[String]) -> Result<Self> {
        let compile = |text: &String| glob(text, text);
        patterns
            .iter()
            .map(compile)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// True if a pattern matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.is_match(name))
    }
}

/// Patterns of `schema.table`, or of `schema.table.column`. Each part is a pattern as in
/// [`NamePatterns`], or stands for itself in double quotes (`"My Schema"."T"`), in which a double
/// quote is written twice. A part that holds a dot must be quoted.
#[derive(Clone, Debug, Default)]
pub struct TablePatterns(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    /// As it was written.
    text: String,
    schema: GlobMatcher,
    table: GlobMatcher,
    column: Option<GlobMatcher>,
}

impl TablePatterns {
    /// Compiles patterns of tables.
    ///
    /// # Errors
    /// Wrong input if one of them has no schema, names a column, or cannot be read; it is named.
    pub fn compile(patterns: &[String]) -> Result<Self> {
        let compiled = Self::with_columns(patterns)?;
        let of_column = |pattern: &Pattern| pattern.column.is_some();
        match compiled.0.iter().position(of_column) {
            Some(at) => Err(no_table(&patterns[at], "it has more than two parts")),
            None => Ok(compiled),
        }
    }

    /// Compiles patterns of tables and of columns.
    ///
    /// # Errors
    /// Wrong input if one of them has no schema, or cannot be read; it is named.
    pub fn with_columns(patterns: &[String]) -> Result<Self> {
        let compile = |text: &String| {
            let parts = parts(text)?;
            let column = match &parts[..] {
                [_, _] => None,
                [_, _, column] => Some(column.matcher(text)?),
                [_] => return Err(no_table(text, "it has no schema")),
                _ => return Err(no_table(text, "it has more than three parts")),
            };
            Ok(Pattern {
                text: text.clone(),
                schema: parts[0].matcher(text)?,
                table: parts[1].matcher(text)?,
                column,
            })
        };
        patterns
            .iter()
            .map(compile)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// True if there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if a pattern matches the table.
    pub fn matches(&self, table: &TableName) -> bool {
        self.0.iter().any(|p| p.column.is_none() && p.is_in(table))
    }

    /// The patterns that match none of the tables, as they were written.
    pub fn without_match(&self, tables: &[&TableName]) -> Vec<&str> {
        let matches = |p: &&Pattern| tables.iter().any(|table| p.is_in(table));
        let without = self.0.iter().filter(|p| !matches(p));
        without.map(|p| p.text.as_str()).collect()
    }

    /// True if a pattern matches the column, or the whole table.
    pub fn matches_column(&self, table: &TableName, column: &str) -> bool {
        let takes = |p: &Pattern| p.column.as_ref().is_none_or(|c| c.is_match(column));
        self.0.iter().any(|p| p.is_in(table) && takes(p))
    }
}

impl Pattern {
    fn is_in(&self, table: &TableName) -> bool {
        self.schema.is_match(&table.schema) && self.table.is_match(&table.name)
    }
}

/// One part of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it says, without its quotes.
    pub(crate) text: String,
    /// True if it stands for itself.
    quoted: bool,
}

impl Part {
    fn matcher(&self, pattern: &str) -> Result<GlobMatcher> {
        if self.quoted {
            glob(pattern, &globset::escape(&self.text))
        } else {
            glob(pattern, &self.text)
        }
    }
}

fn glob(pattern: &str, text: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build()
        .map(|g: Glob| g.compile_matcher())
        .map_err(|e| Error::usage(format!("{pattern:?} is not a pattern: {}", e.kind())))
}

/// The parts of a name: one or more, with a dot between each two.
///
/// # Errors
/// Wrong input if one of them is empty, or is quoted wrongly.
pub(crate) fn parts(text: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = part(rest).ok_or_else(|| no_table(text, "it is not well formed"))?;
        parts.push(part);
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after
            .strip_prefix('.')
            .ok_or_else(|| no_table(text, "it is not well formed"))?;
    }
}

/// The error for `text` that names no table.
pub(crate) fn no_table(text: &str, why: &str) -> Error {
    Error::usage(format!("{text:?} does not name a table: {why}"))
        .hint("write it as schema.table, for example public.users or \"My Schema\".\"T\"")
}

/// The first part of `text`, and what follows it.
fn part(text: &str) -> Option<(Part, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        let (bare, rest) = text.split_at(end);
        let part = Part {
            text: bare.to_owned(),
            quoted: false,
        };
        return (!bare.is_empty()).then_some((part, rest));
    };
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => break,
        }
    }
    let part = Part {
        text: name,
        quoted: true,
    };
    (!part.text.is_empty()).then_some((part, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(patterns: &[&str]) -> Result<TablePatterns> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        TablePatterns::with_columns(&patterns)
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        let patterns = compile(&["public.audit_*", "log?.*", "\"*\".\"[x]\""]).expect("patterns");
        for (schema, name, picked) in [
            ("public", "audit_2026/01", true),
            ("public", "my_audit_log", false),
            ("log1", "anything", true),
            ("logs_", "anything", false),
            ("log1.a", "anything", false),
            ("*", "[x]", true),
            ("a", "x", false),
        ] {
            let table = TableName::new(schema, name);
            assert_eq!(patterns.matches(&table), picked, "{table}");
        }
    }

    #[test]
    fn a_column_is_left_to_patterns_of_it_or_of_its_table() {
        let patterns = compile(&["audit.*", "public.user.legacy_*", "public.*_log"]);
        let patterns = patterns.expect("patterns");
        let table = |schema, name| TableName::new(schema, name);
        let user = table("public", "user");
        assert!(!patterns.matches(&user));
        assert!(patterns.matches_column(&user, "legacy_id"));
        assert!(!patterns.matches_column(&user, "id"));
        assert!(patterns.matches_column(&table("audit", "x"), "y"));
        // A star does not reach from one part into the next.
        assert!(!patterns.matches_column(&user, "login_log"));
        assert!(patterns.matches_column(&table("public", "login_log"), "at"));
    }

    #[test]
    fn what_is_no_pattern_of_tables_is_refused() {
        for text in ["audit_*", "*", "public.[a", "a.b.c.d", "a..b", "\"a.b", ""] {
            let error = compile(&[text]).expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        let of_column = ["public.user.id".to_owned()];
        assert!(TablePatterns::compile(&of_column).is_err());
    }

    #[test]
    fn names_are_matched_whole() {
        let patterns = NamePatterns::compile(&["app/*".to_owned(), "{web,job}".to_owned()]);
        let patterns = patterns.expect("patterns");
        for (name, picked) in [("app/web/1", true), ("job", true), ("job2", false)] {
            assert_eq!(patterns.matches(name), picked, "{name}");
        }
        assert!(NamePatterns::compile(&["[".to_owned()]).is_err());
    }
}
