//! Programs of others that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the programs that `scripts/NAME` finds, or fetches.
///
/// # Panics
/// It could not: a test that needs them has failed.
pub fn programs_of(name: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scripts")
        .join(name);
    let output = Command::new(script).output().expect("a script");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    let folder = String::from_utf8(output.stdout).expect("a path");
    folder.trim().into()
}
