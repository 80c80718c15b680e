//! The peer `pgcopydb`.

use std::process::Command;

use rebuild_core::Error;
use rebuild_core::error::Result;

/// The program that is installed, or the one that `PGCOPYDB` names.
pub(crate) struct Pgcopydb {
    /// How to call it.
    pub(crate) program: String,
    /// `pgcopydb 0.17` or the like.
    pub(crate) version: String,
    /// True if it can compare the contents of two databases.
    pub(crate) compares: bool,
}

/// Finds it.
///
/// # Errors
/// It is not installed.
pub(crate) fn pgcopydb() -> Result<Pgcopydb> {
    let program = std::env::var("PGCOPYDB").unwrap_or_else(|_| "pgcopydb".to_owned());
    let ask = |arguments: &[&str]| Command::new(&program).args(arguments).output();
    let output = ask(&["--version"]).map_err(|e| {
        Error::usage("pgcopydb is not installed")
            .hint("apt-get install pgcopydb, or name the program in PGCOPYDB")
            .caused_by(e)
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
    let version = words.last().copied().unwrap_or_default();
    let compare = ask(&["compare", "data", "--help"])?;
    Ok(Pgcopydb {
        version: format!("pgcopydb {version}"),
        compares: compare.status.success(),
        program,
    })
}
