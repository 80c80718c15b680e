//! One guard: its test with it, and without it.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cut::VARIABLE;
use crate::list::Guard;
use crate::tests::Test;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The test passes with the guard, and fails without it.
    Noticed,
    /// The test passes with the guard, and without it never ends.
    NoticedByNoEnd,
    /// The test passes without the guard as well.
    NotNoticed,
    /// The test fails, or does not end, although every guard is there.
    FailsAnyway,
    /// There is no such test.
    NoTest,
}

impl Verdict {
    /// Whether the test is worth its name.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Noticed | Self::NoticedByNoEnd)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noticed => "noticed",
            Self::NoticedByNoEnd => "noticed: the test does not end",
            Self::NotNoticed => "NOT NOTICED",
            Self::FailsAnyway => "FAILS WITH THE GUARD TOO",
            Self::NoTest => "NO SUCH TEST",
        })
    }
}

#[derive(PartialEq)]
enum Ending {
    Passed,
    Failed,
    None,
}

/// Tries `tests`, which have one name, with every guard and without `guard`. They may take `limit` each.
pub fn try_guard(guard: &Guard, tests: &[&Test], limit: Duration) -> Verdict {
    if tests.is_empty() {
        return Verdict::NoTest;
    }
    if (tests.iter()).any(|test| run(test, None, limit) != Ending::Passed) {
        return Verdict::FailsAnyway;
    }
    let mut verdict = Verdict::NotNoticed;
    for test in tests {
        match run(test, Some(&guard.name()), limit) {
            Ending::Failed => return Verdict::Noticed,
            Ending::None => verdict = Verdict::NoticedByNoEnd,
            Ending::Passed => {}
        }
    }
    verdict
}

fn run(test: &Test, without: Option<&str>, limit: Duration) -> Ending {
    let mut command = Command::new(&test.program);
    command.args(["--exact", &test.name, "--test-threads", "1"]);
    command.current_dir(&test.folder).env_remove(VARIABLE);
    if let Some(guard) = without {
        command.env(VARIABLE, guard);
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: what it started is ended with it.
    command.process_group(0);
    let mut child = command.spawn().expect("a program that was built just now");
    let began = Instant::now();
    while began.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("our own child") {
            return if status.success() {
                Ending::Passed
            } else {
                Ending::Failed
            };
        }
        sleep(Duration::from_millis(20));
    }
    end(&mut child);
    Ending::None
}

/// Ends the program and all that it started.
fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    assert!(killed.is_ok_and(|status| status.success()), "kill {group}");
    let _ = child.wait();
}
