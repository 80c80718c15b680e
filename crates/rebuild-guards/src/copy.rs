//! The copy of the sources, with a switch in each guard.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cut::with_switches;
use crate::list::Guard;

/// Makes the copy of `root` in `to`, or brings it up to date; what did not change keeps its time, and need not be
/// built again.
///
/// # Errors
///
/// `git` does not list the files, one cannot be read or written, or a guard is not where the list says.
pub fn bring_up_to_date(root: &Path, to: &Path, guards: &[Guard]) -> Result<(), String> {
    let files = tracked(root)?;
    let mut cut: BTreeSet<&Path> = BTreeSet::new();
    for guard in guards {
        cut.extend(guard.cuts.iter().map(|cut| cut.file.as_path()));
    }
    if let Some(absent) = cut.iter().find(|file| !files.contains(**file)) {
        return Err(format!("{}: no such file", absent.display()));
    }
    let before = fs::read_to_string(to.join(NAMES)).unwrap_or_default();
    for gone in before.lines().map(PathBuf::from) {
        if !files.contains(&gone) {
            let _ = fs::remove_file(to.join(gone));
        }
    }
    for file in &files {
        let from = root.join(file);
        let mut bytes = fs::read(&from).map_err(|e| format!("{}: {e}", from.display()))?;
        if cut.contains(file.as_path()) {
            let text = String::from_utf8(bytes).map_err(|e| format!("{}: {e}", file.display()))?;
            bytes = with_switches(file, &text, guards)?.into_bytes();
        }
        write_if_other(&from, &to.join(file), &bytes)
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    fs::write(to.join(NAMES), names.join("\n")).map_err(|e| format!("{}: {e}", to.display()))
}

/// In the copy: the names of the files that were copied.
const NAMES: &str = ".copied";

/// Writes what is not there yet as it should be, with the mode of `from`.
fn write_if_other(from: &Path, to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// The files of the repository, those included that are new and not ignored.
fn tracked(root: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let out = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git: {e}"))?;
    if !out.status.success() {
        return Err(format!("git: {}", String::from_utf8_lossy(&out.stderr)));
    }
    let names = String::from_utf8(out.stdout).map_err(|e| format!("git: {e}"))?;
    let files = names.split('\0').filter(|name| !name.is_empty());
    // One that is deleted and not yet committed is listed all the same.
    Ok(files
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect())
}
