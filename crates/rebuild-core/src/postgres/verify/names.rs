//! Names and patterns of tables, as a spec writes them.

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};
use crate::model::TableName;
use crate::postgres::ident;

/// One part of a name.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    text: String,
    quoted: bool,
}

/// The table that `text` names: `schema.name`, each exactly as the catalog stores it, or in
/// double quotes (`"My Schema"."T"`), in which a double quote is written twice. A part that holds
/// a dot or a double quote must be quoted. Letters are never folded to lower case.
///
/// # Errors
/// Wrong input if there is no schema, or a part cannot be a name.
pub fn table_name(text: &str) -> Result<TableName> {
    let (schema, name) = two_parts(text)?;
    ident(&schema.text)?;
    ident(&name.text)?;
    Ok(TableName::new(schema.text, name.text))
}

/// Patterns of tables: `schema.name` in which `*`, `?`, `[a-z]` and `{one,two}` stand for what
/// they do in file names; a part in double quotes stands for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct TablePatterns(Vec<(GlobMatcher, GlobMatcher)>);

impl TablePatterns {
    /// Reads each of `patterns`.
    ///
    /// # Errors
    /// Wrong input if one has no schema or is no pattern.
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        patterns
            .iter()
            .map(|text| {
                let (schema, name) = two_parts(text)?;
                Ok((matcher(text, &schema)?, matcher(text, &name)?))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// True if one of the patterns picks `table`.
    pub(super) fn pick(&self, table: &TableName) -> bool {
        self.0
            .iter()
            .any(|(schema, name)| schema.is_match(&table.schema) && name.is_match(&table.name))
    }
}

fn matcher(pattern: &str, part: &Part) -> Result<GlobMatcher> {
    let glob = if part.quoted {
        Glob::new(&globset::escape(&part.text))
    } else {
        // A slash is a letter like any other here.
        GlobBuilder::new(&part.text)
            .literal_separator(false)
            .backslash_escape(true)
            .build()
    };
    glob.map(|g| g.compile_matcher()).map_err(|e| {
        Error::usage(format!(
            "{pattern:?} is not a pattern of tables: {}",
            e.kind()
        ))
    })
}

fn two_parts(text: &str) -> Result<(Part, Part)> {
    let wrong = |why: &str| {
        Error::usage(format!("{text:?} does not name a table: {why}"))
            .hint("write it as schema.table, for example public.users or \"My Schema\".\"T\"")
    };
    let (schema, rest) = part(text).ok_or_else(|| wrong("its schema is not well formed"))?;
    let rest = rest
        .strip_prefix('.')
        .ok_or_else(|| wrong("it has no schema"))?;
    let (name, rest) = part(rest).ok_or_else(|| wrong("the name is not well formed"))?;
    if !rest.is_empty() {
        return Err(wrong("it has more than two parts"));
    }
    Ok((schema, name))
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

    #[test]
    fn names_keep_their_letters() {
        for (text, schema, name) in [
            ("public.gpu", "public", "gpu"),
            ("Public.Größe", "Public", "Größe"),
            ("\"My Schema\".\"T\"", "My Schema", "T"),
            ("a b.\"x.\"\"y\"\"\"", "a b", "x.\"y\""),
        ] {
            assert_eq!(
                table_name(text).expect(text),
                TableName::new(schema, name),
                "{text}"
            );
        }
    }

    #[test]
    fn what_has_no_schema_is_refused() {
        for text in [
            "", "gpu", "\"gpu\"", ".gpu", "public.", "a.b.c", "\"a.b", "a\"b\".c", "\"\".a",
            "\"a\"b.c",
        ] {
            let error = table_name(text).expect_err(text);
            assert!(
                error.to_string().contains("does not name a table"),
                "{error}"
            );
        }
        assert!(table_name(&format!("public.{}", "x".repeat(64))).is_err());
    }

    #[test]
    fn patterns_match_whole_names() {
        let patterns = TablePatterns::new(&[
            "public.audit_*".into(),
            "log?.*".into(),
            "\"*\".\"[x]\"".into(),
        ])
        .expect("patterns");
        for (schema, name, picked) in [
            ("public", "audit_2026/01", true),
            ("public", "my_audit_log", false),
            ("log1", "anything", true),
            ("logs_", "anything", false),
            ("*", "[x]", true),
            ("a", "x", false),
        ] {
            let table = TableName::new(schema, name);
            assert_eq!(patterns.pick(&table), picked, "{table}");
        }
        assert!(TablePatterns::new(&["audit_*".into()]).is_err());
        assert!(TablePatterns::new(&["public.[a".into()]).is_err());
    }
}
