//! Killing a server as a crash would.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use crate::error::{Error, ErrorKind, Result};

/// The postmaster's process id, from the first line of its lock file.
pub(super) fn postmaster(data: &Path) -> Result<Option<Pid>> {
    match std::fs::read_to_string(data.join("postmaster.pid")) {
        Ok(text) => {
            let first = text.lines().next().unwrap_or_default();
            Ok(first.trim().parse().ok().and_then(Pid::from_raw))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Kills the postmaster and its children at one instant, and waits until they are gone.
///
/// # Errors
/// It is not a process of `account`, or does not go within `limit`.
pub(super) async fn kill(
    postmaster: Pid,
    account: Option<&Account>,
    limit: Duration,
) -> Result<()> {
    // The id was read from a file that is not root's.
    if let Some(account) = account
        && !account.runs(postmaster.as_raw_pid())
    {
        return Err(Error::refused(format!(
            "process {} is not one of {}'s: it is left alone",
            postmaster.as_raw_pid(),
            account.name
        )));
    }
    // Stopped, it can neither start a child nor react to the end of one.
    signal(postmaster, Signal::STOP)?;
    let mut family = children(postmaster);
    family.push(postmaster);
    for &pid in &family {
        signal(pid, Signal::KILL)?;
    }
    let deadline = Instant::now() + limit;
    while family.iter().any(|&pid| alive(pid)) {
        if Instant::now() > deadline {
            return Err(Error::new(
                ErrorKind::Deadline,
                format!("processes of the server lived on for {} s", limit.as_secs()),
            ));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn signal(pid: Pid, signal: Signal) -> Result<()> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(e) => Err(Error::new(
            ErrorKind::Io,
            format!("could not signal the server's process {}", pid.as_raw_pid()),
        )
        .caused_by(e)),
    }
}

/// Fields of `/proc/PID/stat` after the program's name: the state and the parent's id.
fn state(pid: &str) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The direct children of `parent`. Where there is no `/proc` it finds none; they end by
/// themselves when they notice that the postmaster is gone.
fn children(parent: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let pid = Pid::from_raw(name.parse().ok()?)?;
            (state(name)?.1 == parent.as_raw_pid()).then_some(pid)
        })
        .collect()
}

/// False also for a process that has ended and waits for its parent to notice.
pub(super) fn alive(pid: Pid) -> bool {
    match state(&pid.as_raw_pid().to_string()) {
        Some((state, _)) => state != 'Z' && state != 'X',
        None if Path::new("/proc/self/stat").exists() => false,
        None => rustix::process::test_kill_process(pid).is_ok(),
    }
}
