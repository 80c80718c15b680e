//! The part of the query language that is spoken here: comparisons that must all hold.
//! <https://cloud.google.com/logging/docs/view/logging-query-language>

use jiff::Timestamp;
use serde_json::Value;

use crate::call::Result;
use crate::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Compare {
    Is,
    AtLeast,
    After,
}

/// Comparisons that must all hold.
#[derive(Debug)]
pub(super) struct Filter(Vec<(Vec<String>, Compare, String)>);

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let terms = text.split(" AND ").flat_map(str::lines).map(str::trim);
        let terms = terms.filter(|term| !term.is_empty()).map(term);
        Ok(Self(terms.collect::<Result<_>>()?))
    }

    pub(super) fn matches(&self, entry: &Value) -> bool {
        self.0.iter().all(|(path, compare, wanted)| {
            let found = path.iter().try_fold(entry, |value, key| value.get(key));
            let Some(found) = found.and_then(Value::as_str) else {
                return false;
            };
            let wanted_time = || wanted.parse::<Timestamp>().ok();
            match compare {
                Compare::Is => found == wanted,
                Compare::AtLeast => found.parse::<Timestamp>().ok() >= wanted_time(),
                Compare::After => found.parse::<Timestamp>().ok() > wanted_time(),
            }
        })
    }
}

fn term(text: &str) -> Result<(Vec<String>, Compare, String)> {
    let bad = || ApiError::new(400, format!("Unparseable filter: {text}"));
    let signs = [
        (">=", Compare::AtLeast),
        (">", Compare::After),
        ("=", Compare::Is),
    ];
    let (sign, compare) = signs
        .into_iter()
        .find(|(sign, _)| text.contains(sign))
        .ok_or_else(bad)?;
    let (path, value) = text.split_once(sign).ok_or_else(bad)?;
    if compare != Compare::Is && path.trim() != "timestamp" {
        return Err(bad());
    }
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .ok_or_else(bad)?;
    Ok((keys(path.trim()), compare, value.to_owned()))
}

/// The keys of a path: dots divide them, except in quotes.
fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut quoted = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => keys.push(String::new()),
            c => keys.last_mut().expect("there is one").push(c),
        }
    }
    keys
}

pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comparisons_must_all_hold() {
        let entry = json!({
            "resource": {"labels": {"job_name": "a"}}, "labels": {"run.googleapis.com/x": "y"},
            "timestamp": "2026-01-02T03:04:05.5Z",
        });
        let matches = |text: &str| Filter::parse(text).expect(text).matches(&entry);
        assert!(matches(""));
        assert!(matches(
            "resource.labels.job_name=\"a\" AND labels.\"run.googleapis.com/x\"=\"y\""
        ));
        assert!(!matches("resource.labels.job_name=\"b\""));
        assert!(!matches("textPayload=\"a\""));
        assert!(matches("timestamp>=\"2026-01-02T03:04:05.500Z\""));
        assert!(!matches("timestamp>\"2026-01-02T03:04:05.5Z\""));
        assert!(Filter::parse("severity>\"INFO\"").is_err());
        assert!(Filter::parse("hello").is_err());
    }
}
