//! Running a program and looking at what it takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rebuild_core::Error;
use rebuild_core::error::Result;

/// What a program took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// By the clock on the wall.
    pub(crate) time: Duration,
    /// The most memory that the program itself held at once, in bytes; its children do not count.
    pub(crate) peak: u64,
}

/// Runs `command` to its end.
///
/// # Errors
/// It could not be started or failed; what it said on stderr is in the error.
pub(crate) fn run(command: &mut Command) -> Result<Took> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let child = command
        .spawn()
        .map_err(|e| Error::usage(format!("could not start {shown}")).caused_by(e))?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let ended = AtomicBool::new(false);
    let (output, time, peak) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&status, &ended));
        let output = child.wait_with_output();
        let time = begun.elapsed();
        ended.store(true, Ordering::Relaxed);
        (output, time, watching.join().unwrap_or_default())
    });
    let output = output?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = stderr.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(Error::internal(format!(
            "{shown} ended with {}:\n{}",
            output.status,
            tail.join("\n")
        )));
    }
    Ok(Took { time, peak })
}

/// The kernel keeps the highest value itself, so that looking now and then is enough.
fn watch(status: &Path, ended: &AtomicBool) -> u64 {
    let mut peak = 0;
    while !ended.load(Ordering::Relaxed) {
        if let Ok(text) = std::fs::read_to_string(status) {
            peak = peak.max(high_water(&text).unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    peak
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Runs `commands` at the same time and waits for all.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_together(commands: Vec<Command>) -> Result<Duration> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = commands
            .into_iter()
            .map(|mut command| scope.spawn(move || run(&mut command)))
            .collect();
        for one in running {
            one.join()
                .map_err(|_| Error::internal("a thread ended early"))??;
        }
        Ok(begun.elapsed())
    })
}

/// Bytes of all files in `folder` and below.
///
/// # Errors
/// It could not be read.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(sum)
}
