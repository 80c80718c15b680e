//! Waiting for the end of processes that are not ours to wait for.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Error, ErrorKind, Result};

/// Waits until the process `pid` of this machine has ended, no longer than `limit`; it need not be
/// a child. One that has ended and was not yet waited for by its parent counts as ended.
///
/// # Errors
/// [`ErrorKind::Deadline`] if it has not; `pid` cannot be a process, or cannot be watched.
pub async fn process_ended(pid: i32, limit: Duration) -> Result<()> {
    let process = Pid::from_raw(pid)
        .ok_or_else(|| Error::usage(format!("{pid} is not the number of a process")))?;
    let ended = tokio::task::spawn_blocking(move || wait(process, limit));
    let ended = ended
        .await
        .map_err(|e| Error::internal("the wait for a process broke off").caused_by(e))?;
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(
            ErrorKind::Deadline,
            format!("process {pid} did not end within {limit:?}"),
        )),
        Err(e) => {
            Err(Error::new(ErrorKind::Io, format!("could not watch process {pid}")).caused_by(e))
        }
    }
}

/// True if the process ended within the limit.
fn wait(process: Pid, limit: Duration) -> Result<bool, Errno> {
    let process = match pidfd_open(process, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(true),
        opened => opened?,
    };
    let limit = Timespec::try_from(limit).map_err(|_| Errno::INVAL)?;
    let mut watched = [PollFd::new(&process, PollFlags::IN)];
    Ok(poll(&mut watched, Some(&limit))? == 1)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_waited_for() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .spawn()
            .expect("cat");
        let pid = i32::try_from(child.id()).expect("a number");
        let early = process_ended(pid, Duration::from_millis(20)).await;
        assert_eq!(early.expect_err("alive").kind(), ErrorKind::Deadline);
        let patience = Duration::from_secs(30);
        let (ended, ()) = tokio::join!(process_ended(pid, patience), async {
            drop(child.stdin.take());
        });
        ended.expect("ended, and not waited for yet");
        child.wait().expect("its end");
        process_ended(pid, patience).await.expect("gone");
    }
}
