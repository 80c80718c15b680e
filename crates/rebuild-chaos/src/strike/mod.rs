//! Striking one call to the system of the program under test: the n-th file that gets its name in
//! the store, the n-th message to the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What the program asks of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A file gets its name, by which a store's object comes to be.
    Name,
    /// Bytes are written to a file.
    Write,
    /// A file is forced to the disk.
    Sync,
    /// A message is sent to a server.
    Send,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Send => "send",
        }
    }
}

/// What becomes of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The program is killed before it.
    KillBefore,
    /// The program is killed when it was done, and before it knows.
    KillAfter,
    /// It is told that the call failed, with the number of an error of Linux.
    Fail(i32),
}

/// Which call is struck, and how.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// The kind of call.
    pub call: Call,
    /// What the path of its file contains.
    pub path: &'static str,
    /// The first one that is struck, from 1; 0 only counts.
    pub at: usize,
    /// How many are struck from there on; 0 is all.
    pub times: usize,
    /// What becomes of it.
    pub deed: Deed,
}

/// The library that strikes, built from its source.
pub struct Striker {
    folder: TempDir,
}

impl Striker {
    /// Builds it with the C compiler.
    pub fn build() -> Self {
        let folder = TempDir::new().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/strike/strike.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("strike.so"))
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(built.expect("a C compiler").success(), "it compiles");
        Self { folder }
    }

    /// The variables by which `aim` is struck; what happened is counted in the file `tally`.
    pub fn variables(&self, aim: &Aim, tally: &Path) -> Vec<(String, String)> {
        let with = match aim.deed {
            Deed::KillBefore => "before".to_owned(),
            Deed::KillAfter => "after".to_owned(),
            Deed::Fail(number) => number.to_string(),
        };
        let mut variables = self.loaded();
        variables.extend([
            variable("CALL", aim.call.name()),
            variable("PATH", aim.path),
            variable("AT", &aim.at.to_string()),
            variable("FOR", &aim.times.to_string()),
            variable("WITH", &with),
            variable("TALLY", &tally.display().to_string()),
        ]);
        variables
    }

    /// The variables by which the clock is off by what `file` says.
    pub fn with_clock(&self, file: &Path) -> Vec<(String, String)> {
        let mut variables = self.loaded();
        variables.push(variable("CLOCK", &file.display().to_string()));
        variables
    }

    fn loaded(&self) -> Vec<(String, String)> {
        let library = self.folder.path().join("strike.so");
        vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            variable("PROGRAM", "rebuild"),
        ]
    }
}

fn variable(name: &str, value: &str) -> (String, String) {
    (format!("STRIKE_{name}"), value.to_owned())
}

/// How many calls there were, and how many of them were struck.
pub fn tally(file: &Path) -> (usize, usize) {
    let marks = std::fs::read(file).unwrap_or_default();
    let struck = marks.iter().filter(|mark| **mark == b'X').count();
    (marks.len(), struck)
}

/// Makes the clock of `file` be off by so many seconds from now on.
pub fn set_clock(file: &PathBuf, seconds: i64) {
    use std::os::unix::fs::FileExt;
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file)
        .expect("the clock");
    let bytes = seconds.to_ne_bytes();
    opened.write_all_at(&bytes, 0).expect("the clock is set");
}
