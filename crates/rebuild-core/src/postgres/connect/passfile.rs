//! The password file.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// What a line of the file is matched against.
pub(super) struct Login<'a> {
    /// The names under which the server may be listed.
    pub(super) hosts: &'a [String],
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line of `file` that matches. No file, or something that is not a
/// plain file, holds none.
///
/// # Errors
/// Others than its owner may read the file, or it cannot be read.
pub(super) fn find(file: &Path, login: &Login<'_>) -> Result<Option<Secret>> {
    let unreadable = |e| {
        Error::new(
            ErrorKind::Io,
            format!("could not read the password file {}", file.display()),
        )
        .caused_by(e)
    };
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::usage(format!(
            "others than its owner may read the password file {}",
            file.display()
        ))
        .hint(format!("chmod 600 {}", file.display())));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().find_map(|line| password(line, login)))
}

fn password(line: &str, login: &Login<'_>) -> Option<Secret> {
    if line.starts_with('#') {
        return None;
    }
    let (host, rest) = field(line)?;
    let (port, rest) = field(rest)?;
    let (database, rest) = field(rest)?;
    let (user, rest) = field(rest)?;
    let matches = |pattern: &str, text: &str| pattern == "*" || unescape(pattern) == text;
    let all = login.hosts.iter().any(|name| matches(host, name))
        && matches(port, &login.port.to_string())
        && matches(database, login.database)
        && matches(user, login.user);
    (all && !rest.is_empty()).then(|| Secret::new(unescape(rest)))
}

/// One field as written, and what comes after its colon.
fn field(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&line[..end], &line[end + 1..]))
}

/// A backslash takes the next character as it is.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.push(rest.next().unwrap_or('\\')),
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login(hosts: &[String]) -> Login<'_> {
        Login {
            hosts,
            port: 5432,
            database: "d:b",
            user: "u",
        }
    }

    #[test]
    fn lines_match_by_field() {
        let hosts = ["localhost".to_owned(), "/tmp".to_owned()];
        for (line, expected) in [
            (r"localhost:5432:d\:b:u:pw", Some("pw")),
            ("*:*:*:*:pw", Some("pw")),
            (r"/tmp:*:d\:b:*:a\:b\\c:d", Some(r"a:b\c:d")),
            (r"*:*:*:\u:p", Some("p")),
            (r"*:*:*:*:p\", Some(r"p\")),
            ("*:*:*:*: spaced ", Some(" spaced ")),
            ("*:*:*:*:", None),
            ("*:*:d:*:pw", None),
            ("*:5433:*:*:pw", None),
            ("*:*:*:\\*:pw", None),
            ("other:*:*:*:pw", None),
            ("#*:*:*:*:pw", None),
            ("*:*:pw", None),
            ("", None),
        ] {
            let found = password(line, &login(&hosts));
            assert_eq!(found.as_ref().map(Secret::expose), expected, "{line}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("pass");
        let hosts = ["h".to_owned()];
        assert!(find(&file, &login(&hosts)).expect("missing").is_none());
        assert!(find(dir.path(), &login(&hosts)).expect("folder").is_none());
        std::fs::write(&file, "x:1:a:b:c\r\n*:*:*:*:first\n*:*:*:*:second\n").expect("write");
        for (mode, allowed) in [(0o640, false), (0o604, false), (0o600, true), (0o400, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("chmod");
            match find(&file, &login(&hosts)) {
                Ok(found) => {
                    assert!(allowed);
                    assert_eq!(found.expect("a password").expose(), "first");
                }
                Err(e) => {
                    assert!(!allowed);
                    assert!(e.advice().is_some_and(|hint| hint.contains("chmod 600")));
                    assert!(!format!("{e:?}").contains("first"));
                }
            }
        }
    }
}
