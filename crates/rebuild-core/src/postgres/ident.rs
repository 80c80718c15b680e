//! The one place where names and literals become SQL.

use crate::error::{Error, Result};
use crate::model::TableName;

/// The longest name that PostgreSQL keeps whole, in bytes (`NAMEDATALEN` - 1); longer ones are
/// cut in silence, which has dropped the wrong database before.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// `name` as a quoted identifier
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>).
///
/// # Errors
/// A refusal if it is empty, longer than 63 bytes or has a NUL byte.
pub fn ident(name: &str) -> Result<String> {
    if name.is_empty() || name.len() > MAX_IDENTIFIER_BYTES || name.contains('\0') {
        return Err(Error::usage(format!(
            "{name:?} cannot be a PostgreSQL identifier: it has {} bytes, and 1 to {MAX_IDENTIFIER_BYTES} without NUL are allowed",
            name.len()
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// `schema.name`, both quoted.
///
/// # Errors
/// As [`ident`].
pub fn qualified(table: &TableName) -> Result<String> {
    Ok(format!("{}.{}", ident(&table.schema)?, ident(&table.name)?))
}

/// `name` as a quoted identifier made of ASCII alone, with Unicode escapes: it means the same
/// whatever `client_encoding` is, as long as the server's encoding is not `SQL_ASCII` and
/// `standard_conforming_strings` is on.
///
/// # Errors
/// As [`ident`].
pub fn ascii_ident(name: &str) -> Result<String> {
    let quoted = ident(name)?;
    if quoted.is_ascii() {
        return Ok(quoted);
    }
    Ok(format!("U&{}", escaped(&quoted)))
}

/// `text` as a string constant that means the same whatever `standard_conforming_strings` says
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE>).
/// For statements that take no parameters (DDL).
///
/// # Errors
/// A refusal if it has a NUL byte.
pub fn literal(text: &str) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::usage(
            "a NUL byte cannot be part of a PostgreSQL string",
        ));
    }
    let doubled = text.replace('\'', "''");
    Ok(if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    })
}

/// `text` as a string constant made of ASCII alone, with Unicode escapes: it means the same under
/// the same conditions as [`ascii_ident`].
///
/// # Errors
/// As [`literal`].
pub(crate) fn ascii_literal(text: &str) -> Result<String> {
    let quoted = literal(text)?;
    if quoted.is_ascii() {
        return Ok(quoted);
    }
    Ok(format!("U&'{}'", escaped(&text.replace('\'', "''"))))
}

/// Unicode escapes for all that is not ASCII
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-UESCAPE>).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\+{:06X}", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::postgres::Session;
    use crate::testing::{cluster, scratch_database};

    /// Names of every character that a name can have, and texts of every one there is.
    #[tokio::test]
    async fn every_character_comes_back_from_the_server() {
        let cluster = cluster().await.expect("a server");
        let endpoint = scratch_database(&cluster).await.expect("a database");
        let session = Session::open(&endpoint, "a test").await.expect("a session");
        let ascii: Vec<char> = (1..=127).filter_map(char::from_u32).collect();
        let planes = [
            '\u{80}',
            '\u{a0}',
            'é',
            '\u{202e}',
            '漢',
            '\u{ffff}',
            '\u{1f40d}',
            '\u{10ffff}',
        ];
        let all: Vec<char> = ascii.into_iter().chain(planes).collect();
        let mut names: Vec<String> = all.chunks(15).map(|some| some.iter().collect()).collect();
        names.extend(
            [
                "\"; drop table t; --",
                "$$",
                "E'\\",
                "a\\\"b",
                "U&\"\\0041\"",
            ]
            .map(str::to_owned),
        );
        for name in &names {
            for quoted in [ident(name), ascii_ident(name)] {
                let quoted = quoted.expect("a name");
                let made = format!("create temp table {quoted} ({quoted} int)");
                session.batch_execute(&made).await.expect(&made);
                let found = "select relname::text from pg_catalog.pg_class
                    order by oid desc limit 1";
                let found = session.query_one(found, &[]).await.expect(found);
                assert_eq!(found.get::<_, &str>(0), name);
                let dropped = format!("drop table pg_temp.{quoted}");
                session.batch_execute(&dropped).await.expect(&dropped);
            }
            for setting in ["on", "off"] {
                let set = format!("set standard_conforming_strings = {setting}");
                session.batch_execute(&set).await.expect("set");
                let sql = format!("select {}", literal(name).expect("a text"));
                let found = session.query_one(&sql, &[]).await.expect(&sql);
                assert_eq!(found.get::<_, &str>(0), name, "{setting}");
            }
            let set = "set standard_conforming_strings = on";
            session.batch_execute(set).await.expect("set");
        }
    }

    /// What a constant or a name with Unicode escapes means.
    fn meant(escaped: &str) -> String {
        let mut out = String::new();
        let mut rest = escaped;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('\\') {
                out.push('\\');
                rest = after;
            } else {
                let code = u32::from_str_radix(&rest[1..7], 16).expect("six digits");
                out.extend(char::from_u32(code));
                rest = &rest[7..];
            }
        }
        out + rest
    }

    proptest! {
        #[test]
        fn any_name_and_any_text_means_itself(text in r#"[a-zé🦀'"\\$;\-/*\n \x01]{0,30}"#) {
            let quoted = literal(&text).expect("no NUL byte");
            let plain = match quoted.strip_prefix('E') {
                Some(escaped) => escaped.replace("\\\\", "\\"),
                None => quoted.clone(),
            };
            prop_assert_eq!(plain[1..plain.len() - 1].replace("''", "'"), text.as_str());
            let ascii = ascii_literal(&text).expect("no NUL byte");
            prop_assert!(ascii.is_ascii());
            if let Some(escaped) = ascii.strip_prefix("U&'") {
                let doubled = meant(&escaped[..escaped.len() - 1]);
                prop_assert_eq!(doubled.replace("''", "'"), text.as_str());
            } else {
                prop_assert_eq!(ascii, quoted);
            }
            let Ok(name) = ident(&text) else {
                prop_assert!(text.is_empty() || text.len() > MAX_IDENTIFIER_BYTES);
                return Ok(());
            };
            prop_assert_eq!(name[1..name.len() - 1].replace("\"\"", "\""), text.as_str());
            let ascii = ascii_ident(&text).expect("as the other");
            prop_assert!(ascii.is_ascii());
            if let Some(escaped) = ascii.strip_prefix("U&\"") {
                let doubled = meant(&escaped[..escaped.len() - 1]);
                prop_assert_eq!(doubled.replace("\"\"", "\""), text);
            }
        }
    }

    #[test]
    fn quotes_are_doubled_and_bad_names_refused() {
        assert_eq!(ident("select").expect("fine"), "\"select\"");
        assert_eq!(ident("a\"b").expect("fine"), "\"a\"\"b\"");
        assert!(ident("").is_err());
        assert!(ident(&"x".repeat(64)).is_err());
        assert!(ident("a\0b").is_err());
        assert_eq!(ascii_ident("a\"b").expect("fine"), "\"a\"\"b\"");
        assert_eq!(ascii_ident("né\\").expect("fine"), "U&\"n\\+0000E9\\\\\"");
        assert_eq!(literal("it's").expect("fine"), "'it''s'");
        assert_eq!(literal("a\\'b").expect("fine"), "E'a\\\\''b'");
        assert_eq!(ascii_literal("it's").expect("fine"), "'it''s'");
        assert_eq!(ascii_literal("é'\\").expect("fine"), "U&'\\+0000E9''\\\\'");
    }
}
