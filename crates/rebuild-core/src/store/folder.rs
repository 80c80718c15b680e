//! The folder of a `file:` store.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder at `path`, made if missing. Its mode is 0700, so that what is in it is out of
/// reach of other users whatever the mode of each file.
pub(super) fn prepare(path: &Path) -> Result<PathBuf> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => check(path, &found, rustix::process::geteuid().as_raw())?,
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

fn check(path: &Path, found: &std::fs::Metadata, me: u32) -> Result<()> {
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

/// Makes sure that what is at `path`, somewhere below the store's folder `top`, lies in the store: a
/// backup that was copied from elsewhere could have links to other places, which would be read, and
/// be emptied with the backup, and pipes that hold up whoever opens them.
///
/// # Errors
/// On the way there is something that is neither a folder nor a plain file.
pub(super) fn check_inside(top: &Path, path: &Path) -> Result<()> {
    let Ok(inside) = path.strip_prefix(top) else {
        return Ok(());
    };
    for path in path.ancestors().take(inside.components().count()) {
        let odd = match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_file() || found.is_dir() => continue,
            // What is missing is told by whoever looks for it.
            Err(_) => continue,
            Ok(found) if found.is_symlink() => "a symbolic link",
            Ok(_) => "neither a file nor a folder",
        };
        let what = format!("{} in the store is {odd}", path.display());
        return Err(Error::corrupt(what).hint("see where it comes from, and remove it yourself"));
    }
    Ok(())
}

/// Makes the file at `path`, somewhere below the store's folder `top`, and the folders between
/// them, their owner's alone, whatever this process's umask is. Nobody else could enter `top`; but
/// a copy of what is in it may lie where others can.
///
/// # Errors
/// The file system does not let its owner.
pub(super) fn keep_private(top: &Path, path: &Path) -> std::io::Result<()> {
    let Ok(inside) = path.strip_prefix(top) else {
        return Ok(());
    };
    let mut mode = 0o600;
    for path in path.ancestors().take(inside.components().count()) {
        match set_mode(path, mode) {
            // Removed meanwhile, as a folder is with the last object in it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            set => set?,
        }
        mode = 0o700;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.metadata()?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
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

#[cfg(test)]
mod tests;
