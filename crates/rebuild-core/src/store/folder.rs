//! The folder of a `file:` store.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder at `path`, made if missing. Its mode is 0700, so that what is in it is out of
/// reach of other users whatever the mode of each file.
pub(super) fn prepare(path: &Path) -> Result<PathBuf> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => check(path, &found)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => make(path)?,
        Err(e) => return Err(cannot(path, e)),
    }
    path.canonicalize().map_err(|e| cannot(path, e))
}

fn make(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| cannot(path, e))
}

fn check(path: &Path, found: &std::fs::Metadata) -> Result<()> {
    let shown = path.display();
    if found.file_type().is_symlink() {
        return Err(
            Error::refused(format!("the store {shown} is a symbolic link"))
                .hint("name the folder itself"),
        );
    }
    if !found.is_dir() {
        return Err(Error::refused(format!("the store {shown} is not a folder")));
    }
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        return Err(Error::refused(format!(
            "the store {shown} belongs to user {}, not to user {me}",
            found.uid()
        ))
        .hint("run as the store's owner, or name another folder"));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::refused(format!(
            "the store {shown} is open to other users (mode {mode:o})"
        ))
        .hint(format!("chmod 700 {shown}")));
    }
    Ok(())
}

/// Bytes that this user can still write to the disk of `folder`.
///
/// # Errors
/// The disk could not be asked.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder).map_err(|e| cannot(folder, e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn cannot(path: &Path, e: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Store,
        format!("could not open the store {}", path.display()),
    )
    .caused_by(e)
}
