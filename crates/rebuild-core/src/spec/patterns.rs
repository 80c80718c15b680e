//! Patterns of tables and columns.

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};
use crate::model::TableName;

/// Patterns of `schema.table`, or `schema.table.column`, with `*`, `?`, `[…]` and `{a,b}`. A `*`
/// may match a dot.
#[derive(Clone, Debug, Default)]
pub struct TablePatterns(Vec<GlobMatcher>);

impl TablePatterns {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// One of them cannot be read; it is named.
    pub fn compile(patterns: &[String]) -> Result<Self> {
        let compile = |pattern: &String| {
            GlobBuilder::new(pattern)
                .literal_separator(false)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|e| Error::usage(format!("{pattern:?} is not a pattern")).caused_by(e))
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
        self.matches_text(&table.to_string())
    }

    /// True if a pattern matches the column, or the whole table.
    pub fn matches_column(&self, table: &TableName, column: &str) -> bool {
        self.matches(table) || self.matches_text(&format!("{table}.{column}"))
    }

    fn matches_text(&self, text: &str) -> bool {
        self.0.iter().any(|glob| glob.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let patterns = ["public.log_*", "audit.*", "public.user.legacy"].map(str::to_owned);
        let patterns = TablePatterns::compile(&patterns).expect("patterns");
        let table = |s: &str, n: &str| TableName::new(s, n);
        assert!(patterns.matches(&table("public", "log_2024")));
        assert!(!patterns.matches(&table("public", "catalog_x")));
        assert!(patterns.matches(&table("audit", "x")));
        assert!(!patterns.matches(&table("public", "user")));
        assert!(patterns.matches_column(&table("public", "user"), "legacy"));
        assert!(!patterns.matches_column(&table("public", "user"), "id"));
        assert!(patterns.matches_column(&table("audit", "x"), "y"));
        assert!(TablePatterns::compile(&["[".to_owned()]).is_err());
    }
}
