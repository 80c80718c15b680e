//! What ends a program whose starter was killed and could not end it.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

/// Waits for a line, which says that all is well, or for the end of its input without one, which
/// comes when our process dies, however it dies. Then it asks the process group `$1` to end, and
/// kills after five seconds what is left of it.
const SCRIPT: &str = r#"
trap '' TERM INT HUP
read -r _ && exit 0
kill -TERM "-$1" 2>/dev/null || exit 0
tries=0
while [ "$tries" -lt 50 ] && kill -0 "-$1" 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -KILL "-$1" 2>/dev/null
"#;

/// A shell that ends a process group if this process dies before it [lets go](Self::let_go).
///
/// A killed process ends nothing any more, and a program that it started goes on: it would write
/// into a database that the next process has taken up again. The kernel could send a signal itself
/// (`PR_SET_PDEATHSIG`, prctl(2)), which has to be asked for between fork and exec, where no safe
/// Rust runs.
pub(crate) struct Leash(Child);

impl Leash {
    /// Watches over `group`.
    ///
    /// # Errors
    /// There is no shell.
    pub(crate) fn on(group: Pid) -> io::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "rebuild-leash"])
            .arg(group.as_raw_nonzero().to_string())
            .current_dir("/")
            .env_clear()
            // Ctrl-C and a test runner's kill go to whole process groups.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }

    /// From now on nothing happens to the group, whose number may soon be another one's.
    pub(crate) fn let_go(mut self) {
        // Either fails only if the shell is gone already.
        if let Some(mut input) = self.0.stdin.take() {
            let _ = input.write_all(b"let go\n");
        }
        let _ = self.0.wait();
    }
}
