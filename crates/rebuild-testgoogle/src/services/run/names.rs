//! Names of resources, and lists of them in pages.

use serde_json::Value;

use crate::call::Call;
use crate::error::ApiError;

/// The last part of a name.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A part of a name such as `projects/p/locations/l/jobs/j`: what follows `kind`.
pub(super) fn part<'a>(name: &'a str, kind: &str) -> &'a str {
    let mut parts = name.split('/');
    parts.find(|part| *part == kind);
    parts.next().unwrap_or_default()
}

pub(super) fn not_found(kind: &str, name: &str) -> ApiError {
    ApiError::new(404, format!("{kind} '{}' was not found.", short(name)))
}

/// One page of a list, and the token of the next one.
pub(super) fn page(call: &Call, all: Vec<Value>) -> (Vec<Value>, String) {
    let size = call.query("pageSize").parse().unwrap_or(0);
    let size = if size == 0 { 100 } else { size };
    let from: usize = call.query("pageToken").parse().unwrap_or(0);
    let next = from + size;
    let token = if next < all.len() {
        next.to_string()
    } else {
        String::new()
    };
    (all.into_iter().skip(from).take(size).collect(), token)
}
