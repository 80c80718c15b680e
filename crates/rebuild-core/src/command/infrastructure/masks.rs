//! Addresses without values that may be secrets.
//!
//! Of an address, most is what somebody wrote in the tool's files. Only the parts that the values of
//! variables may have made are masked, so that everything else can be read although a variable holds
//! a common word.

use crate::model::infrastructure::PlannedChanges;

/// Masks the addresses of `changes`.
pub(super) fn resources(changes: &mut PlannedChanges, masked: impl Fn(&str) -> String) {
    for change in &mut changes.changes {
        change.address = masked(&change.address);
        change.moved_from = change.moved_from.as_deref().map(&masked);
    }
}

/// Masks the keys of instances in an address of tofu or terraform: `module.a["key"].b.c["key"]`.
pub(super) fn keys(address: &str, masked: impl Fn(&str) -> String) -> String {
    let mut shown = String::new();
    let mut rest = address;
    while let Some(begin) = rest.find("[\"") {
        let (before, key) = rest.split_at(begin + 2);
        let end = end_of_key(key);
        shown.push_str(before);
        shown.push_str(&masked(&key[..end]));
        rest = &key[end..];
    }
    shown + rest
}

/// Where a key ends: at a quotation mark that no backslash stands before, and a bracket.
fn end_of_key(key: &str) -> usize {
    let ends = key.match_indices("\"]").map(|(at, _)| at);
    let mut ends = ends.filter(|at| !key[..*at].ends_with('\\'));
    ends.next().unwrap_or(key.len())
}

/// Masks the name in an address, which is what comes after the last `separator`.
pub(super) fn name(address: &str, separator: &str, masked: impl Fn(&str) -> String) -> String {
    match address.rsplit_once(separator) {
        Some((before, name)) => format!("{before}{separator}{}", masked(name)),
        None => masked(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_value_may_have_made_is_masked() {
        let masked = |text: &str| text.replace("prod", "***");
        for (address, expected) in [
            ("google_sql_database.prod", "google_sql_database.prod"),
            ("a.prod[0]", "a.prod[0]"),
            (
                r#"module.prod["prod"].a.prod["x-prod"]"#,
                r#"module.prod["***"].a.prod["x-***"]"#,
            ),
            (r#"a.b["x\"]prod"].prod"#, r#"a.b["x\"]***"].prod"#),
            (r#"a.b["prod"#, r#"a.b["***"#),
        ] {
            assert_eq!(keys(address, masked), expected);
        }
        assert_eq!(name("urn:prod::T::prod", "::", masked), "urn:prod::T::***");
        assert_eq!(name("Secret.prod a/prod", " ", masked), "Secret.prod a/***");
        assert_eq!(name("prod", " ", masked), "***");
    }
}
