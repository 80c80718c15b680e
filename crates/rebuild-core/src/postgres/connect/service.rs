//! The connection service file: named sets of parameters.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgservice.html>

use std::path::{Path, PathBuf};

use super::conninfo::Pair;
use super::{Environment, keywords};
use crate::error::{Error, ErrorKind, Result};

/// Where packages put the system's file when `PGSYSCONFDIR` does not say: Debian, Red Hat.
const SYSTEM_DIRS: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];
const SYSTEM_FILE: &str = "pg_service.conf";

/// The parameters of the service `name`: from the user's file, otherwise from the system's.
///
/// # Errors
/// No file defines it, `named` (the file that was asked for) is missing, or a file cannot be
/// read or is malformed.
pub(super) fn find(env: &Environment, name: &str, named: Option<&str>) -> Result<Vec<Pair>> {
    let mut looked = Vec::new();
    for file in files(env, named) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if named.is_some_and(|named| Path::new(named) == file) {
                    return Err(Error::usage(format!(
                        "the service file {} is missing",
                        file.display()
                    )));
                }
                continue;
            }
            Err(e) => {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("could not read the service file {}", file.display()),
                )
                .caused_by(e));
            }
        };
        if let Some(pairs) = section(&text, name)
            .map_err(|e| e.context(format!("in the service file {}", file.display())))?
        {
            return Ok(pairs);
        }
        looked.push(file.display().to_string());
    }
    Err(
        Error::usage(format!("there is no service {name:?}")).hint(match &looked[..] {
            [] => "there is no service file: write ~/.pg_service.conf".to_owned(),
            looked => format!("it would be a section of {}", looked.join(" or ")),
        }),
    )
}

fn files(env: &Environment, named: Option<&str>) -> Vec<PathBuf> {
    let user = match named {
        Some(file) => Some(PathBuf::from(file)),
        None => env.home().map(|home| home.join(".pg_service.conf")),
    };
    let system: Vec<PathBuf> = match env.filled("PGSYSCONFDIR") {
        Some(dir) => vec![Path::new(dir).join(SYSTEM_FILE)],
        None => SYSTEM_DIRS
            .iter()
            .map(|dir| Path::new(dir).join(SYSTEM_FILE))
            .collect(),
    };
    user.into_iter().chain(system).collect()
}

/// The parameters of `[name]`, or nothing if the text has no such section. There is no quoting;
/// a value reaches to the end of its line.
fn section(text: &str, name: &str) -> Result<Option<Vec<Pair>>> {
    let mut found: Option<Vec<Pair>> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if rest.strip_suffix(']') == Some(name) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(pairs) = &mut found else { continue };
        let at = || format!("line {} is malformed", number + 1);
        let (keyword, value) = line.split_once('=').ok_or_else(|| {
            Error::usage(at()).hint("each line of a service is parameter=value, without spaces")
        })?;
        keywords::find(keyword).map_err(|e| e.context(at()))?;
        if keyword.starts_with("service") {
            return Err(Error::usage(at()).hint("a service cannot refer to another one"));
        }
        // The first of a section's lines for a parameter counts.
        if pairs.iter().all(|(earlier, _)| earlier != keyword) {
            pairs.push((keyword.to_owned(), value.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[other]\nhost=x\nnonsense\n\n[mine]\n host=/tmp \nport=5433\n\
                        password= a=b # c\nport=1\n[mine]\nuser=never\n";

    #[test]
    fn a_section_is_read_to_its_end() {
        let pairs = section(FILE, "mine").expect("read").expect("there");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            pairs,
            [("host", "/tmp"), ("port", "5433"), ("password", " a=b # c")]
        );
        assert!(section(FILE, "none").expect("read").is_none());
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for text in [
            "[a]\nhost",
            "[a]\nhost = x",
            "[a]\nservice=b",
            "[a]\nhots=x",
        ] {
            let error = section(text, "a").expect_err(text);
            assert!(error.chain().contains("line 2 is malformed"), "{error:?}");
        }
    }
}
