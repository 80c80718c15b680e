//! What the suites say when a contract is broken.

use std::fmt::Debug;

use crate::error::{Error, Result};
use crate::model::Identity;

/// What `result` holds; it must not be an error.
#[track_caller]
pub(super) fn done<T>(what: &str, result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("contract broken: {what} must succeed, but: {e:?}"),
    }
}

/// The refusal in `result`; it must be one.
#[track_caller]
pub(super) fn refused<T: Debug>(what: &str, result: Result<T>) -> Error {
    let error = failed(what, result);
    assert!(
        error.is_refusal(),
        "contract broken: {what} must be refused, not fail with: {error:?}"
    );
    error
}

/// The error in `result`; it must be one.
#[track_caller]
pub(super) fn failed<T: Debug>(what: &str, result: Result<T>) -> Error {
    match result {
        Ok(value) => panic!("contract broken: {what} must not succeed, but it did: {value:?}"),
        Err(e) => e,
    }
}

/// `rule` must hold.
#[track_caller]
pub(super) fn claim(rule: &str, holds: bool) {
    assert!(holds, "contract broken: {rule}");
}

/// Two values must be equal.
#[track_caller]
pub(super) fn same<T: PartialEq + Debug>(rule: &str, found: &T, expected: &T) {
    assert!(
        found == expected,
        "contract broken: {rule}\n   found: {found:?}\nexpected: {expected:?}"
    );
}

/// The name of `db` on another thing: what a plan means by `db` after somebody replaced it.
pub(super) fn replaced(db: &Identity, by: &Identity) -> Identity {
    Identity {
        name: db.name.clone(),
        ..by.clone()
    }
}

/// `db` on another server, which happens to have the same identifier and name.
pub(super) fn elsewhere(db: &Identity) -> Identity {
    Identity {
        server: format!("not-{}", db.server),
        ..db.clone()
    }
}
