//! This program itself, and the client programs of a run.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;

use crate::engine::Programs;
use crate::error::Result;
use crate::journal::Program;
use crate::plan::ToolFacts;
use crate::postgres::PgBackup;

/// Bytes of a file that are read at a time.
const PIECE: usize = 1 << 20;

/// Tells which program this is, and which client programs backups are taken and restored with.
pub(super) struct OwnPrograms {
    backup: PgBackup,
    /// What was found when the files were last looked at.
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    tools: Vec<ToolFacts>,
    files: Vec<Option<Stamp>>,
}

/// What changes when a file is replaced or written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            place: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

fn stamps(tools: &[ToolFacts]) -> Vec<Option<Stamp>> {
    let file = |tool: &ToolFacts| Path::new(&tool.path).metadata().ok();
    let stamps = tools
        .iter()
        .map(|tool| file(tool).map(|file| Stamp::of(&file)));
    stamps.collect()
}

impl OwnPrograms {
    pub(super) fn new(backup: PgBackup) -> Self {
        Self {
            backup,
            seen: Mutex::new(None),
        }
    }

    /// What was found before, as long as the files are the same ones.
    fn unchanged(&self) -> Option<Vec<ToolFacts>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_ref()?;
        (stamps(&seen.tools) == seen.files).then(|| seen.tools.clone())
    }

    async fn tools(&self) -> Result<Vec<ToolFacts>> {
        if let Some(tools) = self.unchanged() {
            return Ok(tools);
        }
        let tools = self.backup.programs().await?;
        let seen = Seen {
            files: stamps(&tools),
            tools: tools.clone(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(tools)
    }
}

#[async_trait]
impl Programs for OwnPrograms {
    async fn look(&self) -> Result<Program> {
        // It takes a moment the first time.
        let binary = tokio::task::spawn_blocking(own_hash).await;
        Ok(Program {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary: binary.ok().flatten().map(ToOwned::to_owned),
            tools: self.tools().await?,
        })
    }
}

/// BLAKE3 of the file that this code is in, as it was when the process began.
fn own_hash() -> Option<&'static str> {
    static HASH: OnceLock<Option<String>> = OnceLock::new();
    let hash = HASH.get_or_init(|| {
        let mut file = own_file()?;
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece).ok()? {
                0 => return Some(hasher.finalize().to_hex().to_string()),
                length => hasher.update(&piece[..length]),
            };
        }
    });
    hash.as_deref()
}

/// The file that this code is in: the program, or a library in one, as under Python.
#[cfg(target_os = "linux")]
fn own_file() -> Option<File> {
    // It leads to the file that runs, though another one has its name by now.
    let program = File::open("/proc/self/exe").ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let (node, path) = mapped(&maps, own_hash as fn() -> Option<&'static str> as usize)?;
    if program.metadata().ok()?.ino() == node {
        return Some(program);
    }
    let library = File::open(path).ok()?;
    (library.metadata().ok()?.ino() == node).then_some(library)
}

#[cfg(not(target_os = "linux"))]
fn own_file() -> Option<File> {
    File::open(std::env::current_exe().ok()?).ok()
}

/// The number and the path of the file that is mapped at `address`
/// (<https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html>).
#[cfg(target_os = "linux")]
fn mapped(maps: &str, address: usize) -> Option<(u64, &str)> {
    let has = |range: &str| {
        let (from, to) = range.split_once('-')?;
        let from = usize::from_str_radix(from, 16).ok()?;
        let to = usize::from_str_radix(to, 16).ok()?;
        Some((from..to).contains(&address))
    };
    let line = maps.lines().find(|line| {
        let range = line.split(' ').next();
        range.and_then(has).unwrap_or_default()
    })?;
    let mut words = line.splitn(6, ' ').skip(4);
    let node = words.next()?.parse().ok()?;
    Some((node, words.next()?.trim_start()))
}

#[cfg(test)]
mod tests;
