//! What comes after the rows, from pg_dump's own SQL: which of it builds an index, which is a
//! foreign key, and which simply has its place in the order.

use super::work::Work;
use crate::error::Result;
use crate::model::TableName;
use crate::postgres::qualified;

/// How the lines begin that come before the first object in a script of pg_dump.
const HEAD: [&str; 3] = ["--", "SET ", "\\restrict "];

/// Removes what a script of pg_dump says to psql alone. Two lines keep psql from running commands
/// in the middle of it (<https://www.postgresql.org/docs/current/app-psql.html>): the first command
/// of the script and the last, with the same key. Another says that the script's text is in no
/// known encoding; where it is UTF-8 nevertheless, so is what the server gets.
pub(in crate::postgres) fn for_a_session(sql: &str) -> String {
    let key = sql
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with("--"))
        .and_then(|line| line.strip_prefix("\\restrict "));
    let restriction = key.map(|key| [format!("\\restrict {key}"), format!("\\unrestrict {key}")]);
    let mut at_the_head = true;
    // With the ends of the lines: in the text of a function they are part of it.
    sql.split_inclusive('\n')
        .filter(|line| {
            let line = line.trim_end_matches('\n');
            at_the_head &= line.is_empty() || HEAD.iter().any(|start| line.starts_with(start));
            let no_encoding = at_the_head && line == "SET client_encoding = 'SQL_ASCII';";
            let of_psql = restriction.iter().flatten().any(|r| r == line);
            !no_encoding && !of_psql
        })
        .collect()
}

/// Turns the statements of the post-data section into pieces of work, in their order. Settings
/// of the session at the head of the script are not among them; those for single statements go
/// with the statements.
///
/// # Errors
/// A name in a statement cannot be one.
pub(super) fn work_of<'a>(statements: impl IntoIterator<Item = &'a str>) -> Result<Vec<Work>> {
    let mut settings = Settings::default();
    let mut work = Vec::new();
    for statement in statements {
        let statement = statement.trim().trim_end_matches(';');
        if statement.is_empty() || settings.take(statement) || is_session_setting(statement) {
            continue;
        }
        work.push(classify(statement, settings.before(statement))?);
    }
    Ok(work)
}

/// pg_dump sets these for the statements that follow.
#[derive(Default)]
struct Settings {
    tablespace: Option<String>,
    access_method: Option<String>,
}

impl Settings {
    fn take(&mut self, statement: &str) -> bool {
        let value = |name: &str| {
            statement
                .strip_prefix("SET ")
                .and_then(|s| s.strip_prefix(name))
                .map(|s| Some(s.trim_start_matches([' ', '=']).to_owned()))
        };
        if let Some(tablespace) = value("default_tablespace") {
            self.tablespace = tablespace.filter(|t| t != "''");
            return true;
        }
        if let Some(method) = value("default_table_access_method") {
            self.access_method = method;
            return true;
        }
        false
    }

    fn before(&self, statement: &str) -> String {
        let mut sql = String::new();
        if let Some(tablespace) = &self.tablespace {
            sql.push_str(&format!("SET LOCAL default_tablespace = {tablespace};\n"));
        }
        if let Some(method) = &self.access_method {
            sql.push_str(&format!(
                "SET LOCAL default_table_access_method = {method};\n"
            ));
        }
        sql.push_str(statement);
        sql
    }
}

/// Every session of ours has them already.
pub(super) fn is_session_setting(statement: &str) -> bool {
    statement.starts_with("SET ")
        || statement.starts_with("SELECT pg_catalog.set_config('search_path'")
}

fn classify(statement: &str, sql: String) -> Result<Work> {
    let mut words = Words(statement);
    if words.skip("CREATE") {
        words.skip("UNIQUE");
        if words.skip("INDEX") && words.name().is_some() && words.skip("ON") {
            words.skip("ONLY");
            if let Some(table) = words.table() {
                return Ok(Work::Build {
                    sql,
                    table: qualified(&table)?,
                    exclusive: false,
                });
            }
        }
    } else if words.skip("ALTER") {
        if words.skip("INDEX") {
            if words.table().is_some() && words.skip("ATTACH") {
                return Ok(Work::Attach { sql });
            }
        } else if words.skip("TABLE") {
            words.skip("ONLY");
            if let Some(table) = words.table()
                && words.skip("ADD")
                && words.skip("CONSTRAINT")
                && let Some(name) = words.name()
            {
                return constraint(words, &table, name, sql);
            }
        }
    }
    Ok(Work::Then { sql })
}

fn constraint(mut words: Words<'_>, table: &TableName, name: String, sql: String) -> Result<Work> {
    let table = qualified(table)?;
    if words.skip("PRIMARY") || words.skip("UNIQUE") || words.skip("EXCLUDE") {
        return Ok(Work::Build {
            sql,
            table,
            exclusive: true,
        });
    }
    if !words.skip("FOREIGN") {
        return Ok(Work::Then { sql });
    }
    let mut tables = vec![table];
    while !words.0.is_empty() && !words.skip("REFERENCES") {
        words.next();
    }
    if let Some(other) = words.table() {
        tables.push(qualified(&other)?);
    }
    // What was never checked, or is not enforced, is not known to hold.
    let unchecked = sql.ends_with("NOT VALID") || sql.ends_with("NOT ENFORCED");
    let held_as = (tables.len() == 2 && !unchecked).then_some(name);
    Ok(Work::ForeignKey {
        sql,
        tables,
        held_as,
    })
}

/// Just enough of a lexer for the heads of statements that pg_dump writes.
struct Words<'a>(&'a str);

impl Words<'_> {
    /// Skips `word` if it comes next.
    fn skip(&mut self, word: &str) -> bool {
        let rest = self.0.trim_start();
        let Some(after) = rest.strip_prefix(word) else {
            return false;
        };
        if after.starts_with(is_name_char) {
            return false;
        }
        self.0 = after.trim_start();
        true
    }

    /// Skips a name, a quoted one included, or one other character.
    fn next(&mut self) {
        if self.name().is_none() {
            let mut chars = self.0.chars();
            chars.next();
            self.0 = chars.as_str();
        }
    }

    /// A name, without its quotes.
    fn name(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            while let Some((at, c)) = chars.next() {
                if c != '"' {
                    name.push(c);
                } else if chars.next_if(|(_, c)| *c == '"').is_some() {
                    name.push('"');
                } else {
                    self.0 = quoted[at + 1..].trim_start();
                    return Some(name);
                }
            }
            return None;
        }
        let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let name = rest[..end].to_owned();
        self.0 = rest[end..].trim_start();
        Some(name)
    }

    /// `schema.name`.
    fn table(&mut self) -> Option<TableName> {
        let schema = self.name()?;
        self.0 = self.0.strip_prefix('.')?;
        Some(TableName::new(schema, self.name()?))
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(statement: &str) -> Work {
        work_of([statement]).expect("work").remove(0)
    }

    #[test]
    fn statements_are_told_apart() {
        let build = |sql: &str, table: &str, exclusive| Work::Build {
            sql: sql.to_owned(),
            table: table.to_owned(),
            exclusive,
        };
        let sql = "CREATE INDEX i ON ks.measure USING btree (a)";
        assert_eq!(
            one(&format!("\n{sql};\n")),
            build(sql, "\"ks\".\"measure\"", false)
        );
        let sql = "CREATE UNIQUE INDEX \"a b\" ON ONLY \"S \"\"x\".t USING btree (a)";
        assert_eq!(one(sql), build(sql, "\"S \"\"x\".\"t\"", false));
        let sql = "ALTER TABLE ONLY ks.\"select\"\n    ADD CONSTRAINT c PRIMARY KEY (\"from\")";
        assert_eq!(one(sql), build(sql, "\"ks\".\"select\"", true));
        let sql = "ALTER TABLE ONLY a.b\n    ADD CONSTRAINT \"c REFERENCES x.y\" FOREIGN KEY (\"REFERENCES q.r\") REFERENCES \"Ö\".d(id) DEFERRABLE";
        assert_eq!(
            one(sql),
            Work::ForeignKey {
                sql: sql.to_owned(),
                tables: vec!["\"a\".\"b\"".to_owned(), "\"Ö\".\"d\"".to_owned()],
                held_as: Some("c REFERENCES x.y".to_owned()),
            }
        );
        let sql = "ALTER INDEX ks.a ATTACH PARTITION ks.b";
        assert_eq!(
            one(sql),
            Work::Attach {
                sql: sql.to_owned()
            }
        );
        for sql in [
            "ALTER TABLE ks.a ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID",
            "ALTER TABLE ks.a CLUSTER ON b",
            "ALTER INDEX ks.a ALTER COLUMN 2 SET STATISTICS 77",
            "CREATE TRIGGER t AFTER INSERT ON ks.a FOR EACH ROW EXECUTE FUNCTION ks.f()",
            "COMMENT ON INDEX ks.a IS 'CREATE INDEX x ON a.b'",
        ] {
            assert_eq!(
                one(sql),
                Work::Then {
                    sql: sql.to_owned()
                }
            );
        }
    }

    #[test]
    fn settings_go_with_their_statements() {
        let work = work_of([
            "SET statement_timeout = 0",
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "SET default_tablespace = ''",
            "SET default_tablespace = fast",
            "CREATE INDEX i ON a.b USING btree (c)",
            "SET default_tablespace = ''",
            "CREATE INDEX j ON a.b USING btree (d)",
        ])
        .expect("work");
        assert_eq!(work.len(), 2);
        assert!(matches!(&work[0], Work::Build { sql, .. }
            if sql.starts_with("SET LOCAL default_tablespace = fast;\nCREATE INDEX i")));
        assert!(matches!(&work[1], Work::Build { sql, .. } if sql.starts_with("CREATE INDEX j")));
    }

    #[test]
    fn what_is_for_psql_is_taken_off_and_nothing_else() {
        let sql = "--\n-- dump\n\n\\restrict Ab1\nSELECT '\n\\restrict x\n';\n\\unrestrict Ab1\n";
        assert_eq!(
            for_a_session(sql),
            "--\n-- dump\n\nSELECT '\n\\restrict x\n';\n"
        );
        assert_eq!(for_a_session("SELECT 1;\n"), "SELECT 1;\n");
        let set = "SET client_encoding = 'SQL_ASCII';\n";
        let sql = format!("SET lock_timeout = 0;\n{set}\nSELECT '\r\n{set}';\n");
        assert_eq!(
            for_a_session(&sql),
            format!("SET lock_timeout = 0;\n\nSELECT '\r\n{set}';\n")
        );
    }
}
