//! Whose process listens on a Unix socket.
//!
//! While a server is down, whoever may write to the socket's folder can listen in its place.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::account;
use super::failure::message;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Endpoint;

/// Makes sure that the user `peer`, whose process listens in `dir`, is the one that
/// `requirepeer` names; without it, that `dir` belongs to its owner alone, or that `peer` is this
/// user, root or the system's user `postgres`.
///
/// # Errors
/// It is somebody else.
pub(super) fn check(endpoint: &Endpoint, dir: &Path, peer: u32) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    let named = endpoint.require_peer.as_deref();
    let trusted = match named {
        Some(name) => vec![account::number(name)],
        None if !open_to_all(dir) => return Ok(()),
        None => vec![Some(me), Some(0), account::number("postgres")],
    };
    judge(&trusted, peer).map_err(|e| {
        let error = Error::new(ErrorKind::Unreachable, message(endpoint)).caused_by(e);
        match named {
            Some(_) => error.hint("see the connection's requirepeer"),
            None => error.hint(format!(
                "anyone can listen in {}; if that is the server's user, name it: requirepeer={}",
                dir.display(),
                account::name(peer).unwrap_or_else(|| peer.to_string())
            )),
        }
    })
}

fn judge(trusted: &[Option<u32>], peer: u32) -> Result<()> {
    if trusted.contains(&Some(peer)) {
        return Ok(());
    }
    let name = account::name(peer).map_or_else(String::new, |name| format!(" ({name})"));
    Err(Error::new(
        ErrorKind::Unreachable,
        format!("user {peer}{name} listens there, who is not the one to expect"),
    ))
}

/// Whether any user may put a socket into `dir`. One that cannot be looked at is taken for such.
fn open_to_all(dir: &Path) -> bool {
    dir.metadata()
        .map_or(true, |found| found.mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests;
