//! Connection strings, and the addresses and names of a store.

use std::fmt::Write;
use std::path::{Component, Path};

use crate::environment::Environment;
use crate::model::Endpoint;
use crate::postgres::connection_pairs;
use crate::store::{Address, Name};

/// A piece of a password, which no message may repeat.
const SECRET: &str = "hunter2";

/// Takes `data` for a connection string, for a part of a password in one, for the URL of a store,
/// and for the name of an object.
///
/// # Panics
/// A property does not hold.
pub fn connection(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(pairs) = connection_pairs(text) {
        prints_and_reads(&pairs);
        if !pairs.iter().any(|(name, _)| reads_a_file(name)) {
            means_a_server(text);
        }
    }
    keeps_the_secret(text);
    store(text);
}

/// The pairs come back from both kinds of connection string.
fn prints_and_reads(pairs: &[(String, String)]) {
    let again = connection_pairs(&as_keywords(pairs)).expect("what was printed can be read");
    assert_eq!(again, pairs, "as keywords");
    if pairs.iter().any(|(_, value)| value.contains('\0')) {
        return;
    }
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    let url = format!("postgres://?{}", query.join("&"));
    let again = connection_pairs(&url).expect("what was printed can be read");
    assert_eq!(again, pairs, "as a URL");
}

fn as_keywords(pairs: &[(impl AsRef<str>, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        let _ = write!(text, "{}='{value}' ", name.as_ref());
    }
    text
}

fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn reads_a_file(name: &str) -> bool {
    matches!(name, "service" | "servicefile" | "passfile")
}

fn endpoint(text: &str) -> crate::Result<Endpoint> {
    let home = [("HOME", "/nonexistent")];
    Environment::of(home).endpoint(text, false)
}

/// A server that is named is named again by its parameters.
fn means_a_server(text: &str) {
    let Ok(read) = endpoint(text) else { return };
    let parameters = read.parameters();
    let again = endpoint(&as_keywords(&parameters)).expect("its own parameters");
    assert_eq!(again.parameters(), parameters);
    assert_eq!(again.is_local(), read.is_local());
    assert_eq!(again.describe(), read.describe());
}

/// Nothing that stands in the place of a password is shown.
fn keeps_the_secret(text: &str) {
    for with_secret in [
        format!("postgres://u:{SECRET}{text}@h/d"),
        format!("postgres://h/d?password={SECRET}{text}"),
        format!("password={SECRET}{text}"),
        format!("password='{SECRET}{text}"),
    ] {
        let shown = match connection_pairs(&with_secret) {
            Err(e) => format!("{e} {e:?} {:?}", e.advice()),
            Ok(pairs) if pairs.iter().any(|(name, _)| reads_a_file(name)) => continue,
            Ok(pairs) => {
                // A second value in the text may be the one that counts, or name another parameter.
                if pairs
                    .iter()
                    .any(|(name, value)| name != "password" && value.contains(SECRET))
                {
                    continue;
                }
                match endpoint(&with_secret) {
                    Err(e) => format!("{e} {e:?} {:?}", e.advice()),
                    Ok(read) => format!("{read:?} {}", read.describe()),
                }
            }
        };
        let shown = shown.to_lowercase();
        assert!(
            !shown.contains(SECRET) || text.to_lowercase().contains(SECRET),
            "{shown}"
        );
    }
}

/// What names an object stays where it belongs.
fn store(text: &str) {
    match Address::parse(text) {
        Ok(Address::Folder(folder)) => assert!(folder.is_absolute(), "{}", folder.display()),
        Ok(Address::Bucket { bucket, prefix, .. }) => {
            assert!(!bucket.is_empty() && bucket.is_ascii());
            prefix.iter().for_each(stays);
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        stays(&name);
    }
}

fn stays(name: &Name) {
    let path = Path::new(name.as_str());
    assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
    assert_eq!(path.components().count(), name.as_str().split('/').count());
}
