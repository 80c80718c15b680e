//! A program and everything it starts, ended together.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};
#[cfg(target_os = "linux")]
use tokio::io::{Interest, unix::AsyncFd};
use tokio::signal::unix::{SignalKind, signal};

use super::leash::Leash;

/// How long a group that was asked to end may take before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How long a group that was killed may take to be gone. One that takes longer waits for a disk,
/// or belongs to another user, whom this process may not kill.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// How often a group that was asked to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process group, led by a child of this process. Dropping it ends the whole group, and so does
/// the death of this process, if there is a shell to see it.
///
/// The leader is not reaped before the group is empty: a process id that was not reaped is not
/// given out again, so the group's number can mean no other group.
pub(crate) struct Group {
    /// `None` once it was reaped.
    leader: Option<Child>,
    id: Pid,
    leash: Option<Leash>,
}

impl Group {
    /// Starts `command` as the leader of a new group.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = Pid::from_child(&child);
        let leash = Leash::on(id)
            .inspect_err(|e| tracing::debug!("{id:?} would outlive a kill of this process: {e}"));
        Ok(Self {
            id,
            leader: Some(child),
            leash: leash.ok(),
        })
    }

    /// The leader, to take its pipes.
    pub(crate) fn leader_mut(&mut self) -> Option<&mut Child> {
        self.leader.as_mut()
    }

    /// Waits until the leader has exited. It is not reaped.
    pub(crate) async fn leader_exit(&self) -> io::Result<()> {
        // A program that embeds this crate may handle SIGCHLD itself, and the child of a fork shares
        // with its parent what hears of it. A descriptor of the process is ours alone
        // (pidfd_open(2)); only an old kernel has none.
        #[cfg(target_os = "linux")]
        if let Ok(process) = pidfd_open(self.id, PidfdFlags::empty()) {
            #[expect(
                deprecated,
                reason = "unsound for a descriptor that closes too early, which an owned one does not"
            )]
            let exit = AsyncFd::with_interest(process, Interest::READABLE)?;
            while !self.leader_has_exited()? {
                exit.readable().await?.retain_ready();
            }
            return Ok(());
        }
        // Asked for before the first look, so that no exit falls in between.
        let mut changes = signal(SignalKind::child())?;
        while !self.leader_has_exited()? {
            changes.recv().await;
        }
        Ok(())
    }

    fn leader_has_exited(&self) -> io::Result<bool> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(rustix::process::waitid(WaitId::Pid(self.id), look)?.is_some())
    }

    /// True if any process of the group still runs.
    pub(crate) fn is_alive(&self) -> bool {
        is_alive(self.id)
    }

    /// Ends every process of the group: asks first, and kills what is left after [`GRACE`].
    pub(crate) async fn end(&self) {
        self.end_within(GRACE).await;
    }

    /// Ends every process of the group: asks first, and kills what is left after `grace`.
    pub(crate) async fn end_within(&self, grace: Duration) {
        self.signal(Signal::TERM);
        self.gone_within(grace).await;
        self.signal(Signal::KILL);
        self.gone_within(GONE_WITHIN).await;
        // A leader of many threads is a zombie as soon as its first thread is gone, and can be
        // reaped only once all are.
        let _ = tokio::time::timeout(GONE_WITHIN, self.leader_exit()).await;
    }

    async fn gone_within(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reaps the leader, which has exited or was killed: its exit code, and 128 and the signal's
    /// number for one that a signal ended, as a shell reports it.
    pub(crate) fn reap(mut self) -> io::Result<i32> {
        if self.leader_has_exited()? {
            let_go(self.leash.take());
        }
        let reaped = self.leader.as_mut().map(Child::try_wait).transpose()?;
        let Some(status) = reaped.flatten() else {
            // Dropping the group goes on trying.
            return Err(io::Error::other("it could not be killed"));
        };
        self.leader = None;
        Ok(status
            .code()
            .or_else(|| status.signal().map(|number| 128 + number))
            .unwrap_or(-1))
    }

    fn signal(&self, signal: Signal) {
        // It fails only for a group without a process to signal, which is what is wanted.
        let _ = rustix::process::kill_process_group(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        let id = self.id;
        let leash = self.leash.take();
        self.signal(Signal::TERM);
        let finish = move || {
            let deadline = Instant::now() + GRACE;
            while is_alive(id) && Instant::now() < deadline {
                std::thread::sleep(LOOK_EVERY);
            }
            let _ = rustix::process::kill_process_group(id, Signal::KILL);
            let_go(leash);
            // The exit code has no reader any more.
            let _ = leader.wait();
        };
        // Nothing here may wait: the runtime's thread is not ours. Without a thread, no grace.
        if std::thread::Builder::new()
            .name("end of a program".to_owned())
            .spawn(finish)
            .is_err()
        {
            self.signal(Signal::KILL);
        }
    }
}

/// Before the leader is reaped: from then on its number may be another group's.
fn let_go(leash: Option<Leash>) {
    if let Some(leash) = leash {
        leash.let_go();
    }
}

/// True if a process of the group runs; those that have exited and only wait to be reaped, by
/// this process or by an init that does not, do not count.
fn is_alive(group: Pid) -> bool {
    if rustix::process::test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return true;
    };
    let mut readable = false;
    for entry in processes.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        readable = true;
        if member_runs(&stat, group) {
            return true;
        }
    }
    !readable
}

/// Reads one line of `/proc/<pid>/stat` (proc_pid_stat(5)): `pid (name) state ppid pgrp …`.
/// The name may hold anything, brackets and spaces too.
fn member_runs(stat: &str, group: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next();
    let pgrp = fields.nth(1).and_then(|text| text.parse::<i32>().ok());
    pgrp == Some(group.as_raw_nonzero().get()) && !matches!(state, Some("Z" | "X"))
}
