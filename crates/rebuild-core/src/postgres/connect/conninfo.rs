//! A connection string into its parameters: a URL or `keyword = value`.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>. No message
//! repeats a part of the text that could be a misplaced piece of the password.

use std::iter::Peekable;
use std::str::CharIndices;

use super::keywords;
use crate::error::{Error, Result};

/// A parameter and its value, as written.
pub(crate) type Pair = (String, String);

/// Reads a connection string. A later value of a parameter replaces an earlier one.
///
/// # Errors
/// It is neither kind, is malformed, names more than one host, or has a parameter that libpq
/// does not have.
pub(crate) fn parse(text: &str) -> Result<Vec<Pair>> {
    let text = text.trim();
    for scheme in ["postgres://", "postgresql://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return url(rest);
        }
    }
    if text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '+')
    }) {
        return Err(Error::usage("this URL is not one of a PostgreSQL database")
            .hint("write postgres://user@host:port/database"));
    }
    pairs(text)
}

const ENCODE: &str =
    "write / as %2F, @ as %40, : as %3A and ? as %3F in a user name or password of a URL";

/// `user:password@host:port/database?parameter=value&...`, each part optional.
fn url(rest: &str) -> Result<Vec<Pair>> {
    let mut found = Vec::new();
    let mut put = |name: &str, value: &str| -> Result<()> {
        if !value.is_empty() {
            found.push((name.to_owned(), decode(name, value)?));
        }
        Ok(())
    };
    let mut rest = rest;
    if let Some(at) = rest
        .find(['@', '/'])
        .filter(|at| rest[*at..].starts_with('@'))
    {
        let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
        put("user", user)?;
        put("password", password)?;
        rest = &rest[at + 1..];
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') || database.contains('@') {
        return Err(Error::usage("the URL has an @ or / too many").hint(ENCODE));
    }
    let (host, port) = host_and_port(authority)?;
    put("host", host)?;
    put("port", port)?;
    put("dbname", database)?;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part
            .split_once('=')
            .filter(|(_, value)| !value.contains('='))
            .ok_or_else(|| {
                Error::usage("each part of the URL after its ? must be parameter=value")
                    .hint("write = as %3D and & as %26 in a value")
            })?;
        let name = decode("parameter", name)?;
        let value = decode(&name, value)?;
        // What JDBC's URLs say; libpq reads it the same way.
        if (name.as_str(), value.as_str()) == ("ssl", "true") {
            found.push(("sslmode".to_owned(), "require".to_owned()));
        } else {
            keywords::find(&name)?;
            found.push((name, value));
        }
    }
    Ok(found)
}

fn host_and_port(authority: &str) -> Result<(&str, &str)> {
    if authority.contains(',') {
        return Err(several_hosts());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| Error::usage("the URL has an address with [ and no ]"))?;
            (
                host,
                after.strip_prefix(':').or(after.is_empty().then_some("")),
            )
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            (host, Some(port))
        }
    };
    port.filter(|port| port.chars().all(|c| c.is_ascii_digit()))
        .map(|port| (host, port))
        .ok_or_else(|| Error::usage("the port in the URL is not a number").hint(ENCODE))
}

/// One run works on one server; a list of hosts would leave open which.
pub(super) fn several_hosts() -> Error {
    Error::usage("more than one host is named; a rebuild works on exactly one server")
        .hint("name the one server, which must be the primary")
}

fn decode(name: &str, text: &str) -> Result<String> {
    let malformed = || {
        Error::usage(format!("the {name} in the URL has a malformed % escape"))
            .hint("write a % itself as %25")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|digit| char::from(digit).to_digit(16))
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or_else(malformed)
        };
        match digit()? * 16 + digit()? {
            0 => return Err(malformed()),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// `host = localhost port=5432 password = 'two words'`.
fn pairs(text: &str) -> Result<Vec<Pair>> {
    let mut found: Vec<Pair> = Vec::new();
    let mut rest = text.char_indices().peekable();
    loop {
        skip_space(&mut rest);
        let Some(&(start, _)) = rest.peek() else {
            return Ok(found);
        };
        let name = take_name(&mut rest);
        skip_space(&mut rest);
        if rest.next_if(|(_, c)| *c == '=').is_none() {
            return Err(Error::usage(format!(
                "the connection string has no = after the word at character {}",
                start + 1
            ))
            .hint("write dbname=... for a database; put values with spaces in single quotes"));
        }
        let after_password = found.last().is_some_and(|(name, _)| name == "password");
        keywords::find(&name).map_err(|e| match after_password {
            // It may be the second word of a password that wanted quotes.
            true => Error::usage(format!(
                "the word at character {} of the connection string is no connection parameter",
                start + 1
            ))
            .hint("put a password with spaces in single quotes"),
            false => e,
        })?;
        skip_space(&mut rest);
        let value = take_value(&mut rest).ok_or_else(|| {
            Error::usage(format!("the value of {name} has a ' that is not closed"))
                .hint("write ' as \\' and \\ as \\\\ in a value")
        })?;
        found.push((name, value));
    }
}

type Rest<'a> = Peekable<CharIndices<'a>>;

fn skip_space(rest: &mut Rest<'_>) {
    while rest.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
}

fn take_name(rest: &mut Rest<'_>) -> String {
    let mut name = String::new();
    while let Some((_, c)) = rest.next_if(|(_, c)| *c != '=' && !c.is_ascii_whitespace()) {
        name.push(c);
    }
    name
}

/// A value, quoted or not, or nothing if its quote is not closed. A backslash takes the next
/// character as it is, in either kind.
fn take_value(rest: &mut Rest<'_>) -> Option<String> {
    let quoted = rest.next_if(|(_, c)| *c == '\'').is_some();
    let mut value = String::new();
    loop {
        match rest.peek().map(|(_, c)| *c) {
            None => return (!quoted).then_some(value),
            Some(c) if !quoted && c.is_ascii_whitespace() => return Some(value),
            Some(c) => {
                rest.next();
                match c {
                    '\'' if quoted => return Some(value),
                    '\\' => value.extend(rest.next().map(|(_, c)| c)),
                    _ => value.push(c),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let pairs = parse(text).expect(text);
        let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("|")
    }

    #[test]
    fn strings_are_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("", ""),
            ("  ", ""),
            ("host=a port=5", "host=a|port=5"),
            ("host = a\n port\t= 5 ", "host=a|port=5"),
            ("password='two words'user=u", "password=two words|user=u"),
            (r"password='it\'s \\ it'", r"password=it's \ it"),
            (r"password=a\ b user=u", "password=a b|user=u"),
            (r"password=a'b\'c", "password=a'b'c"),
            ("host= port=1", "host=port=1"),
            ("host='' port=1", "host=|port=1"),
            (r"password=a\", "password=a"),
            ("postgres://", ""),
            ("postgresql://localhost", "host=localhost"),
            ("postgres:///db", "dbname=db"),
            (
                "postgres://u:p@h:5433/db?connect_timeout=3&application_name=x",
                "user=u|password=p|host=h|port=5433|dbname=db|connect_timeout=3|application_name=x",
            ),
            (
                "postgres://u%40x:p%2F%3A%25@h/d%20b",
                "user=u@x|password=p/:%|host=h|dbname=d b",
            ),
            ("postgres://u@/db?host=/tmp", "user=u|dbname=db|host=/tmp"),
            ("postgres://u:a:b?c@h", "user=u|password=a:b?c|host=h"),
            ("postgres://%2Fvar%2Frun/db", "host=/var/run|dbname=db"),
            ("postgres://[::1]:5/db", "host=::1|port=5|dbname=db"),
            ("postgres://[2001:db8::1]/", "host=2001:db8::1"),
            ("postgres://h/d/b", "host=h|dbname=d/b"),
            ("postgres://h:/db", "host=h|dbname=db"),
            ("postgres://h?ssl=true", "host=h|sslmode=require"),
            (
                "postgres://h/?user=other&password=p%26",
                "host=h|user=other|password=p&",
            ),
            ("postgres://h/%C3%A4", "host=h|dbname=ä"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_named_and_never_quoted_from_the_password() {
        for (text, expected) in [
            ("mydb", "no = after the word at character 1"),
            ("host=a hunter2", "no = after the word at character 8"),
            ("password=hunter2 hunter2=3", "the word at character 18"),
            ("password='hunter2", "the value of password has a '"),
            ("hots=a", "\"hots\" is no connection parameter"),
            ("mysql://u:hunter2@h/db", "not one of a PostgreSQL database"),
            ("postgres://u:p/hunter2@h/db", "an @ or / too many"),
            ("postgres://u:p@hunter2@h/db", "an @ or / too many"),
            (
                "postgres://u:p%hunter2@h/db",
                "the password in the URL has a malformed",
            ),
            (
                "postgres://u:%FFhunter2@h/db",
                "the password in the URL has a malformed",
            ),
            (
                "postgres://u:hunter2%00@h/db",
                "the password in the URL has a malformed",
            ),
            ("postgres://u:hunter2@a,b/db", "more than one host"),
            ("postgres://u:hunter2@a:1,b:2/db", "more than one host"),
            ("postgres://u:hunter2@[::1/db", "[ and no ]"),
            (
                "postgres://u:hunter2@h:x/db",
                "port in the URL is not a number",
            ),
            (
                "postgres://u:hunter2@h/db?ssl_mode=require",
                "\"ssl_mode\" is no connection",
            ),
            (
                "postgres://u:hunter2@h/db?hunter2",
                "must be parameter=value",
            ),
            ("postgres://u/x:hunter2@h/db", "an @ or / too many"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains(expected), "{text}: {error}");
            let shown = format!("{error:?}");
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
    }
}
