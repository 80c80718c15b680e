use std::net::TcpListener;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::RELAY;

/// Runs a program as the first process of a container would have it: what outlives the program becomes a child of
/// this one, which tells how each ended. 36 is PR_SET_CHILD_SUBREAPER
/// (<https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html>).
const FIRST_PROCESS: &str = "
import ctypes, os, subprocess, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
child = subprocess.Popen(sys.argv[1:])
child.wait()
print('relay', child.returncode, flush=True)
while True:
    try:
        print('left behind', os.waitpid(-1, 0)[1], flush=True)
    except ChildProcessError:
        break
";

/// A relay to `port` in a container of its own.
fn relay(port: u16) -> tokio::process::Child {
    let relay = ["sh", "-c", RELAY, "sh", &port.to_string()].map(str::to_owned);
    let mut command = Command::new("python3");
    command.args(["-c", FIRST_PROCESS]).args(relay);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().expect("python3 runs")
}

/// A port, and what answers there: everything as it came, until `first` bytes were sent back.
fn echo(first: usize) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.set_nonblocking(true).expect("it does not block");
    let port = listener.local_addr().expect("an address").port();
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let serving = tokio::spawn(async move {
        let (mut session, _) = listener.accept().await.expect("a session");
        let (mut piece, mut left) = (vec![0; 4096], first);
        while left > 0 {
            let read = session.read(&mut piece).await.expect("read");
            if read == 0 {
                return;
            }
            let back = read.min(left);
            session.write_all(&piece[..back]).await.expect("written");
            left -= back;
        }
    });
    (port, serving)
}

#[tokio::test]
async fn nothing_outlives_the_program_that_carries_bytes() {
    // Either side ends first.
    for first in [usize::MAX, 5] {
        let (port, serving) = echo(first);
        let mut running = relay(port);
        let mut to = running.stdin.take().expect("stdin");
        let mut from = running.stdout.take().expect("stdout");
        to.write_all(b"hello").await.expect("sent");
        let mut answer = [0; 5];
        from.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"hello");
        if first == usize::MAX {
            drop(to);
        }
        let mut told = String::new();
        from.read_to_string(&mut told).await.expect("text");
        assert_eq!(told, "relay 0\n", "{first}");
        serving.await.expect("served");
    }
}
